"""Builds a model exported as C, runs it on each core, measures and compares.

`tflm_deployment` does the same under TFLite Micro.

A run directory receives

    model.c, model.h           the export, for the instruction set of each
                               core (exporting.c_folder)
    deploy/images.bin          int8 codes of the images
    deploy/expected.bin        int8 logits of the NumPy reference
    deploy/<core>.elf          what was run
"""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import pathlib
import platform
import shutil
from typing import Any

import numpy as np

from tfmpq import backends
from tfmpq import bazel_build
from tfmpq import elf_sections
from tfmpq import exporting
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir

HOST = 'host'
CORES = (HOST, *firmware.CORES)

_FOLDER = 'deploy'
_IMAGES = 'images.bin'
_EXPECTED = 'expected.bin'
_TARGET = '//tflm_ext/runners:exported_{}'
# Names of tflm_ext/runners/sections.ld.
_CONSTANTS_SECTION = '.tfmpq_constants'
_CODE_SECTION = '.tfmpq_code'

# (cores, folder of model.c and model.h) -> core -> program.
Builder = Callable[[Sequence[str], pathlib.Path], dict[str, pathlib.Path]]


@dataclasses.dataclass(frozen=True)
class DeployResult:
  """One execution of a model on one machine.

  None stands for what cannot be measured there.

  Attributes:
    backend: 'c' or 'tflm'.
    target: instruction set whose kernels the export calls.
    core: one of CORES.
    machine: what ran it, such as 'mps2-an386 (QEMU)'.
    num_images: how many images it ran.
    logits_equal: whether all their logits equal the reference's, to the bit.
    ram_bytes_predicted: bytes of the arena as predicted for the core.
    ram_bytes_measured: of 'c', the end of the bytes of the arena that were
      written, rounded up to the arena's alignment of 16; of 'tflm', the
      smallest arena with which the interpreter starts.
    stack_bytes: stack that one inference needs; not part of ram_bytes.
    flash_bytes_predicted: bytes of constants by the memory model.
    const_bytes: bytes of the model's constants in the ELF file.
    code_bytes: .text and .rodata of the kernels in use, and of the model's
      calls or of the ops and TFLM, without libc, start-up and test program.
    instructions: the most that any of the images took. Not cycles.
    instructions_min: the fewest.
    tflite_ops: of 'tflm', 'custom' or 'builtin'.
    tflm_code_bytes: those of code_bytes that are in TFLM's library.
    arena_used_bytes: what TFLM reports of an arena with room to spare.
    arena_head_bytes: of these, activations and scratch memory.
    arena_tail_bytes: of these, structures that live as long as the interpreter.
  """

  backend: str
  target: str
  core: str
  machine: str
  num_images: int
  logits_equal: bool
  ram_bytes_predicted: int
  ram_bytes_measured: int
  stack_bytes: int | None
  flash_bytes_predicted: int
  const_bytes: int | None
  code_bytes: int | None
  instructions: int | None
  instructions_min: int | None
  tflite_ops: str | None = None
  tflm_code_bytes: int | None = None
  arena_used_bytes: int | None = None
  arena_head_bytes: int | None = None
  arena_tail_bytes: int | None = None

  def problems(self) -> list[str]:
    """Returns what differs from what was predicted; empty if all is well."""
    found = []
    if not self.logits_equal:
      found.append('logits differ from the reference')
    if self.ram_bytes_measured != self.ram_bytes_predicted:
      found.append(
          f'arena: {self.ram_bytes_predicted} bytes predicted, '
          f'{self.ram_bytes_measured} measured'
      )
    if self.const_bytes not in (None, self.flash_bytes_predicted):
      found.append(
          f'constants: {self.flash_bytes_predicted} bytes predicted, '
          f'{self.const_bytes} in the ELF file'
      )
    return [f'{self.core}, {self.machine}: {text}' for text in found]


def rows(
    results: Sequence[DeployResult], folder: pathlib.Path
) -> list[dict[str, Any]]:
  """Returns results as they stand in deploy.json.

  Args:
    results: of the network in the folder.
    folder: run directory. Rows carry a digest of its network, so that it is
      known later whether they still hold.
  """
  content = (folder / run_dir.QUANTIZED_NETWORK).read_bytes()
  digest = hashlib.sha256(content).hexdigest()
  return [dataclasses.asdict(r) | {'network': digest} for r in results]


def table(results: Sequence[DeployResult]) -> str:
  """Returns the figures as a table for a terminal, one line per core."""
  lines = [
      f'{"core":<11}{"machine":<22}{"backend":<13}{"logits":<11}{"RAM":>8}'
      f'{"stack":>7}'
      f'{"constants":>11}{"code":>8}{"instructions":>14}'
  ]
  for result in results:
    optional = (
        (result.stack_bytes, 7),
        (result.const_bytes, 11),
        (result.code_bytes, 8),
        (result.instructions, 14),
    )
    lines.append(
        f'{result.core:<11}{result.machine:<22}'
        f'{backends.title(result.backend, result.tflite_ops):<13}'
        f'{"equal" if result.logits_equal else "DIFFERENT":<11}'
        f'{result.ram_bytes_measured:>8,}'
        + ''.join(
            f'{"-" if value is None else format(value, ","):>{width}}'
            for value, width in optional
        )
    )
  return '\n'.join(lines)


def deploy(
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
    cores: Sequence[str],
    folder: pathlib.Path,
    *,
    expected: np.ndarray | None = None,
    root: pathlib.Path | None = None,
    build: Builder | None = None,
) -> list[DeployResult]:
  """Exports a network as C, builds it, and runs it on each core.

  Args:
    network: what to deploy.
    codes: int8 [N, H, W, C] network inputs, at least one.
    cores: of CORES; 'host' is this machine.
    folder: run directory, which receives the files named above.
    expected: int8 [N, 1, 1, classes]: what reference_ops.run gives for `codes`,
      if that is known already.
    root: the source tree; found if not given.
    build: how programs are made; Bazel if not given.

  Returns:
    One result per core. A difference is no error but part of the result:
    see DeployResult.problems.

  Raises:
    ValueError: an unknown core, or no images.
    bazel_build.BuildError: no program, for instance because a compiler is
      missing.
    firmware.FirmwareError: a program did not run to its end, for instance
      because an emulator is missing.
  """
  targets = kernel_targets.of_cores(cores)
  if not len(codes):
    raise ValueError('a deployment needs at least one image')
  root = root or bazel_build.workspace_root()
  exports = {t: exporting.export_c(network, folder, t) for t in targets}
  if expected is None:
    expected = reference_ops.run(network, codes)
  work = folder / _FOLDER
  run_dir.atomic_write(work / _IMAGES, codes.tobytes())
  run_dir.atomic_write(work / _EXPECTED, expected.tobytes())
  build = build or (lambda names, model: build_programs(names, model, root))
  programs: dict[str, pathlib.Path] = {}
  for target in targets:
    programs |= build(
        [c for c in cores if kernel_targets.of_core(c) is target],
        exporting.c_folder(folder, target),
    )
  return [
      _run(
          core,
          programs[core],
          work,
          root,
          exports[kernel_targets.of_core(core)],
      )
      for core in cores
  ]


def build_programs(
    cores: Sequence[str], folder: pathlib.Path, root: pathlib.Path
) -> dict[str, pathlib.Path]:
  """Builds the runner with the model in `folder`; returns core -> program.

  Args:
    cores: of one target.
    folder: of model.c and model.h for that target.
    root: the source tree.
  """
  digest = hashlib.sha256()
  for name in (run_dir.C_SOURCE, run_dir.C_HEADER):
    digest.update((folder / name).read_bytes())
  options = [
      f'--repo_env=TFMPQ_MODEL_DIR={folder.absolute()}',
      f'--repo_env=TFMPQ_MODEL_HASH={digest.hexdigest()}',
  ]
  targets = {core: _TARGET.format(core) for core in cores}
  files = bazel_build.build(list(targets.values()), options, root)
  return {core: files[target] for core, target in targets.items()}


def _run(
    core: str,
    program: pathlib.Path,
    work: pathlib.Path,
    root: pathlib.Path,
    export: exporting.Export,
) -> DeployResult:
  """Runs one program in `work` and puts its figures together."""
  # A copy, because the next build of another model replaces Bazel's.
  name = 'host' if core == HOST else f'{core}.elf'
  copy = work / name
  copy.unlink(missing_ok=True)
  shutil.copy(program, copy)
  files = [_IMAGES, _EXPECTED]
  sizes: dict[str, int] = {}
  if core == HOST:
    machine = platform.machine()
    report = firmware.run_program([str(copy.absolute()), *files], work)
  else:
    machine = firmware.machine(core, root)
    sizes = elf_sections.section_sizes(copy.read_bytes())
    report = firmware.run(core, copy, files, work, root)
  num_images = report['images']
  equal = report['equal_images'] == num_images
  if report.status != 0 and equal:
    raise firmware.FirmwareError(
        f'{core}: all logits are equal, yet the runner reports a failure:\n'
        f'{report.output}'
    )
  high_water = report['arena_high_water_bytes']
  return DeployResult(
      backend='c',
      target=export.target.value,
      core=core,
      machine=machine,
      num_images=num_images,
      logits_equal=equal,
      ram_bytes_predicted=export.predicted.ram_bytes,
      ram_bytes_measured=memory_planner.align_up(high_water),
      stack_bytes=report.results.get('stack_bytes'),
      flash_bytes_predicted=export.predicted.flash_bytes,
      const_bytes=sizes.get(_CONSTANTS_SECTION),
      code_bytes=sizes.get(_CODE_SECTION),
      instructions=report.results.get('instructions_max'),
      instructions_min=report.results.get('instructions_min'),
  )
