"""Scales, zero points and the integer rescaling that everything agrees on.

A code q stands for the real value `scale * (q - zero_point)`. All rounding of
real values is to the nearest code, halves away from negative infinity
(`floor(x + 0.5)`), which is also what the integer rescaling does.
"""

import dataclasses
import math

import numpy as np

from tfmpq import packing

# A rescaled accumulator has at most 30 bits (31-bit accumulator times 31-bit
# multiplier, shifted right by 32); an offset of at most 30 bits added to it
# stays inside int32, so that kernels may add both in one 32-bit register.
_MAX_OFFSET = 1 << 30


@dataclasses.dataclass(frozen=True)
class QuantParams:
  """How the codes of one activation tensor map to real values.

  Attributes:
    bits: 2, 4 or 8.
    scale: real value of one step, positive.
    zero_point: code of the real value 0, inside `code_range(bits)`.
  """

  bits: int
  scale: float
  zero_point: int

  def __post_init__(self):
    lowest, highest = packing.code_range(self.bits)
    if not (self.scale > 0 and math.isfinite(self.scale)):
      raise ValueError(f'scale must be positive, received {self.scale}')
    if not lowest <= self.zero_point <= highest:
      raise ValueError(
          f'zero point must lie in [{lowest}, {highest}] at {self.bits} bits, '
          f'received {self.zero_point}'
      )


INPUT_PARAMS = QuantParams(bits=8, scale=1 / 128, zero_point=0)


def activation_zero_point(bits: int, signed: bool) -> int:
  """Returns the zero point that the contract fixes for an activation.

  After a ReLU the lowest code stands for 0. A signed tensor has its zero
  point at lowest + 2^(bits-1): 0 at 8 bits, 8 at 4 bits, 2 at 2 bits.
  """
  lowest, _ = packing.code_range(bits)
  return lowest + (2 ** (bits - 1) if signed else 0)


def activation_params(bits: int, signed: bool, clip: float) -> QuantParams:
  """Returns the parameters that represent [0, clip], or [-clip, clip).

  Args:
    bits: 2, 4 or 8.
    signed: whether values below zero are to be represented.
    clip: positive real; unsigned: the value of the highest code; signed: the
      negated value of the lowest code, so the highest is one step less.
  """
  scale = clip / num_steps(bits, signed)
  return QuantParams(bits, scale, activation_zero_point(bits, signed))


def num_steps(bits: int, signed: bool) -> int:
  """Returns how many steps of the scale an activation's clip has."""
  return 2 ** (bits - 1) if signed else 2**bits - 1


def quantize(values: np.ndarray, params: QuantParams) -> np.ndarray:
  """Returns the nearest codes of real values, saturating."""
  codes = np.floor(np.asarray(values, np.float64) / params.scale + 0.5)
  lowest, highest = packing.code_range(params.bits)
  return np.clip(codes + params.zero_point, lowest, highest).astype(
      packing.code_dtype(params.bits)
  )


def dequantize(codes: np.ndarray, params: QuantParams) -> np.ndarray:
  """Returns float64 real values of codes."""
  return params.scale * (codes.astype(np.float64) - params.zero_point)


@dataclasses.dataclass(frozen=True)
class Rescale:
  """Shifts of one layer; the multiplier itself is per output channel.

  Attributes:
    shift: right shift after the multiplication, 1..31.
    pre_shift: left shift of the accumulator before it, usually 0.
  """

  shift: int
  pre_shift: int = 0

  def __post_init__(self):
    if not (1 <= self.shift <= 31 and 0 <= self.pre_shift <= 31):
      raise ValueError(
          f'expected shift in 1..31 and pre_shift in 0..31, received {self}'
      )


def fixed_point(ratios: np.ndarray) -> tuple[np.ndarray, Rescale]:
  """Returns int32 multipliers and shifts for positive real ratios.

  `ratio = multiplier * 2^(pre_shift - 32 - shift)`, with one pair of shifts
  for all channels, chosen so that the largest multiplier uses 31 bits
  (2^30 <= multiplier < 2^31).

  Args:
    ratios: float [C], positive or zero, at least one positive.

  Raises:
    ValueError: a ratio is negative or not finite, or the largest is so small
      or so large that no shift exists.
  """
  ratios = np.asarray(ratios, np.float64)
  largest = float(ratios.max())
  if not np.isfinite(ratios).all() or ratios.min() < 0 or largest <= 0:
    raise ValueError(
        'rescaling ratios must be finite, not negative and not all zero, '
        f'received {ratios.min()}..{largest}'
    )
  exponent = 31 - math.frexp(largest)[1]  # 2^30 <= largest * 2^exponent < 2^31
  if round(largest * 2.0**exponent) >= 2**31:  # rounded up to a power of two
    exponent -= 1
  shift = max(exponent - 32, 1)
  pre_shift = shift + 32 - exponent
  if not (shift <= 31 and pre_shift <= 31):
    raise ValueError(f'no shift represents a rescaling ratio of {largest}')
  multipliers = np.floor(ratios * 2.0**exponent + 0.5).astype(np.int32)
  return multipliers, Rescale(shift, pre_shift)


def check_rescale(
    accumulator_bound: int, output: QuantParams, rescale: Rescale
) -> None:
  """Raises ValueError if an intermediate of `requantize` can overflow int32.

  Args:
    accumulator_bound: the largest magnitude an accumulator can have.
    output: parameters of the output tensor.
    rescale: the layer's shifts.
  """
  if accumulator_bound << rescale.pre_shift >= 1 << 31:
    raise ValueError(
        f'an accumulator can reach {accumulator_bound}, which overflows int32 '
        f'after a left shift by {rescale.pre_shift}; use more bits for the '
        'output or a larger clip'
    )
  offset = (output.zero_point << rescale.shift) + (1 << (rescale.shift - 1))
  if abs(offset) > _MAX_OFFSET:
    raise ValueError(
        f'output offset {offset} exceeds 2^30 at shift {rescale.shift}: the '
        'output scale is far too large for the accumulators that reach it'
    )


def requantize(
    accumulators: np.ndarray,
    multipliers: np.ndarray,
    rescale: Rescale,
    output: QuantParams,
) -> np.ndarray:
  """Returns output codes of int32 accumulators; rounds once, half up.

  y = clamp(z_out + (((((acc << pre_shift) * m) >> 32) + 2^(shift-1)) >> shift))

  Two floors in a row are one floor, so this is
  `floor(acc * m * 2^(pre_shift - 32 - shift) + 1/2)` exactly. (Not the floor
  of the paper's integer channel normalization, and not TFLite's double
  rounding.)

  Args:
    accumulators: integers [..., C] in the int32 range.
    multipliers: int32 [C] or scalar, 0 <= m < 2^31.
    rescale: shifts.
    output: parameters of the output tensor.
  """
  wide = np.asarray(accumulators, np.int64) << rescale.pre_shift
  high = (wide * np.asarray(multipliers, np.int64)) >> 32
  rounded = (high + (1 << (rescale.shift - 1))) >> rescale.shift
  lowest, highest = packing.code_range(output.bits)
  return np.clip(rounded + output.zero_point, lowest, highest).astype(
      packing.code_dtype(output.bits)
  )


@dataclasses.dataclass(frozen=True)
class AddRescale:
  """Integer coefficients of an add: one shift, one multiplier per input."""

  multipliers: tuple[int, int]
  shift: int


def add_rescale(
    first: QuantParams, second: QuantParams, output: QuantParams
) -> AddRescale:
  """Returns the coefficients of `add`, as precise as int32 allows.

  Each multiplier is round(s_in / s_out * 2^shift). The shift is the largest
  in 1..24 with which no sum can leave the int32 range.
  """
  ratios = (first.scale / output.scale, second.scale / output.scale)
  for shift in range(24, 0, -1):
    multipliers = tuple(math.floor(r * 2.0**shift + 0.5) for r in ratios)
    rescale = AddRescale((multipliers[0], multipliers[1]), shift)
    if _largest_sum(first, second, rescale) < 1 << 31:
      return rescale
  raise ValueError(
      f'scales {first.scale} and {second.scale} are too large for an output '
      f'scale of {output.scale}: their sum overflows int32'
  )


def check_add_rescale(
    first: QuantParams, second: QuantParams, rescale: AddRescale
) -> None:
  """Raises ValueError unless every sum of an add stays inside int32."""
  if not 1 <= rescale.shift <= 31 or min(rescale.multipliers) < 0:
    raise ValueError(
        'an add needs a shift in 1..31 and multipliers that are not negative, '
        f'received {rescale}'
    )
  largest = _largest_sum(first, second, rescale)
  if largest >= 1 << 31:
    raise ValueError(
        f'a sum can reach {largest}, which overflows int32; use a smaller shift'
    )


def _largest_sum(
    first: QuantParams, second: QuantParams, rescale: AddRescale
) -> int:
  """Returns the largest magnitude in an add, its rounding constant included."""
  reach = (
      multiplier * _span(params)
      for multiplier, params in zip(
          rescale.multipliers, (first, second), strict=True
      )
  )
  return sum(reach) + (1 << (rescale.shift - 1))


def _span(params: QuantParams) -> int:
  """Returns the largest |code - zero_point|."""
  lowest, highest = packing.code_range(params.bits)
  return max(params.zero_point - lowest, highest - params.zero_point)
