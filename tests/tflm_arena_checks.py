"""Measures the arenas of models and compares them with predictions."""

from collections.abc import Iterable
import pathlib
import re

from tests import tflm_arena_cases
from tfmpq import firmware

DEVICES = firmware.CORES
CORES = ('host', *DEVICES)

_ROOT = pathlib.Path('.')
_PROGRAMS = 'tflm_ext/runners'
_MODEL = re.compile(r'^result model \d+\r?\n', re.MULTILINE)
_RESULT = re.compile(r'^result (\w+) (\d+)\r?$', re.MULTILINE)


def check(
    core: str, cases: Iterable[tflm_arena_cases.Case], folder: pathlib.Path
) -> None:
  """Asserts that every prediction is what a core measures.

  Args:
    core: one of CORES.
    cases: models, made for that core.
    folder: where to write them.
  """
  cases = list(cases)
  names = [f'{i}.tflite' for i in range(len(cases))]
  for name, case in zip(names, cases, strict=True):
    (folder / name).write_bytes(case.tflite)
  measured = _measure(core, names, folder)
  for case, found in zip(cases, measured, strict=True):
    need = case.need
    assert found['smallest_arena_bytes'] == need.arena_bytes, case.name
    assert found['smallest_used_bytes'] == need.used_bytes, case.name


def run(
    program: str, core: str, arguments: list[str], folder: pathlib.Path
) -> firmware.Report:
  """Runs a program of tflm_ext/runners on a core.

  Args:
    program: prefix of its targets.
    core: one of CORES.
    arguments: of its main().
    folder: where it opens files.
  """
  path = (_ROOT / _PROGRAMS / f'{program}_{core}').absolute()
  if core == 'host':
    return firmware.run_program([str(path), *arguments], folder)
  elf = path.with_suffix('.elf')
  return firmware.run(core, elf, arguments, folder, _ROOT)


def _measure(core, names, folder) -> list[dict[str, int]]:
  """Returns, of each model, what tflm_smallest_arena.cc prints."""
  report = run('tflm_smallest_arena', core, names, folder)
  assert report.status == 0, report.output[-2000:]
  _, *outputs = _MODEL.split(report.output)
  return [
      {name: int(value) for name, value in _RESULT.findall(output)}
      for output in outputs
  ]
