"""Packing, against the bit positions that the contract gives."""

import numpy as np
import pytest

from tfmpq import packing
from tfmpq import specs

_SEED = 71
_LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 64, 101)


def random_codes(rng, shape, bits):
  lowest, highest = packing.code_range(bits)
  return rng.integers(lowest, highest + 1, shape).astype(
      packing.code_dtype(bits)
  )


def bits_of_run(run: bytes, index: int, bits: int) -> int:
  """Returns element `index` by the rule: bits [b*i, b*i + b) of the run."""
  return (int.from_bytes(run, 'little') >> (bits * index)) & (2**bits - 1)


@pytest.mark.parametrize(
    ('bits', 'codes', 'expected'),
    [
        (4, [1, 2, 3], '2103'),
        (2, [3, 0, 1, 2, 1], '9301'),
        (8, [-1, 5], 'ff05'),
        (8, [-128, 127], '807f'),
        (4, [15, 15], 'ff'),
        (2, [3], '03'),
    ],
)
def test_worked_examples_of_the_contract(bits, codes, expected):
  packed = packing.pack(np.array(codes), bits)
  assert packed.dtype == np.uint8
  assert packed.tobytes().hex() == expected


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_element_i_occupies_bits_bi_to_bi_plus_b(bits):
  rng = np.random.default_rng(_SEED)
  for length in _LENGTHS:
    codes = random_codes(rng, (length,), bits)
    run = packing.pack(codes, bits).tobytes()
    assert len(run) == -(-length * bits // 8)
    for i, code in enumerate(codes.tolist()):
      stored = bits_of_run(run, i, bits)
      assert stored == code % 2**bits, f'seed {_SEED}, length {length}, {i}'


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_unused_bits_of_the_last_byte_are_zero(bits):
  highest = packing.code_range(bits)[1]
  for length in _LENGTHS:
    run = packing.pack(np.full(length, highest), bits).tobytes()
    assert int.from_bytes(run, 'little') >> (bits * length) == 0


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_unpack_inverts_pack(bits):
  rng = np.random.default_rng(_SEED)
  for length in _LENGTHS:
    codes = random_codes(rng, (2, 3, length), bits)
    packed = packing.pack(codes, bits)
    unpacked = packing.unpack(packed, bits, length)
    assert packed.shape == (2, 3, packing.packed_bytes(length, bits))
    assert unpacked.dtype == codes.dtype
    np.testing.assert_array_equal(unpacked, codes, f'seed {_SEED}, {length}')


def test_every_pixel_starts_at_a_byte():
  codes = np.array([[[1, 2, 3], [4, 5, 6]]])  # [1, 2, 3]
  packed = packing.pack(codes, 4)
  assert packed.tobytes().hex() == '2103' + '5406'
  assert packing.activation_bytes((1, 2, 3), 4) == packed.size


def test_slices_and_transposed_arrays_are_packed_like_their_copies():
  codes = random_codes(np.random.default_rng(_SEED), (6, 8), 8)
  for view in (codes[::2, ::-1], codes.T):
    np.testing.assert_array_equal(
        packing.pack(view, 8), packing.pack(view.copy(), 8)
    )


def test_fewer_bits_never_take_more_bytes():
  for length in range(1, 70):
    sizes = [packing.packed_bytes(length, bits) for bits in specs.BIT_WIDTHS]
    assert sizes == sorted(sizes)
    assert sizes[-1] == length


@pytest.mark.parametrize(
    ('bits', 'code'), [(2, 4), (2, -1), (4, 16), (4, -1), (8, 128), (8, -129)]
)
def test_a_code_out_of_range_is_refused(bits, code):
  with pytest.raises(ValueError, match=f'{bits}-bit codes must lie in'):
    packing.pack(np.array([0, code]), bits)


@pytest.mark.parametrize('bits', [1, 3, 16])
def test_other_widths_are_refused(bits):
  with pytest.raises(ValueError, match='expected bits in'):
    packing.pack(np.array([0]), bits)


def test_a_run_of_another_length_is_refused():
  with pytest.raises(ValueError, match='5 codes of 2 bits take 2 bytes'):
    packing.unpack(np.zeros(3, np.uint8), 2, 5)


def test_padding_bits_that_are_not_zero_are_refused():
  with pytest.raises(ValueError, match='padding bits'):
    packing.unpack(np.array([0x21, 0x43], np.uint8), 4, 3)


def test_code_ranges_and_types():
  assert packing.code_range(8) == (-128, 127)
  assert packing.code_range(4) == (0, 15)
  assert packing.code_range(2) == (0, 3)
  assert packing.code_dtype(8) is np.int8
  assert packing.code_dtype(4) is packing.code_dtype(2) is np.uint8
