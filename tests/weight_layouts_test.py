"""Tests of tfmpq.weight_layouts."""

import itertools

import numpy as np
import pytest

from tfmpq import packing
from tfmpq import specs
from tfmpq import weight_layouts

WIDTHS = list(itertools.product(specs.BIT_WIDTHS, specs.BIT_WIDTHS))
SHAPES = {
    specs.Op.CONV_2D: [(1, 1, 1, 1), (7, 3, 2, 5), (8, 1, 1, 32)],
    specs.Op.FULLY_CONNECTED: [(1, 1), (4, 16), (9, 33)],
}
LAYOUT_CASES = [
    (op, shape) for op, shapes in SHAPES.items() for shape in shapes
]


def random_codes(shape: tuple[int, ...], bits: int) -> np.ndarray:
  lowest, highest = packing.code_range(bits)
  codes = np.random.RandomState(5).randint(lowest, highest + 1, shape)
  return codes.astype(packing.code_dtype(bits))


def dsp_bytes(matrix: np.ndarray, bits: int, input_bits: int) -> bytes:
  """The byte table of tflm_ext/README.md, read byte by byte."""
  group = 16 if bits == input_bits == 2 else 4
  padded = np.zeros(
      [-(-n // m) * m for n, m in zip(matrix.shape, (4, group), strict=True)]
  )
  padded[: matrix.shape[0], : matrix.shape[1]] = matrix
  padded = padded.astype(np.int64) & 255
  result = []
  for block in range(0, len(padded), 4):
    for k in range(0, padded.shape[1], group):
      a, b, c, d = padded[block : block + 4]
      if group == 16:
        for channel in (a, b, c, d):
          word = 0
          for e in range(16):
            word |= int(channel[k + e]) << 2 * (
                (e - 6 if e & 2 else e + 6) % 16
            )
          result += word.to_bytes(4, 'little')
      elif bits == 8:
        for i in (k, k + 1):
          result += [a[i] ^ 0x80, b[i], a[i + 2] ^ 0x80, b[i + 2]]
          result += [c[i] ^ 0x80, d[i], c[i + 2] ^ 0x80, d[i + 2]]
      elif bits == 4:
        for i in (k, k + 2, k + 1, k + 3):
          result += [a[i] | b[i] << 4, c[i] | (d[i] ^ 8) << 4]
      else:
        for i in range(k, k + 4):
          result.append(a[i] | b[i] << 2 | c[i] << 4 | d[i] << 6)
  return bytes(int(byte) for byte in result)


@pytest.mark.parametrize('input_bits, bits', WIDTHS)
@pytest.mark.parametrize('op, shape', LAYOUT_CASES)
def test_dsp_bytes_are_those_of_the_table(op, shape, input_bits, bits):
  codes = random_codes(shape, bits)
  packed = weight_layouts.pack(op, codes, bits, weight_layouts.DSP, input_bits)
  assert packed == dsp_bytes(codes.reshape(len(codes), -1), bits, input_bits)


def mve_bytes(matrix: np.ndarray, bits: int) -> bytes:
  """The byte table of layout 2, read byte by byte."""
  channels, elements = (
      -(-n // m) * m for n, m in zip(matrix.shape, (4, 16), strict=True)
  )
  fields = np.zeros((channels, elements), np.int64)  # What does not exist is 0.
  exists = fields[: matrix.shape[0], : matrix.shape[1]]
  exists[:] = matrix
  if bits == 4:
    exists[1::2] ^= 8
  if bits == 2:
    exists[3::4] ^= 2
  result = []
  for block in range(0, channels, 4):
    for k in range(0, elements, 16):
      a, b, c, d = fields[block : block + 4, k : k + 16]
      if bits == 8:
        result += [*a, *b, *c, *d]
      elif bits == 4:
        result += [*(a | b << 4), *(c | d << 4)]
      else:
        result += [*(a | b << 2 | c << 4 | d << 6)]
  return bytes(int(byte) & 255 for byte in result)


@pytest.mark.parametrize('input_bits, bits', WIDTHS)
@pytest.mark.parametrize('op, shape', LAYOUT_CASES)
def test_mve_bytes_are_those_of_the_table(op, shape, input_bits, bits):
  codes = random_codes(shape, bits)
  packed = weight_layouts.pack(op, codes, bits, weight_layouts.MVE, input_bits)
  assert packed == mve_bytes(codes.reshape(len(codes), -1), bits)


@pytest.mark.parametrize('input_bits, bits', WIDTHS)
@pytest.mark.parametrize('op, shape', LAYOUT_CASES)
@pytest.mark.parametrize(
    'layout', [weight_layouts.PLAIN, weight_layouts.DSP, weight_layouts.MVE]
)
def test_unpack_returns_what_was_packed(layout, op, shape, input_bits, bits):
  codes = random_codes(shape, bits)
  packed = weight_layouts.pack(op, codes, bits, layout, input_bits)
  unpacked = weight_layouts.unpack(op, packed, bits, layout, input_bits, shape)
  assert unpacked.dtype == codes.dtype
  np.testing.assert_array_equal(unpacked, codes)


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_depthwise_weights_are_plain_runs_per_tap(bits):
  op = specs.Op.DEPTHWISE_CONV_2D
  codes = random_codes((3, 2, 5), bits)
  packed = weight_layouts.pack(op, codes, bits, weight_layouts.PLAIN, 8)
  assert packed == packing.pack(codes, bits).tobytes()
  unpacked = weight_layouts.unpack(op, packed, bits, 0, 8, codes.shape)
  np.testing.assert_array_equal(unpacked, codes)


@pytest.mark.parametrize('layout', [weight_layouts.DSP, weight_layouts.MVE])
def test_depthwise_has_the_plain_layout_only(layout):
  codes = np.zeros((3, 3, 4), np.int8)
  with pytest.raises(ValueError, match=r'weight layouts \[0\], received'):
    weight_layouts.pack(specs.Op.DEPTHWISE_CONV_2D, codes, 8, layout, 8)


def test_an_unknown_layout_is_an_error():
  with pytest.raises(ValueError, match=r'layouts \[0, 1, 2\], received 9'):
    weight_layouts.pack(
        specs.Op.FULLY_CONNECTED, np.zeros((1, 1), np.int8), 8, 9, 8
    )


def test_codes_out_of_range_are_an_error():
  with pytest.raises(ValueError, match='must lie in'):
    weight_layouts.pack(
        specs.Op.FULLY_CONNECTED, np.array([[16]]), 4, weight_layouts.DSP, 8
    )


def test_a_wrong_number_of_bytes_is_an_error():
  with pytest.raises(ValueError, match='takes 16 bytes, received 3'):
    weight_layouts.unpack(
        specs.Op.FULLY_CONNECTED, bytes(3), 8, weight_layouts.DSP, 8, (1, 1)
    )
