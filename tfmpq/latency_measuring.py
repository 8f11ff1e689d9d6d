"""Counts the instructions of layers on an emulated core.

tflm_ext/benchmarks/layer_counter.c calls the kernels; this module builds it,
hands it shapes and widths, and puts the counts into the table of the core. A
measurement that is stopped loses at most one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import hashlib
import math
import pathlib
import tempfile

import numpy as np

from tfmpq import bazel_build
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import latency_table
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import weight_layouts
from tfmpq.latency_table import InstructionTable
from tfmpq.latency_table import LayerCall

_TARGET = '//tflm_ext/benchmarks:layer_counter_{}'
_CASES = 'cases.bin'
# Of golden vectors (tflm_ext/kernels/kernels_test_case.h), whose ops these are,
# in the order of their numbers.
_MAGIC = b'TFMPQGV1'
_OPS = tuple(specs.Op)
# Any shift gives the same count, and so does any above 0 before the
# multiplication.
_SHIFT = 8
# Instructions of a batch, roughly: some ten seconds of emulation.
_BATCH_INSTRUCTIONS = 400_000_000
_BATCH_CALLS = 200
_INSTRUCTIONS_PER_MAC = 2
_INSTRUCTIONS_PER_ELEMENT = 10

# (core, program, its arguments, folder, source tree) -> what it printed.
Runner = Callable[
    [str, pathlib.Path, list[str], pathlib.Path, pathlib.Path], firmware.Report
]


def build(core: str, root: pathlib.Path) -> pathlib.Path:
  """Returns the program that counts; raises bazel_build.BuildError."""
  target = _TARGET.format(core)
  return bazel_build.build([target], [], root)[target]


def measure(
    folder: pathlib.Path,
    core: str,
    calls: Sequence[LayerCall],
    program: pathlib.Path,
    root: pathlib.Path,
    on_batch: Callable[[int], None],
    run: Runner = firmware.run,
) -> InstructionTable:
  """Counts what the table of a core lacks, and returns the table.

  Args:
    folder: of tables; the file of the core is written after each batch.
    core: one of firmware.CORES.
    calls: what is wanted.
    program: of `build`. Counts of another program are dropped first.
    root: the source tree.
    on_batch: receives the number of wanted counts that are there by now, once
      at the start and then after each batch.
    run: how programs are run.

  Raises:
    firmware.FirmwareError: the emulator is missing, a layer is too large for
      the board, or the program failed.
  """
  digest = hashlib.sha256(program.read_bytes()).hexdigest()
  table = latency_table.load(folder, core)
  if table.firmware != digest:
    table = InstructionTable(core, digest)
  missing = table.missing(calls)
  num_wanted = len(dict.fromkeys(calls))
  on_batch(num_wanted - len(missing))
  for batch in batches(missing):
    counts = count(core, batch, program, root, run)
    table = table.with_counts(dict(zip(batch, counts, strict=True)))
    run_dir.atomic_write(latency_table.path(folder, core), table.to_text())
    on_batch(num_wanted - len(table.missing(calls)))
  return table


def count(
    core: str,
    calls: Sequence[LayerCall],
    program: pathlib.Path,
    root: pathlib.Path,
    run: Runner = firmware.run,
) -> list[int]:
  """Returns the instructions of some layers, in one run of the program."""
  target = kernel_targets.of_core(core)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / _CASES).write_bytes(encode(calls, target))
    report = run(core, program, [_CASES], folder, root)
  if report.status != 0:
    raise firmware.FirmwareError(
        f'{program} has not counted {len(calls)} layers on {core}:\n'
        f'{report.output}'
    )
  return [report[f'case_{i}_instructions'] for i in range(len(calls))]


def batches(calls: Iterable[LayerCall]) -> Iterator[list[LayerCall]]:
  """Yields the calls in order, in groups that take seconds each."""
  batch: list[LayerCall] = []
  total = 0
  for call in calls:
    cost = _expected_instructions(call.geometry)
    full = total + cost > _BATCH_INSTRUCTIONS or len(batch) == _BATCH_CALLS
    if batch and full:
      yield batch
      batch, total = [], 0
    batch.append(call)
    total += cost
  if batch:
    yield batch


def encode(calls: Sequence[LayerCall], target: kernel_targets.Target) -> bytes:
  """Returns the file for layer_counter."""
  numbers = np.array([0, len(calls)], '<i4').tobytes()
  fields = np.array([_fields(call, target) for call in calls], '<i4')
  return _MAGIC + numbers + fields.tobytes()


def _fields(call: LayerCall, target: kernel_targets.Target) -> list[int]:
  """Returns the fields of GoldenFields, in their order."""
  shape = call.geometry
  second_bytes, parameters_bytes = _constant_bytes(call, target)
  return [
      _OPS.index(shape.op),
      call.a,
      call.w,
      call.o,
      *shape.input_shape,
      *shape.output_shape,
      *shape.kernel_size,
      *shape.stride,
      *shape.padding[:2],
      *(0, 0, 0),  # Zero points.
      _SHIFT,
      int(call.pre_shift),
      second_bytes,
      parameters_bytes,
      int(call.per_channel_zero_points),
  ]


def _constant_bytes(
    call: LayerCall, target: kernel_targets.Target
) -> tuple[int, int]:
  """Returns the bytes of weight or second input, and of the parameters."""
  shape, op = call.geometry, call.geometry.op
  height, width, channels = shape.input_shape
  if op is specs.Op.ADD:
    return height * width * -(-channels * call.w // 8), 0
  if op is specs.Op.MAX_POOL_2D:
    return 0, 0
  if op is specs.Op.AVERAGE_POOL_2D:
    taps = math.prod(shape.kernel_size) if any(shape.padding) else 1
    return 0, 4 * taps
  kernel = kernel_targets.kernel(target, shape, call.a, call.w, call.o)
  out_channels = shape.output_shape[2]
  zero_point_bytes = out_channels if call.per_channel_zero_points else 0
  weight_bytes = weight_layouts.packed_bytes(
      op, _weight_shape(shape), call.w, kernel.layout, call.a
  )
  return weight_bytes, 8 * out_channels + zero_point_bytes


def _weight_shape(shape: kernel_targets.Geometry) -> tuple[int, ...]:
  channels, out_channels = shape.input_shape[2], shape.output_shape[2]
  if shape.op is specs.Op.DEPTHWISE_CONV_2D:
    return (*shape.kernel_size, channels)
  if shape.op is specs.Op.CONV_2D:
    return (out_channels, *shape.kernel_size, channels)
  return (out_channels, channels)


def _expected_instructions(shape: kernel_targets.Geometry) -> int:
  elements = math.prod(shape.input_shape) + math.prod(shape.output_shape)
  taps = math.prod(shape.kernel_size)
  macs = taps * math.prod(shape.output_shape)
  if shape.op in (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED):
    macs *= shape.input_shape[2]
  return _INSTRUCTIONS_PER_MAC * macs + _INSTRUCTIONS_PER_ELEMENT * elements
