"""Golden vectors: cases that every implementation of the ops must reproduce.

    bazel run //tests:golden_vectors -- \\
        --output=$PWD/tests/testdata/golden_vectors.bin

writes the committed file anew; golden_test checks that it is fresh. A bigger
set with another seed is made at build time (tests/BUILD).

File format: a header and then the cases, one after another; all numbers are
little-endian int32.

    header  8 bytes  b'TFMPQGV1'
            int32    seed that made the file
            int32    number of cases
    case    24 int32 FIELDS, in that order
            bytes    input, second, parameters, output: packed as in
                     tflm_ext/README.md, lengths in the case's fields, nothing
                     between them

`second` is the weight, or the second input of an add. Fields that mean nothing
for an op are 0.
"""

import argparse
from collections.abc import Iterator
import itertools
import pathlib

import numpy as np

from tests import golden_cases
from tfmpq import packing
from tfmpq import specs
from tfmpq import weight_layouts

MAGIC = b'TFMPQGV1'
HEADER_BYTES = 16
SEED = 20261124
CASES_PER_COMBINATION = 4
MAX_CASE_BYTES = 700

# The position of an op is its number in the file.
OPS = (
    specs.Op.CONV_2D,
    specs.Op.DEPTHWISE_CONV_2D,
    specs.Op.FULLY_CONNECTED,
    specs.Op.ADD,
    specs.Op.AVERAGE_POOL_2D,
    specs.Op.MAX_POOL_2D,
)

FIELDS = (
    'op',
    'a_bits',
    'w_bits',  # Of the weight or of the second input of an add.
    'o_bits',
    'input_height',
    'input_width',
    'input_channels',
    'output_height',
    'output_width',
    'output_channels',
    'kernel_height',
    'kernel_width',
    'stride_height',
    'stride_width',
    'pad_top',
    'pad_left',
    'input_zero_point',
    'second_zero_point',  # Of all weights or of the second input of an add.
    'output_zero_point',
    'shift',
    'pre_shift',
    'second_bytes',
    'parameters_bytes',
    'per_channel_zero_points',  # 1: the parameters hold z_w of each channel.
)


def combinations(op: specs.Op) -> list[tuple[int, int, int]]:
  """Returns all widths of an op: input, weight or second input, output."""
  widths = specs.BIT_WIDTHS
  if op is specs.Op.MAX_POOL_2D:
    return [(a, 0, a) for a in widths]
  if op is specs.Op.AVERAGE_POOL_2D:
    return [(a, 0, o) for a, o in itertools.product(widths, widths)]
  return list(itertools.product(widths, widths, widths))


def random_case(
    rng: np.random.RandomState,
    op: specs.Op,
    bits: tuple[int, int, int],
    extreme: bool,
) -> golden_cases.Case:
  """Returns one case of that op and these widths."""
  if op is specs.Op.ADD:
    return golden_cases.add_case(rng, bits, extreme)
  if op is specs.Op.AVERAGE_POOL_2D:
    return golden_cases.average_pool_case(rng, bits, extreme)
  if op is specs.Op.MAX_POOL_2D:
    return golden_cases.max_pool_case(rng, bits, extreme)
  return golden_cases.weighted_case(rng, op, bits, extreme)


def special_cases(rng: np.random.RandomState) -> Iterator[golden_cases.Case]:
  """Yields cases that random shapes do not reach."""
  for bits in ((8, 8, 8), (8, 4, 8), (2, 2, 8)):
    for channels in ((515, 3), (1, 1)):
      yield golden_cases.weighted_case(
          rng, specs.Op.FULLY_CONNECTED, bits, False, channels
      )
  for image_size in ((255, 1), (1, 255), (7, 7)):
    for bits in ((8, 0, 8), (4, 0, 8), (2, 0, 2)):
      yield golden_cases.average_pool_case(rng, bits, False, image_size)


def cases(
    seed: int, per_combination: int, max_case_bytes: int
) -> Iterator[golden_cases.Case]:
  """Yields `per_combination` cases of all ops and widths, then special ones.

  RandomState and not default_rng: NumPy promises that its numbers never change.

  Args:
    seed: of everything random; equal arguments give equal cases.
    per_combination: every second one is extreme.
    max_case_bytes: random cases that take more are drawn again.
  """
  rng = np.random.RandomState(seed)
  for op in OPS:
    for bits in combinations(op):
      for i in range(per_combination):
        case = random_case(rng, op, bits, extreme=i % 2 == 1)
        while len(encode_case(case)) > max_case_bytes:
          case = random_case(rng, op, bits, extreme=i % 2 == 1)
        yield case
  yield from special_cases(rng)


def encode_case(
    case: golden_cases.Case, layout: int = weight_layouts.PLAIN
) -> bytes:
  """Returns the bytes of a case: fields, then buffers.

  Args:
    case: what to encode.
    layout: of the weight, where its op has that layout.
  """
  layer, (a_bits, w_bits, o_bits) = case.layer, case.bits
  is_add = layer.op is specs.Op.ADD
  second = b''
  if is_add:
    second = packing.pack(case.inputs[1], w_bits).tobytes()
  elif case.weight is not None:
    if not weight_layouts.layout_exists(layer.op, layout):
      layout = weight_layouts.PLAIN
    second = weight_layouts.pack(layer.op, case.weight, w_bits, layout, a_bits)
  per_channel = case.weight_zero_point == golden_cases.NOT_A_ZERO_POINT
  fields = (
      OPS.index(layer.op),
      a_bits,
      w_bits,
      o_bits,
      *case.inputs[0].shape,
      *case.output.shape,
      *layer.kernel_size,
      *layer.stride,
      *layer.padding[:2],
      case.zero_points[0],
      case.zero_points[1] if is_add else case.weight_zero_point,
      case.zero_points[2],
      *case.shifts,
      len(second),
      len(case.parameters),
      int(per_channel),
  )
  assert len(fields) == len(FIELDS)
  return b''.join(
      (
          np.array(fields, '<i4').tobytes(),
          packing.pack(case.inputs[0], a_bits).tobytes(),
          second,
          case.parameters,
          packing.pack(case.output, o_bits).tobytes(),
      )
  )


def encode(
    seed: int,
    per_combination: int,
    max_case_bytes: int,
    layout: int = weight_layouts.PLAIN,
) -> bytes:
  """Returns the bytes of a file; arguments as for `cases`, `encode_case`."""
  encoded = [
      encode_case(case, layout)
      for case in cases(seed, per_combination, max_case_bytes)
  ]
  numbers = np.array([seed, len(encoded)], '<i4').tobytes()
  return MAGIC + numbers + b''.join(encoded)


def summary(data: bytes) -> str:
  """Returns a line that says what a file holds."""
  seed, count = np.frombuffer(data, '<i4', 2, len(MAGIC))
  return f'seed {seed}: {count} cases, {len(data)} bytes'


def main() -> None:
  """Writes a file of golden vectors."""
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--seed', type=int, default=SEED)
  parser.add_argument(
      '--cases_per_combination', type=int, default=CASES_PER_COMBINATION
  )
  parser.add_argument('--max_case_bytes', type=int, default=MAX_CASE_BYTES)
  parser.add_argument('--layout', type=int, default=weight_layouts.PLAIN)
  args = parser.parse_args()
  data = encode(
      args.seed, args.cases_per_combination, args.max_case_bytes, args.layout
  )
  args.output.write_bytes(data)
  print(summary(data))


if __name__ == '__main__':
  main()
