"""The committed golden vectors are fresh, complete and worth running."""

import collections
import pathlib

import numpy as np
import pytest

from tests import golden_cases
from tests import golden_vectors
from tfmpq import packing
from tfmpq import specs

_FILE = pathlib.Path('tests/testdata/golden_vectors.bin')
_MAX_FILE_BYTES = 200_000


@pytest.fixture(scope='module', name='cases')
def all_cases() -> list[golden_cases.Case]:
  return list(
      golden_vectors.cases(
          golden_vectors.SEED,
          golden_vectors.CASES_PER_COMBINATION,
          golden_vectors.MAX_CASE_BYTES,
      )
  )


def weighted(cases):
  return [c for c in cases if c.layer.op in specs.WEIGHTED_OPS]


def test_committed_file_is_what_the_generator_writes():
  fresh = golden_vectors.encode(
      golden_vectors.SEED,
      golden_vectors.CASES_PER_COMBINATION,
      golden_vectors.MAX_CASE_BYTES,
  )
  assert fresh == _FILE.read_bytes(), (
      'run `bazel run //tests:golden_vectors -- '
      '--output=$PWD/tests/testdata/golden_vectors.bin`'
  )
  assert len(fresh) <= _MAX_FILE_BYTES


def test_another_seed_gives_other_cases():
  first, second = (golden_vectors.encode(seed, 1, 500) for seed in (1, 2))
  assert first[golden_vectors.HEADER_BYTES :] != (
      second[golden_vectors.HEADER_BYTES :]
  )


def test_fields_and_lengths_account_for_every_byte():
  data = _FILE.read_bytes()
  assert data.startswith(golden_vectors.MAGIC)
  seed, count = np.frombuffer(data, '<i4', 2, len(golden_vectors.MAGIC))
  assert seed == golden_vectors.SEED
  position = golden_vectors.HEADER_BYTES
  for _ in range(count):
    numbers = np.frombuffer(
        data, '<i4', len(golden_vectors.FIELDS), position
    ).tolist()
    fields = dict(zip(golden_vectors.FIELDS, numbers, strict=True))
    position += 4 * len(numbers)
    for end, bits in (('input', 'a_bits'), ('output', 'o_bits')):
      shape = tuple(
          fields[f'{end}_{axis}'] for axis in ('height', 'width', 'channels')
      )
      position += packing.activation_bytes(shape, fields[bits])
    position += fields['second_bytes'] + fields['parameters_bytes']
  assert position == len(data)


def test_every_op_has_every_combination_of_widths(cases):
  seen = collections.Counter((c.layer.op, c.bits) for c in cases)
  sizes = {op: len(golden_vectors.combinations(op)) for op in specs.Op}
  assert sizes == {
      specs.Op.CONV_2D: 27,
      specs.Op.DEPTHWISE_CONV_2D: 27,
      specs.Op.FULLY_CONNECTED: 27,
      specs.Op.ADD: 27,
      specs.Op.AVERAGE_POOL_2D: 9,
      specs.Op.MAX_POOL_2D: 3,
  }
  for op in specs.Op:
    for bits in golden_vectors.combinations(op):
      assert seen[op, bits] >= golden_vectors.CASES_PER_COMBINATION


def test_geometry_covers_what_the_contract_allows(cases):
  layers = [c.layer for c in cases]
  channels = {c.inputs[0].shape[2] for c in cases}
  assert {n % 4 for n in channels} == {0, 1, 2, 3}
  assert 1 in channels and max(channels) >= 33
  assert any(c.inputs[0].shape[:2] == (1, 1) for c in cases)
  assert {s for layer in layers for s in layer.stride} == {1, 2, 3}
  kernels = {layer.kernel_size for layer in layers}
  assert {1, 2, 3, 4, 5} <= {k for kernel in kernels for k in kernel}
  assert any(height != width for height, width in kernels)
  padded_sides = {
      tuple(amount > 0 for amount in layer.padding) for layer in layers
  }
  for side in range(4):
    assert tuple(i == side for i in range(4)) in padded_sides


def test_extremes_are_reached(cases):
  shifts = {c.shifts[0] for c in cases}
  assert {1, 31} <= shifts
  assert max(c.shifts[1] for c in cases) > 10
  per_channel = [
      c.weight_zero_point == golden_cases.NOT_A_ZERO_POINT
      for c in weighted(cases)
      if c.bits[1] != 8
  ]
  assert 0.3 < np.mean(per_channel) < 0.7
  pairs = [
      np.frombuffer(c.parameters, '<i4', 2 * c.output.shape[2])
      for c in weighted(cases)
  ]
  multipliers = np.concatenate([p[1::2] for p in pairs])
  biases = np.concatenate([p[::2] for p in pairs]).astype(np.int64)
  assert multipliers.min() == 0 and multipliers.max() == 2**31 - 1
  assert biases.min() < -(2**30) and biases.max() > 2**30
  assert {-128, 127} <= {z for c in cases for z in c.zero_points}


def test_most_plain_8_bit_outputs_are_not_saturated(cases):
  # Every second case of a combination is extreme, the special ones are not.
  plain = [c for c in cases[::2] if c.layer.op is not specs.Op.MAX_POOL_2D]
  inside = total = 0
  for case in plain:
    lowest, highest = packing.code_range(case.bits[2])
    if case.bits[2] == 8:
      inside += np.count_nonzero(
          (case.output > lowest) & (case.output < highest)
      )
      total += case.output.size
  assert inside / total > 0.5
