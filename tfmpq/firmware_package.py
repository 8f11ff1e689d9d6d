"""A folder with a model and all that a firmware needs to run it.

    model/            model.c and model.h, or model_data.h and .cc with the
                      .tflite, model_ops.h, and model.tflite itself
    tflm_ext/         the kernels, and for TFLite Micro the ops, that it uses
    CMakeLists.txt    a library of them, `tfmpq_model`
    example.c or .cc  how to call it
    README.md LICENSE

It refers to nothing outside, except for TFLite Micro to that.
"""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

from tfmpq import c_writer
from tfmpq import exporting
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import package_texts
from tfmpq import quantized_network
from tfmpq import run_dir
from tfmpq import source_closure
from tfmpq import tflite_file
from tfmpq import tflite_options
from tfmpq import tflm_sources

_LICENSE = 'LICENSE'
_OWN_FILES = ('CMakeLists.txt', 'README.md', 'LICENSE')


def c_package(
    network: quantized_network.QuantizedNetwork,
    core: str,
    root: pathlib.Path = source_closure.ROOT,
) -> dict[str, str]:
  """Returns path in the package -> content, for plain C without interpreter.

  Args:
    network: what the firmware runs.
    core: where; see `kernel_targets`.
    root: folder that holds tflm_ext and LICENSE.

  Raises:
    ValueError: an unknown core.
    FileNotFoundError: a kernel is not there.
  """
  target = kernel_targets.of_core(core)
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  text = c_writer.write(network, plan.offsets, plan.size_bytes, target=target)
  kernels = source_closure.needed(text.source, root)
  facts = package_texts.Facts(
      name=network.spec.name,
      backend='c',
      core=core,
      sources=('model/model.c', *_sources(kernels)),
      ram_bytes=plan.size_bytes,
      flash_bytes=exporting.c_constant_bytes(text.source),
  )
  return {
      f'model/{run_dir.C_SOURCE}': text.source,
      f'model/{run_dir.C_HEADER}': text.header,
      'example.c': package_texts.C_EXAMPLE,
      **_common(facts, kernels, root),
  }


def tflm_package(
    tflite: bytes,
    core: str,
    ram_bytes: int,
    root: pathlib.Path = source_closure.ROOT,
) -> dict[str, str | bytes]:
  """Returns path in the package -> content, for TFLite Micro.

  Args:
    tflite: content of the model, with custom or builtin ops.
    core: where it runs; the weights have the layout for its kernels.
    ram_bytes: of the arena, on a 32-bit Arm core.
    root: folder that holds tflm_ext and LICENSE.

  Raises:
    ValueError: an unknown core, or no such model.
    FileNotFoundError: a kernel is not there.
  """
  target = kernel_targets.of_core(core)
  model = tflite_file.parse(tflite)
  ops = {
      tflite_options.op_of(o.custom_code)
      for o in model.operators
      if o.custom_code
  }
  header = package_texts.model_ops(
      tflm_sources.registrations(tflite),
      'tflm_ext/ops/register_ops.h' if ops else 'tflm_ext/ops/tflm.h',
  )
  kernels = source_closure.needed(header, root, ops, target)
  facts = package_texts.Facts(
      name=model.name,
      backend='tflm',
      core=core,
      sources=('model/model_data.cc', *_sources(kernels)),
      ram_bytes=ram_bytes,
      flash_bytes=len(tflite),
  )
  return {
      f'model/{run_dir.TFLITE}': tflite,
      'model/model_data.h': package_texts.model_data_header(facts),
      'model/model_data.cc': package_texts.model_data(tflite),
      'model/model_ops.h': header,
      'example.cc': package_texts.TFLM_EXAMPLE,
      **_common(facts, kernels, root),
  }


def write(files: Mapping[str, str | bytes], folder: pathlib.Path) -> None:
  """Writes a package into a folder, which may be one of an older package.

  Raises:
    ValueError: the folder holds something else.
  """
  if folder.exists() and any(folder.iterdir()):
    missing = [name for name in _OWN_FILES if not (folder / name).is_file()]
    if missing:
      raise ValueError(
          f'{folder} is neither empty nor a package of a model (it holds no '
          f'{", ".join(missing)}): name another folder'
      )
    for path in _old_files(folder):
      path.unlink()
  for name, content in files.items():
    run_dir.atomic_write(folder / name, content)


def _old_files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the files of an older package that a newer one might not have."""
  return [
      path
      for name in ('model', 'tflm_ext')
      for path in (folder / name).rglob('*')
      if path.suffix in ('.c', '.cc', '.h', '.tflite')
  ]


def _sources(paths: tuple[str, ...]) -> tuple[str, ...]:
  return tuple(p for p in paths if p.endswith(('.c', '.cc')))


def _common(
    facts: package_texts.Facts, kernels: tuple[str, ...], root: pathlib.Path
) -> dict[str, str]:
  """Returns what packages of all backends have."""
  return {
      'CMakeLists.txt': package_texts.cmake(facts),
      'README.md': package_texts.readme(facts),
      _LICENSE: (root / _LICENSE).read_text(),
      **{path: (root / path).read_text() for path in kernels},
  }
