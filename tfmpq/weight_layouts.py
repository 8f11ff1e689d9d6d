"""Byte orders of packed weights: one per instruction set, and the plain one.

tflm_ext/README.md, "Weight layouts", specifies them. A layout changes where a
code lies, never its value: `unpack` returns what `pack` was given.
"""

import numpy as np

from tfmpq import packing
from tfmpq import specs

PLAIN = 0
DSP = 1

# Layout DSP: channels of a block, and elements of a group in the order in which
# words take them up: element pairs (0, 2) and (1, 3).
_BLOCK = 4
_PAIRS = (0, 2, 1, 3)


def pack(
    op: specs.Op, codes: np.ndarray, bits: int, layout: int, input_bits: int
) -> bytes:
  """Returns the bytes of a weight.

  Args:
    op: conv2d, depthwise_conv2d or fully_connected.
    codes: integers inside `packing.code_range(bits)`: [C_out, kH, kW, C_in],
      depthwise [kH, kW, C], fully connected [C_out, C_in].
    bits: width of the weight.
    layout: PLAIN or DSP.
    input_bits: width of the layer's input, on which a layout may depend.

  Raises:
    ValueError: the layout does not exist for this op, or a code is out of
      range.
  """
  _check(op, layout)
  if layout == PLAIN:
    return packing.pack(_runs(op, codes), bits).tobytes()
  group = _dsp_group(bits, input_bits)
  matrix = codes.reshape(len(codes), -1)  # [C_out, K]
  packing.pack(matrix, bits)  # Checks the range.
  missing = [(0, -matrix.shape[0] % _BLOCK), (0, -matrix.shape[1] % group)]
  padded = np.pad(matrix, missing).astype(np.uint8)
  # [block, group, channel, element]
  blocks = padded.reshape(-1, _BLOCK, padded.shape[1] // group, group)
  return _pack_dsp(blocks.transpose(0, 2, 1, 3), bits)


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
  _check(op, layout)
  data = np.frombuffer(packed, np.uint8)
  if layout == PLAIN:
    runs = _runs(op, np.empty(shape, bool)).shape
    size = packing.packed_bytes(runs[-1], bits)
    rows = _reshape(data, (*runs[:-1], size))
    return packing.unpack(rows, bits, runs[-1]).reshape(shape)
  group = _dsp_group(bits, input_bits)
  num_channels, num_elements = shape[0], int(np.prod(shape[1:]))
  grid = (-(-num_channels // _BLOCK), -(-num_elements // group))
  groups = _reshape(data, (*grid, _BLOCK * group * bits // 8))
  blocks = _unpack_dsp(groups, bits, group)  # [block, group, channel, element]
  matrix = blocks.transpose(0, 2, 1, 3).reshape(grid[0] * _BLOCK, -1)
  codes = matrix[:num_channels, :num_elements].astype(packing.code_dtype(bits))
  return codes.reshape(shape)


def _check(op: specs.Op, layout: int) -> None:
  if layout not in (PLAIN, DSP):
    raise ValueError(f'expected a layout of {PLAIN}, {DSP}, received {layout}')
  if layout == DSP and op is specs.Op.DEPTHWISE_CONV_2D:
    raise ValueError(
        f'{op} has no layout {DSP}: its kernels read layout {PLAIN}'
    )


def _reshape(data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  if data.size != np.prod(shape):
    raise ValueError(
        f'the weight takes {np.prod(shape)} bytes, received {data.size}'
    )
  return data.reshape(shape)


def _runs(op: specs.Op, codes: np.ndarray) -> np.ndarray:
  """Returns the codes as runs of layout PLAIN: [runs..., codes of a run]."""
  if op is specs.Op.DEPTHWISE_CONV_2D:
    return codes
  return codes.reshape(len(codes), -1)


def _dsp_group(bits: int, input_bits: int) -> int:
  return 16 if bits == input_bits == 2 else 4


def _swapped_elements() -> np.ndarray:
  """Returns, per code number of a group of 16, which element is there."""
  elements = np.arange(16)
  numbers = np.where(elements & 2, elements - 6, elements + 6) % 16
  return np.argsort(numbers)


# The sign bits that DSP kernels want flipped: of a channel in a byte (8 bits)
# or nibble (4 bits).
_FLIPPED = {
    8: np.array([0x80, 0, 0x80, 0], np.uint8),
    4: np.array([0, 0, 0, 8], np.uint8),
    2: np.zeros(4, np.uint8),
}


def _pack_dsp(blocks: np.ndarray, bits: int) -> bytes:
  """Returns the bytes of uint8 codes [block, group, channel, element]."""
  if blocks.shape[3] == 16:
    swapped = blocks[..., _swapped_elements()]
    return packing.pack(swapped, 2).tobytes()
  # [block, group, element, channel]
  lanes = (blocks ^ _FLIPPED[bits][:, np.newaxis]).transpose(0, 1, 3, 2)
  if bits == 2:
    return packing.pack(lanes, 2).tobytes()
  lanes = lanes[:, :, _PAIRS]
  if bits == 4:
    return packing.pack(lanes, 4).tobytes()
  # Two elements times channels (a, b), then the same times (c, d).
  pairs = lanes.reshape(*lanes.shape[:2], 2, 2, 2, 2)
  return pairs.transpose(0, 1, 2, 4, 3, 5).tobytes()


def _unpack_dsp(groups: np.ndarray, bits: int, group: int) -> np.ndarray:
  """Returns codes [block, group, channel, element]; groups: [..., bytes]."""
  if group == 16:
    runs = groups.reshape(*groups.shape[:2], _BLOCK, 4)
    return packing.unpack(runs, 2, 16)[..., np.argsort(_swapped_elements())]
  if bits == 8:
    pairs = groups.reshape(*groups.shape[:2], 2, 2, 2, 2)
    lanes = pairs.transpose(0, 1, 2, 4, 3, 5).reshape(*groups.shape[:2], 4, 4)
  else:
    rows = groups.reshape(*groups.shape[:2], 4, -1)
    lanes = packing.unpack(rows, bits, _BLOCK)
  if bits != 2:
    lanes = lanes[:, :, np.argsort(_PAIRS)]
  codes = lanes.transpose(0, 1, 3, 2) ^ _FLIPPED[bits][:, np.newaxis]
  return codes.view(packing.code_dtype(bits))
