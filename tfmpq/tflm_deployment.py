"""Runs an exported .tflite under TFLite Micro on each core, and measures.

A run directory receives

    model.tflite                the export; dsp/model.tflite that for cores with
                                DSP instructions
    tflm/<target>/              the export as C++ sources (tflm_sources)
    deploy/images.bin           int8 codes of the images
    deploy/expected.bin         int8 logits of the reference
    deploy/tflm_<core>.elf      what was run
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import pathlib
import platform
import shutil

import numpy as np

from tfmpq import bazel_build
from tfmpq import deployment
from tfmpq import elf_sections
from tfmpq import exporting
from tfmpq import firmware
from tfmpq import run_dir
from tfmpq import tflm_sources

_WORK_FOLDER = 'deploy'
_SOURCE_FOLDER = 'tflm'
_IMAGES = 'images.bin'
_EXPECTED = 'expected.bin'
_EMBEDDED = 'embedded'
_WHOLE_ARENA = 0
_TARGET = '//tflm_ext/runners:exported_tflm_{}'
# Names of tflm_ext/runners/sections.ld.
_CONSTANTS_SECTION = '.tfmpq_constants'
_CODE_SECTIONS = ('.tfmpq_code', '.tflm_code')
# The smallest arena is about as large as what TFLM uses.
_FIRST_STEP = 16


def deploy(
    exports: Mapping[str, exporting.Export],
    codes: np.ndarray,
    expected: np.ndarray,
    folder: pathlib.Path,
    *,
    root: pathlib.Path | None = None,
    build: deployment.Builder | None = None,
) -> list[deployment.DeployResult]:
  """Builds firmware around .tflite files and runs it on each core.

  Args:
    exports: core -> what runs there; cores as in deployment.CORES.
    codes: int8 [N, H, W, C] network inputs, at least one.
    expected: int8 [N, ...]: what a reference gives for `codes`.
    folder: run directory, which receives the files named above.
    root: the source tree; found if not given.
    build: how programs are made of a folder of sources; Bazel if not given.

  Returns:
    One result per core. A difference is no error but part of the result:
    see DeployResult.problems.

  Raises:
    ValueError: no images.
    bazel_build.BuildError: no program, for instance because a compiler or TFLM
      is missing.
    firmware.FirmwareError: a program did not run to its end.
  """
  if not len(codes):
    raise ValueError('a deployment needs at least one image')
  root = root or bazel_build.workspace_root()
  work = folder / _WORK_FOLDER
  run_dir.atomic_write(work / _IMAGES, codes.tobytes())
  run_dir.atomic_write(work / _EXPECTED, expected.tobytes())
  build = build or (lambda names, model: build_programs(names, model, root))
  by_path: dict[pathlib.Path, list[str]] = {}
  for core, export in exports.items():
    by_path.setdefault(export.paths[0], []).append(core)
  programs: dict[str, pathlib.Path] = {}
  for path, cores in by_path.items():
    sources = folder / _SOURCE_FOLDER / exports[cores[0]].target.value
    write_sources(path.read_bytes(), sources)
    programs |= build(cores, sources)
  return [
      _run(core, programs[core], export, work, root)
      for core, export in exports.items()
  ]


def write_sources(tflite: bytes, folder: pathlib.Path) -> None:
  """Writes a model as C++ sources into a folder."""
  data, ops = tflm_sources.model_data(tflite), tflm_sources.model_ops(tflite)
  run_dir.atomic_write(folder / tflm_sources.DATA_FILE, data)
  run_dir.atomic_write(folder / tflm_sources.OPS_FILE, ops)


def build_programs(
    cores: Sequence[str], sources: pathlib.Path, root: pathlib.Path
) -> dict[str, pathlib.Path]:
  """Builds the runner with the model in `sources`; returns core -> program."""
  digest = hashlib.sha256()
  for name in (tflm_sources.DATA_FILE, tflm_sources.OPS_FILE):
    digest.update((sources / name).read_bytes())
  options = [
      f'--repo_env=TFMPQ_TFLM_MODEL_DIR={sources.absolute()}',
      f'--repo_env=TFMPQ_TFLM_MODEL_HASH={digest.hexdigest()}',
  ]
  targets = {core: _TARGET.format(core) for core in cores}
  files = bazel_build.build(list(targets.values()), options, root)
  return {core: files[target] for core, target in targets.items()}


def smallest_arena(used_bytes: int, starts: Callable[[int], bool]) -> int:
  """Returns the smallest arena with which a model starts, in bytes.

  Args:
    used_bytes: what TFLM reports as used; close to the answer.
    starts: bytes -> whether all tensors can be allocated; more never hurts.

  Raises:
    firmware.FirmwareError: the model does not even start with 16 times as much.
  """
  step = _FIRST_STEP
  enough = used_bytes
  while not starts(enough):
    if enough > 16 * used_bytes:
      raise firmware.FirmwareError(
          f'TFLM reports {used_bytes} used bytes, but does not start with an '
          f'arena of {enough}'
      )
    enough, step = enough + step, 2 * step
  step = _FIRST_STEP
  too_few = max(enough - 1, 0)
  while too_few and starts(too_few):
    enough, too_few, step = too_few, max(too_few - step, 0), 2 * step
  while enough - too_few > 1:
    middle = (enough + too_few) // 2
    if starts(middle):
      enough = middle
    else:
      too_few = middle
  return enough


def _run(
    core: str,
    program: pathlib.Path,
    export: exporting.Export,
    work: pathlib.Path,
    root: pathlib.Path,
) -> deployment.DeployResult:
  """Runs one program in `work` and puts its figures together."""
  is_host = core == deployment.HOST
  # A copy, because the next build of another model replaces Bazel's.
  copy = work / ('tflm_host' if is_host else f'tflm_{core}.elf')
  copy.unlink(missing_ok=True)
  shutil.copy(program, copy)

  def run(arena_bytes: int, *files: str) -> firmware.Report:
    arguments = [_EMBEDDED, str(arena_bytes), *files]
    if is_host:
      return firmware.run_program([str(copy.absolute()), *arguments], work)
    return firmware.run(core, copy, arguments, work, root)

  def starts(arena_bytes: int) -> bool:
    # A program that TFLM stops by an assertion prints no such line.
    return run(arena_bytes).results.get('allocated') == 1

  report = run(_WHOLE_ARENA, _IMAGES, _EXPECTED)
  num_images = report['images']
  equal = report['equal_images'] == num_images
  if report.status != 0 and equal:
    raise firmware.FirmwareError(
        f'{core}: all logits are equal, yet the runner reports a failure:\n'
        f'{report.output}'
    )
  used_bytes = report['arena_used_bytes']
  sizes = {} if is_host else elf_sections.section_sizes(copy.read_bytes())
  code = [sizes.get(name) for name in _CODE_SECTIONS]
  return deployment.DeployResult(
      backend='tflm',
      target=export.target.value,
      core=core,
      machine=platform.machine() if is_host else firmware.machine(core, root),
      num_images=num_images,
      logits_equal=equal,
      ram_bytes_predicted=None if is_host else export.predicted.ram_bytes,
      ram_bytes_measured=smallest_arena(used_bytes, starts),
      stack_bytes=report.results.get('stack_bytes'),
      flash_bytes_predicted=export.predicted.flash_bytes,
      const_bytes=sizes.get(_CONSTANTS_SECTION),
      code_bytes=None if is_host else sum(size or 0 for size in code),
      instructions=report.results.get('instructions_max'),
      instructions_min=report.results.get('instructions_min'),
      tflm_code_bytes=code[1],
      arena_used_bytes=used_bytes,
      arena_head_bytes=report.results.get('arena_head_bytes'),
      arena_tail_bytes=report.results.get('arena_tail_bytes'),
  )
