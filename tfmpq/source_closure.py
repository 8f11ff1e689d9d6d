"""Which files of tflm_ext/ a program needs, found by following its #includes.

A header brings the source that implements it, which has its name; the headers
with several sources are listed below. Paths are relative to the source tree,
as #include directives give them.
"""

from __future__ import annotations

from collections.abc import Iterable
import pathlib
import re

from tfmpq import kernel_targets
from tfmpq import specs

# This file lies in the source tree, or in a copy of it with the sources
# (package data), which may consist of links to files elsewhere.
ROOT = pathlib.Path(__file__).absolute().parents[1]

_KERNELS = 'tflm_ext/kernels'
_INCLUDE = re.compile(r'^#include "(tflm_ext/[\w/]+\.h)"', re.MULTILINE)
_SUFFIX = re.compile(r'_(dsp|mve)$')  # of files for one instruction set
# Header -> sources besides the one with its name.
_FURTHER_SOURCES = {
    f'{_KERNELS}/depthwise_call_mve.h': ('depthwise_patches_mve.c',),
    f'{_KERNELS}/depthwise_rows_dsp.h': ('depthwise_3x3_dsp.c',),
    f'{_KERNELS}/depthwise_rows_mve.h': (
        'depthwise_push_mve.c',
        'depthwise_tasks_mve.c',
    ),
    f'{_KERNELS}/products_dsp.h': (
        'finish_dsp.c',
        'multiply_dsp.c',
        'vector_products_dsp.c',
    ),
}


def needed(
    text: str,
    root: pathlib.Path = ROOT,
    ops: Iterable[specs.Op] = specs.Op,
    target: kernel_targets.Target | None = None,
) -> tuple[str, ...]:
  """Returns the paths of headers and sources that a program needs, sorted.

  Args:
    text: of the program: C or C++.
    root: folder that holds tflm_ext.
    ops: whose kernels it calls. A header of another op is needed where a file
      includes it, but not the kernels that it declares.
    target: files for other instruction sets are left out, which are included
      under conditions; None: none are.

  Raises:
    FileNotFoundError: an included file is not there.
  """
  unused = {op.value for op in specs.Op} - {op.value for op in ops}
  found: set[str] = set()
  waiting = _INCLUDE.findall(text)
  while waiting:
    path = waiting.pop()
    if path in found or (target and _is_for_another(path, target)):
      continue
    if not (root / path).is_file():
      raise FileNotFoundError(
          f'{root / path} does not exist, but an exported program includes it: '
          'is this the whole source tree of tfmpq?'
      )
    found.add(path)
    waiting += _INCLUDE.findall((root / path).read_text())
    if path.endswith('.h') and _op_of(path) not in unused:
      waiting += _sources_of(path, root)
  return tuple(sorted(found))


def _op_of(header: str) -> str:
  """Returns the name of the op whose kernels a header declares, or another."""
  stem = pathlib.PurePath(header).stem
  return _SUFFIX.sub('', stem)


def _is_for_another(path: str, target: kernel_targets.Target) -> bool:
  """Returns whether a file is for another instruction set than `target`."""
  suffix = _SUFFIX.search(pathlib.PurePath(path).stem)
  return suffix is not None and suffix[1] != target.value


def _sources_of(header: str, root: pathlib.Path) -> list[str]:
  """Returns the sources that implement what a header declares."""
  path = pathlib.PurePath(header)
  candidates = [path.with_suffix('.c'), path.with_suffix('.cc')]
  candidates += [path.with_name(n) for n in _FURTHER_SOURCES.get(header, ())]
  return [str(c) for c in candidates if (root / c).is_file()]
