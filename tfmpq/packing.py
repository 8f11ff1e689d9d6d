"""Codes of 2, 4 and 8 bits to bytes and back. The byte layout lives here.

Element i of a run of b-bit codes occupies bits [b*i, b*i + b) of the run,
counted from the least significant bit of its first byte:

    4 bits, codes 1 2 3      -> bytes 0x21 0x03
    2 bits, codes 3 0 1 2 1  -> bytes 0x93 0x01
    8 bits, codes -1 5       -> bytes 0xff 0x05

Every run starts at a byte and is padded with zero bits to a whole byte. A run
is the last axis of what is packed:

    activation [H, W, C]          one run per pixel: C codes
    conv2d weight                 one run per output channel: kH*kW*C_in codes
    depthwise weight [kH, kW, C]  one run per tap: C codes
    fully connected weight        one run per output channel: C_in codes

Codes of 8 bits are signed (-128..127), of fewer unsigned (0..2^b - 1). Other
widths than 2, 4 and 8 (specs.COMPARISON_WIDTHS) have codes, but no layout.
"""

import numpy as np

from tfmpq import specs


def code_range(bits: int) -> tuple[int, int]:
  """Returns (lowest, highest) code: 8 bits signed, fewer unsigned."""
  specs.check_bits(bits, 'code_range', specs.COMPARISON_WIDTHS)
  return (-128, 127) if bits == 8 else (0, 2**bits - 1)


def code_dtype(bits: int) -> type:
  """Returns the NumPy type that holds unpacked codes of that width."""
  return np.int8 if bits == 8 else np.uint8


def packed_bytes(num_codes: int, bits: int) -> int:
  """Returns the bytes of one run of `num_codes` codes."""
  return (num_codes * bits + 7) // 8


def activation_bytes(shape: tuple[int, int, int], bits: int) -> int:
  """Returns the bytes of a packed activation `(height, width, channels)`."""
  height, width, channels = shape
  return height * width * packed_bytes(channels, bits)


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
  """Packs along the last axis.

  Args:
    codes: integers [..., n] inside `code_range(bits)`.
    bits: 2, 4 or 8.

  Returns:
    uint8 [..., packed_bytes(n, bits)].

  Raises:
    ValueError: another width, or a code is out of range.
  """
  specs.check_bits(bits, 'pack')
  lowest, highest = code_range(bits)
  if codes.size and (codes.min() < lowest or codes.max() > highest):
    raise ValueError(
        f'{bits}-bit codes must lie in [{lowest}, {highest}], received '
        f'[{codes.min()}, {codes.max()}]'
    )
  if bits == 8:
    return np.ascontiguousarray(codes.astype(np.int8)).view(np.uint8)
  per_byte = 8 // bits
  missing = -codes.shape[-1] % per_byte
  padding = [(0, 0)] * (codes.ndim - 1) + [(0, missing)]
  padded = np.pad(codes.astype(np.uint8), padding)
  lanes = padded.reshape(*codes.shape[:-1], -1, per_byte)  # [..., bytes, lane]
  shifts = np.arange(per_byte, dtype=np.uint8) * bits
  return np.bitwise_or.reduce(lanes << shifts, axis=-1).astype(np.uint8)


def unpack(packed: np.ndarray, bits: int, num_codes: int) -> np.ndarray:
  """Returns the first `num_codes` codes of every run; inverse of `pack`.

  Args:
    packed: uint8 [..., packed_bytes(num_codes, bits)].
    bits: 2, 4 or 8.
    num_codes: codes per run.

  Returns:
    int8 (8 bits) or uint8 (4 and 2 bits) [..., num_codes].

  Raises:
    ValueError: another width, the last axis has another length, or padding
      bits are not 0.
  """
  specs.check_bits(bits, 'unpack')
  expected = packed_bytes(num_codes, bits)
  if packed.shape[-1] != expected:
    raise ValueError(
        f'{num_codes} codes of {bits} bits take {expected} bytes, received '
        f'{packed.shape[-1]}'
    )
  if bits == 8:
    return np.ascontiguousarray(packed).view(np.int8)
  shifts = np.arange(8 // bits, dtype=np.uint8) * bits
  lanes = (packed[..., np.newaxis] >> shifts) & (2**bits - 1)
  codes = lanes.reshape(*packed.shape[:-1], -1)  # [..., bytes * per_byte]
  if codes[..., num_codes:].any():
    raise ValueError('padding bits of a packed run must be zero')
  return np.ascontiguousarray(codes[..., :num_codes])
