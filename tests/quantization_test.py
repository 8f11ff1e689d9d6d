"""Integer rescaling, against exact fractions."""

import fractions
import math

import numpy as np
import pytest

from tfmpq import packing
from tfmpq import quantization
from tfmpq import specs

_SEED = 72
_INT32_MAX = 2**31 - 1


def params(bits=8, zero_point=0, scale=1.0):
  return quantization.QuantParams(bits, scale, zero_point)


def exact_requantize(acc, multiplier, rescale, output) -> int:
  """Returns clamp(z_out + floor(acc * m * 2^(pre - 32 - shift) + 1/2))."""
  value = fractions.Fraction(acc * multiplier) * fractions.Fraction(2) ** (
      rescale.pre_shift - 32 - rescale.shift
  )
  code = math.floor(value + fractions.Fraction(1, 2)) + output.zero_point
  lowest, highest = packing.code_range(output.bits)
  return min(max(code, lowest), highest)


@pytest.mark.parametrize(
    ('bits', 'signed', 'expected'),
    [
        (8, False, -128),
        (4, False, 0),
        (2, False, 0),
        (8, True, 0),
        (4, True, 8),
        (2, True, 2),
    ],
)
def test_zero_points_of_activations(bits, signed, expected):
  assert quantization.activation_zero_point(bits, signed) == expected


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_an_unsigned_activation_represents_0_to_clip(bits):
  p = quantization.activation_params(bits, signed=False, clip=6.0)
  ends = np.array(packing.code_range(bits))
  np.testing.assert_allclose(quantization.dequantize(ends, p), [0.0, 6.0])


@pytest.mark.parametrize('bits', specs.BIT_WIDTHS)
def test_a_signed_activation_represents_minus_clip_to_one_step_less(bits):
  p = quantization.activation_params(bits, signed=True, clip=4.0)
  ends = np.array(packing.code_range(bits))
  np.testing.assert_allclose(
      quantization.dequantize(ends, p), [-4.0, 4.0 - p.scale]
  )
  assert quantization.quantize(np.zeros(1), p)[0] == p.zero_point


def test_quantize_rounds_halves_up_and_saturates():
  p = params(bits=4, zero_point=8, scale=0.5)
  values = [-100.0, -0.75, -0.25, 0.0, 0.24, 0.25, 0.75, 100.0]
  assert quantization.quantize(np.array(values), p).tolist() == (
      [0, 7, 8, 8, 8, 9, 10, 15]
  )


def test_network_input_code_is_pixel_minus_128():
  pixels = np.arange(256)
  codes = quantization.quantize(
      (pixels - 128) / 128.0, quantization.INPUT_PARAMS
  )
  assert codes.dtype == np.int8
  np.testing.assert_array_equal(codes, pixels - 128)


@pytest.mark.parametrize(
    ('bits', 'scale', 'zero_point', 'message'),
    [
        (8, 0.0, 0, 'scale must be positive'),
        (8, -1.0, 0, 'scale must be positive'),
        (8, math.nan, 0, 'scale must be positive'),
        (8, math.inf, 0, 'scale must be positive'),
        (4, 1.0, 16, 'zero point must lie in'),
        (2, 1.0, -1, 'zero point must lie in'),
        (9, 1.0, 0, 'expected bits in'),
    ],
)
def test_wrong_parameters_are_refused(bits, scale, zero_point, message):
  with pytest.raises(ValueError, match=message):
    quantization.QuantParams(bits, scale, zero_point)


@pytest.mark.parametrize(('shift', 'pre_shift'), [(0, 0), (32, 0), (1, 32)])
def test_shifts_out_of_range_are_refused(shift, pre_shift):
  with pytest.raises(ValueError, match='expected shift in 1..31'):
    quantization.Rescale(shift, pre_shift)


def test_fixed_point_is_exact_for_powers_of_two():
  multipliers, rescale = quantization.fixed_point(np.array([2**-10, 2**-12]))
  assert multipliers.tolist() == [2**30, 2**28]
  assert rescale == quantization.Rescale(shift=8)


@pytest.mark.parametrize('exponent', range(-32, 29))
def test_fixed_point_has_a_relative_error_below_2_to_minus_31(exponent):
  rng = np.random.default_rng(_SEED)
  largest = float(rng.uniform(1, 2)) * 2.0**exponent
  ratios = np.array([largest, largest / 3, largest / 1000, 0.0])
  multipliers, rescale = quantization.fixed_point(ratios)
  assert multipliers.dtype == np.int32
  assert 2**30 <= multipliers[0] <= _INT32_MAX
  steps = 2.0 ** (rescale.pre_shift - 32 - rescale.shift)
  error = np.abs(multipliers * steps - ratios)
  assert (error <= largest * 2.0**-31).all(), f'seed {_SEED}, {ratios}'
  assert multipliers[3] == 0


def test_a_ratio_just_below_a_power_of_two_does_not_overflow():
  multipliers, rescale = quantization.fixed_point(np.array([1 - 2.0**-40]))
  value = multipliers[0] * 2.0 ** (rescale.pre_shift - 32 - rescale.shift)
  assert multipliers[0] == 2**30
  assert value == 1.0


@pytest.mark.parametrize(
    ('ratios', 'message'),
    [
        ([0.0, 0.0], 'not all zero'),
        ([1.0, -1.0], 'not negative'),
        ([math.nan], 'finite'),
        ([math.inf], 'finite'),
        ([2.0**-34], 'no shift'),
        ([2.0**29], 'no shift'),
    ],
)
def test_ratios_without_a_fixed_point_form_are_refused(ratios, message):
  with pytest.raises(ValueError, match=message):
    quantization.fixed_point(np.array(ratios))


@pytest.mark.parametrize(
    ('accumulator', 'expected'),
    [(0, 0), (1, 1), (2, 1), (3, 2), (-1, 0), (-2, -1), (-3, -1), (-4, -2)],
)
def test_halves_are_rounded_up(accumulator, expected):
  # The ratio is 1/2: 2^30 * 2^(2 - 32 - 1).
  codes = quantization.requantize(
      np.array([accumulator]),
      np.array([2**30]),
      quantization.Rescale(shift=1, pre_shift=2),
      params(),
  )
  assert codes.tolist() == [expected]


def test_output_is_clamped_to_its_width():
  accumulators = np.array([-1000, -1, 0, 1, 2, 3, 4, 1000]) * 4
  arguments = (np.array([2**30]), quantization.Rescale(1, 1))
  codes = quantization.requantize(accumulators, *arguments, params(2, 1))
  assert codes.dtype == np.uint8
  assert codes.tolist() == [0, 0, 1, 2, 3, 3, 3, 3]


def test_requantize_equals_exact_fractions():
  rng = np.random.default_rng(_SEED)
  for _ in range(2000):
    bits = int(rng.choice(specs.BIT_WIDTHS))
    lowest, highest = packing.code_range(bits)
    output = params(bits, int(rng.integers(lowest, highest + 1)))
    rescale = quantization.Rescale(int(rng.integers(1, 32)))
    multiplier = int(rng.integers(2**31)) >> int(rng.integers(31))
    acc = int(rng.integers(-(2**31) + 1, 2**31)) >> int(rng.integers(31))
    if rng.integers(2):
      # As far left as int32 allows.
      room = 31 - max(abs(acc), 1).bit_length()
      rescale = quantization.Rescale(rescale.shift, max(room, 0))
    received = quantization.requantize(
        np.array([acc]), np.array([multiplier]), rescale, output
    )
    expected = exact_requantize(acc, multiplier, rescale, output)
    assert (
        received[0] == expected
    ), f'seed {_SEED}: {acc}, {multiplier}, {rescale}, {output}'


@pytest.mark.parametrize('acc', [-_INT32_MAX, _INT32_MAX])
@pytest.mark.parametrize('multiplier', [0, 1, 2**30, _INT32_MAX])
@pytest.mark.parametrize('shift', [1, 16, 31])
def test_requantize_at_the_ends_of_int32(acc, multiplier, shift):
  rescale, output = quantization.Rescale(shift), params()
  received = quantization.requantize(
      np.array([acc]), np.array([multiplier]), rescale, output
  )
  assert received[0] == exact_requantize(acc, multiplier, rescale, output)


def test_an_accumulator_bound_may_reach_int32_but_not_leave_it():
  quantization.check_rescale(_INT32_MAX, params(), quantization.Rescale(1))
  with pytest.raises(ValueError, match='overflows int32'):
    quantization.check_rescale(2**31, params(), quantization.Rescale(1))
  shifted = quantization.Rescale(1, pre_shift=3)
  quantization.check_rescale(2**28 - 1, params(), shifted)
  with pytest.raises(ValueError, match='left shift by 3'):
    quantization.check_rescale(2**28, params(), shifted)


@pytest.mark.parametrize(
    ('zero_point', 'shift'), [(0, 31), (-1, 31), (-128, 23), (127, 23)]
)
def test_an_output_offset_of_2_to_30_is_allowed(zero_point, shift):
  offset = (zero_point << shift) + (1 << (shift - 1))
  assert abs(offset) <= 2**30
  quantization.check_rescale(
      _INT32_MAX, params(8, zero_point), quantization.Rescale(shift)
  )
  # What a kernel computes in 32 bits: high word plus offset.
  for acc in (-_INT32_MAX, _INT32_MAX):
    assert -(2**31) <= ((acc * _INT32_MAX) >> 32) + offset < 2**31


@pytest.mark.parametrize(
    ('zero_point', 'shift'), [(1, 31), (-2, 31), (-128, 24), (127, 24)]
)
def test_a_larger_output_offset_is_refused(zero_point, shift):
  with pytest.raises(ValueError, match='exceeds 2\\^30'):
    quantization.check_rescale(
        1, params(8, zero_point), quantization.Rescale(shift)
    )


def test_add_of_equal_scales_has_equal_power_of_two_multipliers():
  rescale = quantization.add_rescale(params(), params(), params())
  assert rescale == quantization.AddRescale((2**22, 2**22), 22)


def test_sums_of_an_add_stay_inside_int32():
  rng = np.random.default_rng(_SEED)
  for _ in range(500):
    drawn = []
    for _ in range(3):
      bits = int(rng.choice(specs.BIT_WIDTHS))
      lowest, highest = packing.code_range(bits)
      zero_point = int(rng.integers(lowest, highest + 1))
      drawn.append(params(bits, zero_point, float(2 ** rng.uniform(-8, 8))))
    first, second, output = drawn
    rescale = quantization.add_rescale(first, second, output)
    reach = 1 << (rescale.shift - 1)
    for p, multiplier in zip((first, second), rescale.multipliers, strict=True):
      ends = packing.code_range(p.bits)
      reach += max(abs(code - p.zero_point) for code in ends) * multiplier
      error = abs(multiplier / 2**rescale.shift - p.scale / output.scale)
      assert error <= 0.5 / 2**rescale.shift, f'seed {_SEED}: {drawn}'
    assert reach <= _INT32_MAX, f'seed {_SEED}: {drawn}'


def test_an_add_whose_sums_overflow_is_refused():
  with pytest.raises(ValueError, match='their sum overflows int32'):
    quantization.add_rescale(params(scale=2.0**30), params(), params(scale=1.0))
