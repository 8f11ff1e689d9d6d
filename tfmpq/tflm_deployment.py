"""Runs an exported .tflite under TFLite Micro on each core, and measures.

A run directory receives

    model.tflite                the export; dsp/model.tflite that for cores with
                                DSP instructions; model_builtin.tflite the one
                                with TFLM's own ops
    tflm/<name>/                the export as C++ sources (tflm_sources)
    deploy/images.bin           int8 codes of the images
    deploy/expected.bin         int8 logits of the reference
    deploy/tflm_<core>.elf      what was run
"""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import os
import pathlib
import platform
import shutil

import numpy as np

from tfmpq import bazel_build
from tfmpq import deployment
from tfmpq import elf_sections
from tfmpq import exporting
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflm_arena
from tfmpq import tflm_builtin_memory
from tfmpq import tflm_custom_memory
from tfmpq import tflm_sources
from tfmpq import tflm_structures

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
_LIBRARY = 'lib/{}/libtensorflow-microlite.a'
# The smallest arena is about as large as what TFLM uses.
_FIRST_STEP = 16


@dataclasses.dataclass(frozen=True)
class Deployment:
  """A model for one core.

  Attributes:
    core: one of deployment.CORES.
    export: what runs there.
    need: of the arena, as predicted.
  """

  core: str
  export: exporting.Export
  need: tflm_arena.ArenaNeed


def deploy(
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
    cores: Sequence[str],
    folder: pathlib.Path,
    *,
    tflite_ops: str = 'custom',
    root: pathlib.Path | None = None,
    build: deployment.Builder | None = None,
) -> list[deployment.DeployResult]:
  """Exports a network as .tflite and runs it under TFLM on each core.

  Args:
    network: what to deploy.
    codes: int8 [N, H, W, C] network inputs, at least one.
    cores: of deployment.CORES; 'host' is this machine.
    folder: run directory, which receives the files named above.
    tflite_ops: 'custom' or 'builtin'.
    root: the source tree; found if not given.
    build: how programs are made of a folder of sources; Bazel if not given.

  Returns:
    As `run`.

  Raises:
    ValueError: as `run`; an unknown core; builtin ops cannot compute the
      network.
    bazel_build.BuildError: as `run`.
    firmware.FirmwareError: as `run`.
  """
  targets = kernel_targets.of_cores(cores)
  if tflite_ops == 'builtin':
    export = exporting.export_builtin(network, folder, codes)
    model = tflite_file.parse(export.paths[0].read_bytes())
    expected = tflite_builtin_reference.run(model, codes)
    exports = dict.fromkeys(targets, export)
  else:
    expected = reference_ops.run(network, codes)
    exports = {
        target: exporting.export_tflite(network, folder, codes, target)
        for target in targets
    }
  deployments = []
  for core in cores:
    export = exports[kernel_targets.of_core(core)]
    need = arena_need(network, export, core)
    deployments.append(Deployment(core, export, need))
  return run(deployments, codes, expected, folder, root=root, build=build)


def missing_sdk(cores: Sequence[str]) -> str:
  """Returns what is missing to build for some cores, '' if nothing is."""
  default = pathlib.Path('~/.cache/tfmpq/tflm').expanduser()
  folder = pathlib.Path(os.environ.get('TFLM_ROOT') or default)
  files = ['include', *(_LIBRARY.format(core) for core in cores)]
  missing = [name for name in files if not (folder / name).exists()]
  if not missing:
    return ''
  return (
      f'TensorFlow Lite Micro is expected in {folder}, which lacks '
      f'{", ".join(missing)}; TFLM_ROOT may name another folder'
  )


def arena_need(
    network: quantized_network.QuantizedNetwork,
    export: exporting.Export,
    core: str,
) -> tflm_arena.ArenaNeed:
  """Returns what a model is predicted to need of the arena on a core."""
  pointer_bytes = 8 if core == deployment.HOST else 4
  if export.tflite_ops == 'custom':
    return tflm_custom_memory.arena_need(
        network.spec, network.policy, export.target, pointer_bytes
    )
  model = tflite_file.parse(export.paths[0].read_bytes())
  kernels = tflm_builtin_memory.of_core(core)
  return tflm_arena.arena_need(
      tflm_builtin_memory.graph(model, kernels, pointer_bytes),
      tflm_structures.structures(pointer_bytes),
  )


def run(
    deployments: Sequence[Deployment],
    codes: np.ndarray,
    expected: np.ndarray,
    folder: pathlib.Path,
    *,
    root: pathlib.Path | None = None,
    build: deployment.Builder | None = None,
) -> list[deployment.DeployResult]:
  """Builds firmware around .tflite files and runs it on each core.

  Args:
    deployments: one per core.
    codes: int8 [N, H, W, C] network inputs, at least one.
    expected: int8 [N, ...]: what a reference gives for `codes`.
    folder: run directory.
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
  by_name: dict[str, list[Deployment]] = {}
  for item in deployments:
    by_name.setdefault(item.export.name, []).append(item)
  programs: dict[str, pathlib.Path] = {}
  for name, items in by_name.items():
    sources = folder / _SOURCE_FOLDER / name
    write_sources(items[0].export.paths[0].read_bytes(), sources)
    programs |= build([item.core for item in items], sources)
  return [_run(item, programs[item.core], work, root) for item in deployments]


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


class _Program:
  """A runner with its model, and the machine that it runs on."""

  def __init__(self, core: str, built: pathlib.Path, work: pathlib.Path, root):
    self._core = core
    self._work = work
    self._root = root
    # A copy, because the next build of another model replaces Bazel's.
    is_host = core == deployment.HOST
    self.path = work / ('tflm_host' if is_host else f'tflm_{core}.elf')
    self.path.unlink(missing_ok=True)
    shutil.copy(built, self.path)
    self.machine = (
        platform.machine() if is_host else firmware.machine(core, root)
    )

  def run(self, arena_bytes: int, *files: str) -> firmware.Report:
    """Runs the model in an arena of some bytes."""
    arguments = [_EMBEDDED, str(arena_bytes), *files]
    if self._core == deployment.HOST:
      command = [str(self.path.absolute()), *arguments]
      return firmware.run_program(command, self._work)
    return firmware.run(
        self._core, self.path, arguments, self._work, self._root
    )

  def starts(self, arena_bytes: int) -> bool:
    """Whether all tensors can be allocated in an arena of some bytes."""
    # A program that TFLM stops by an assertion prints no such line.
    return self.run(arena_bytes).results.get('allocated') == 1

  def section_bytes(self) -> dict[str, int]:
    """Returns section -> bytes; nothing on the host."""
    if self._core == deployment.HOST:
      return {}
    return elf_sections.section_sizes(self.path.read_bytes())


def _run(
    item: Deployment, built: pathlib.Path, work: pathlib.Path, root
) -> deployment.DeployResult:
  """Runs one program and puts its figures together."""
  program = _Program(item.core, built, work, root)
  report = program.run(_WHOLE_ARENA, _IMAGES, _EXPECTED)
  equal = report['equal_images'] == report['images']
  if report.status != 0 and equal:
    raise firmware.FirmwareError(
        f'{item.core}: all logits are equal, yet the runner reports a failure:'
        f'\n{report.output}'
    )
  used_bytes = report['arena_used_bytes']
  sizes = program.section_bytes()
  code = [sizes.get(name, 0) for name in _CODE_SECTIONS]
  return deployment.DeployResult(
      backend='tflm',
      target=item.export.target.value,
      core=item.core,
      machine=program.machine,
      num_images=report['images'],
      logits_equal=equal,
      ram_bytes_predicted=item.need.arena_bytes,
      ram_bytes_measured=smallest_arena(used_bytes, program.starts),
      stack_bytes=report.results.get('stack_bytes'),
      flash_bytes_predicted=item.export.predicted.flash_bytes,
      const_bytes=sizes.get(_CONSTANTS_SECTION),
      code_bytes=sum(code) or None,
      instructions=report.results.get('instructions_max'),
      instructions_min=report.results.get('instructions_min'),
      tflite_ops=item.export.tflite_ops,
      tflm_code_bytes=sizes.get(_CODE_SECTIONS[1]),
      arena_used_bytes=used_bytes,
      arena_head_bytes=report.results.get('arena_head_bytes'),
      arena_tail_bytes=report.results.get('arena_tail_bytes'),
  )
