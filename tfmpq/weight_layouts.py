"""Byte orders of packed weights: one per instruction set, and the plain one.

tflm_ext/README.md, "Weight layouts", specifies them. A layout says at which
place of the constant the code of each weight stands, and whether a bit of it is
flipped; how codes of that width become bytes is `packing`'s business. So a
layout changes where a code lies, never its value: `unpack` returns what `pack`
was given.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import math

import numpy as np

from tfmpq import packing
from tfmpq import specs

PLAIN = 0
DSP = 1
MVE = 2


@dataclasses.dataclass(frozen=True, eq=False)
class _Places:
  """Where the codes of a weight stand.

  Attributes:
    places: int64, the shape of the weight seen as rows of codes, rounded up to
      whole blocks: the number of the place of each code; every number from 0 on
      is there once.
    flips: uint8, broadcasts to `places`: bits that are flipped there.
  """

  places: np.ndarray
  flips: np.ndarray


def layout_exists(op: specs.Op, layout: int) -> bool:
  """Returns whether weights of an op may have that layout."""
  return (op, layout) in _LAYOUTS


def packed_bytes(
    op: specs.Op,
    shape: tuple[int, ...],
    bits: int,
    layout: int,
    input_bits: int,
) -> int:
  """Returns the bytes that `pack` gives for a weight of that shape."""
  rows, columns = _matrix_shape(op, shape)
  blocks = _layout(op, layout).block(bits, input_bits)
  padded = math.prod(
      _round_up(n, b) for n, b in zip((rows, columns), blocks, strict=True)
  )
  if blocks == (1, 1):
    return rows * packing.packed_bytes(columns, bits)
  return padded * bits // 8


def pack(
    op: specs.Op, codes: np.ndarray, bits: int, layout: int, input_bits: int
) -> bytes:
  """Returns the bytes of a weight.

  Args:
    op: conv2d, depthwise_conv2d or fully_connected.
    codes: integers inside `packing.code_range(bits)`: [C_out, kH, kW, C_in],
      depthwise [kH, kW, C], fully connected [C_out, C_in].
    bits: width of the weight.
    layout: PLAIN, DSP or MVE.
    input_bits: width of the layer's input, on which a layout may depend.

  Raises:
    ValueError: the layout does not exist for this op, or a code is out of
      range.
  """
  rule = _layout(op, layout)
  matrix = codes.reshape(_matrix_shape(op, codes.shape))
  plain = packing.pack(matrix, bits)  # Checks the range, too.
  if rule.places is None:
    return plain.tobytes()
  places = rule.places(matrix.shape, bits, input_bits)
  missing = [
      (0, p - n) for p, n in zip(places.places.shape, matrix.shape, strict=True)
  ]
  padded = np.pad(matrix, missing).astype(np.uint8) ^ places.flips
  ordered = np.empty(padded.size, np.uint8)
  ordered[places.places] = padded & (2**bits - 1)
  return packing.pack(ordered.view(packing.code_dtype(bits)), bits).tobytes()


def unpack(
    op: specs.Op,
    packed: bytes,
    bits: int,
    layout: int,
    input_bits: int,
    shape: tuple[int, ...],
) -> np.ndarray:
  """Returns the codes of a weight of that shape; inverse of `pack`.

  Raises:
    ValueError: the layout does not exist for this op, or the number of bytes
      is not that of the shape.
  """
  rule = _layout(op, layout)
  expected = packed_bytes(op, shape, bits, layout, input_bits)
  if len(packed) != expected:
    raise ValueError(
        f'the weight takes {expected} bytes, received {len(packed)}'
    )
  data = np.frombuffer(packed, np.uint8)
  rows, columns = _matrix_shape(op, shape)
  if rule.places is None:
    return packing.unpack(data.reshape(rows, -1), bits, columns).reshape(shape)
  places = rule.places((rows, columns), bits, input_bits)
  ordered = packing.unpack(data, bits, places.places.size).view(np.uint8)
  padded = ordered[places.places] ^ places.flips
  codes = np.ascontiguousarray(padded[:rows, :columns])
  return codes.view(packing.code_dtype(bits)).reshape(shape)


def _matrix_shape(op: specs.Op, shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns the shape of a weight seen as rows of codes.

  A row is an output channel; of a depthwise_conv2d it is a tap.
  """
  if op is specs.Op.DEPTHWISE_CONV_2D:
    return math.prod(shape[:2]), shape[2]
  return shape[0], math.prod(shape[1:])


def _round_up(number: int, multiple: int) -> int:
  return -(-number // multiple) * multiple


def _dsp_block(bits: int, input_bits: int) -> tuple[int, int]:
  return 4, 16 if bits == input_bits == 2 else 4


@functools.lru_cache(maxsize=16)
def _dsp_places(shape: tuple[int, int], bits: int, input_bits: int) -> _Places:
  rows, columns = _dsp_block(bits, input_bits)
  padded = _round_up(shape[0], rows), _round_up(shape[1], columns)
  block, c = np.divmod(np.arange(padded[0])[:, np.newaxis], rows)
  group, e = np.divmod(np.arange(padded[1])[np.newaxis, :], columns)
  flips = np.zeros_like(c)
  if bits == input_bits == 2:
    inside = 16 * c + np.where(e & 2, e - 6, e + 6) % 16
  elif bits == 2:
    inside = 4 * e + c
  elif bits == 4:
    inside = 8 * (e & 1) + 4 * (e >> 1) + c
    flips = np.where(c == 3, 8, 0)
  else:
    inside = 8 * (e & 1) + 4 * (c >> 1) + 2 * (e >> 1) + (c & 1)
    flips = np.where(c % 2 == 0, 0x80, 0)
  num_groups = padded[1] // columns
  return _Places(
      (block * num_groups + group) * rows * columns + inside,
      flips.astype(np.uint8),
  )


def _mve_block(bits: int, input_bits: int) -> tuple[int, int]:
  del bits, input_bits
  return 4, 16


@functools.lru_cache(maxsize=16)
def _mve_places(shape: tuple[int, int], bits: int, input_bits: int) -> _Places:
  del input_bits
  padded = _round_up(shape[0], 4), _round_up(shape[1], 16)
  rows, columns = np.ogrid[: padded[0], : padded[1]]
  per_byte = 8 // bits  # Channels.
  vector, field = np.divmod(rows % 4, per_byte)
  block = (rows // 4) * (padded[1] // 16) + columns // 16
  inside = (16 * vector + columns % 16) * per_byte + field
  # Only codes that exist are flipped: what pads is 0 bytes.
  flipped = (field == per_byte - 1) & (rows < shape[0]) & (columns < shape[1])
  top_bit = 0 if bits == 8 else 1 << (bits - 1)
  return _Places(
      64 * block + inside, np.where(flipped, top_bit, 0).astype(np.uint8)
  )


@dataclasses.dataclass(frozen=True)
class _Layout:
  """The rule of one layout.

  Attributes:
    block: (bits, input bits) -> (rows, columns) of which the weight has
      multiples; missing codes are 0.
    places: (rows and columns, bits, input bits) -> places; None: every row is
      a run of its own.
  """

  block: Callable[[int, int], tuple[int, int]]
  places: Callable[[tuple[int, int], int, int], _Places] | None


_PLAIN_LAYOUT = _Layout(lambda bits, input_bits: (1, 1), None)
_DSP_LAYOUT = _Layout(_dsp_block, _dsp_places)
_MVE_LAYOUT = _Layout(_mve_block, _mve_places)

_LAYOUTS = {
    **{(op, PLAIN): _PLAIN_LAYOUT for op in specs.WEIGHTED_OPS},
    (specs.Op.CONV_2D, DSP): _DSP_LAYOUT,
    (specs.Op.FULLY_CONNECTED, DSP): _DSP_LAYOUT,
    (specs.Op.CONV_2D, MVE): _MVE_LAYOUT,
    (specs.Op.FULLY_CONNECTED, MVE): _MVE_LAYOUT,
}


def _layout(op: specs.Op, layout: int) -> _Layout:
  rule = _LAYOUTS.get((op, layout))
  if rule is None:
    known = [number for known_op, number in _LAYOUTS if known_op is op]
    raise ValueError(
        f'{op.value} has the weight layouts {known}, received {layout}'
    )
  return rule
