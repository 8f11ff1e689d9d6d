"""Tests of weight_rounding: codes that change a layer's output least."""

import itertools

import numpy as np
import pytest

from tfmpq import weight_rounding

_SEED = 20
_SAMPLES = 200


def _covariance(rng, taps, groups=1, samples=_SAMPLES):
  mixing = rng.normal(0, 1, (groups, taps, taps))
  inputs = rng.normal(0, 1, (groups, samples, taps)) @ mixing
  return np.stack([np.cov(group, rowvar=False, bias=True) for group in inputs])


def _errors(weight, covariance, codes, scales, zero_points):
  rest = weight - scales[:, None] * (codes - zero_points[:, None])
  full = np.broadcast_to(covariance, (len(weight), *covariance.shape[1:]))
  return np.einsum('ct,ctu,cu->c', rest, full, rest)


def _error(weight, covariance, rounded):
  return _errors(
      weight, covariance, rounded.codes, rounded.scales, rounded.zero_points
  )


def _nearest_error(weight, covariance, bits):
  """Error of min-max scales and nearest codes, asymmetric below 8 bits."""
  lowest, highest = weight_rounding.code_limits(bits)
  if bits == 8:
    scales = np.abs(weight).max(axis=1) / 127
    zero_points = np.zeros(len(weight))
  else:
    low = weight.min(axis=1)
    scales = (weight.max(axis=1) - low) / (highest - lowest)
    zero_points = np.round(-low / scales)
  codes = np.round(weight / scales[:, None]) + zero_points[:, None]
  codes = np.clip(codes, lowest, highest)
  return _errors(weight, covariance, codes, scales, zero_points)


@pytest.mark.parametrize('per_channel', [True, False])
@pytest.mark.parametrize('bits', [2, 4, 8])
@pytest.mark.parametrize('depthwise', [True, False])
def test_codes_are_in_range_and_beat_nearest_rounding(
    bits, per_channel, depthwise
):
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0.05, 0.3, (6, 9))
  covariance = _covariance(rng, 9, groups=6 if depthwise else 1)
  rounded = weight_rounding.round_weight(
      weight, covariance, bits, per_channel, num_samples=_SAMPLES
  )
  lowest, highest = weight_rounding.code_limits(bits)
  assert lowest <= rounded.codes.min() and rounded.codes.max() <= highest
  assert (rounded.scales > 0).all()
  assert np.abs(rounded.zero_points).max() <= 127
  if bits == 8 or not per_channel:
    expected = 0 if bits == 8 else 2 ** (bits - 1)
    assert (rounded.zero_points == expected).all()
  total = _error(weight, covariance, rounded).sum()
  assert total < 0.8 * _nearest_error(weight, covariance, bits).sum()


@pytest.mark.parametrize('bits', [2, 4, 8])
def test_no_single_code_can_change_for_the_better(bits):
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0, 1, (4, 7))
  covariance = _covariance(rng, 7)
  rounded = weight_rounding.round_weight(
      weight, covariance, bits, True, num_samples=_SAMPLES
  )
  best = _error(weight, covariance, rounded)
  lowest, highest = weight_rounding.code_limits(bits)
  for tap, change in itertools.product(range(7), (-1, 1)):
    codes = rounded.codes.copy()
    codes[:, tap] = np.clip(codes[:, tap] + change, lowest, highest)
    changed = _errors(
        weight, covariance, codes, rounded.scales, rounded.zero_points
    )
    # The damping of H and the last scale step account for the slack.
    assert (changed >= best * 0.98).all(), (tap, change)


def test_two_bits_come_near_the_best_of_all_codes():
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0, 1, (12, 4))
  # Correlated, but not nearly singular: there descent ends in local minima.
  mixing = np.eye(4) + 0.3 * rng.normal(0, 1, (4, 4))
  covariance = (mixing @ mixing.T)[np.newaxis]
  rounded = weight_rounding.round_weight(
      weight, covariance, 2, False, num_samples=_SAMPLES
  )
  best = np.full(12, np.inf)
  for steps in itertools.product((-2, -1, 0, 1), repeat=4):
    centred = np.array(steps, float)
    if not centred.any():
      continue
    weighted = covariance[0] @ centred
    scales = np.maximum(weight @ weighted / (centred @ weighted), 1e-9)
    codes = np.tile(np.array(steps) + 2, (12, 1))
    errors = _errors(weight, covariance, codes, scales, np.full(12, 2))
    best = np.minimum(best, errors)
  received = _error(weight, covariance, rounded)
  assert np.median(received / best) < 1.2
  assert received.sum() < 1.5 * best.sum()


@pytest.mark.parametrize('bits', [2, 4])
def test_weights_that_are_representable_are_kept(bits):
  rng = np.random.default_rng(_SEED)
  _, highest = weight_rounding.code_limits(bits)
  codes = rng.integers(0, highest + 1, (5, 16))
  codes[:, 0], codes[:, 1] = 0, highest
  scales, zero_points = rng.uniform(0.1, 2, 5), rng.integers(-9, 9, 5)
  weight = scales[:, None] * (codes - zero_points[:, None])
  rounded = weight_rounding.round_weight(
      weight, _covariance(rng, 16), bits, True, num_samples=_SAMPLES
  )
  np.testing.assert_array_equal(rounded.codes, codes)
  np.testing.assert_array_equal(rounded.zero_points, zero_points)
  np.testing.assert_allclose(rounded.scales, scales, rtol=1e-9)


@pytest.mark.parametrize('per_channel', [True, False])
@pytest.mark.parametrize('bits', [2, 4, 8])
def test_degenerate_channels_stay_representable(bits, per_channel):
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0, 0.3, (5, 9))
  weight[1] = 0
  weight[2] *= 1e-12
  weight[3] = 5 + 1e-6 * weight[3]  # needs a zero point far outside int8
  covariance = _covariance(rng, 9)
  covariance[0, 4], covariance[0, :, 4] = 0, 0  # an input that never varies
  rounded = weight_rounding.round_weight(
      weight, covariance, bits, per_channel, num_samples=_SAMPLES
  )
  reals = rounded.scales[:, None] * (
      rounded.codes - rounded.zero_points[:, None]
  )
  assert np.isfinite(reals).all()
  assert np.abs(rounded.zero_points).max() <= 127
  assert rounded.scales.min() >= 1e-7
  np.testing.assert_array_equal(reals[1], 0)
  np.testing.assert_allclose(reals[2], 0, atol=1e-6)
  if per_channel or bits > 2:
    np.testing.assert_allclose(reals[3], 5, rtol=0.1)


def test_a_layer_of_zeros_is_rounded_to_zeros():
  zeros = np.zeros((2, 3))
  for bits in (2, 4, 8):
    rounded = weight_rounding.round_weight(
        zeros, np.zeros((1, 3, 3)), bits, True, num_samples=_SAMPLES
    )
    assert (rounded.codes == rounded.zero_points[:, None]).all()
    assert (rounded.scales == 1).all()


@pytest.mark.parametrize('bits', [2, 4])
def test_codes_are_not_fitted_to_few_samples(bits):
  rng = np.random.default_rng(_SEED)
  taps, few, many = 64, 32, 20_000
  inputs = rng.normal(0, 1, (many, taps)) @ rng.normal(0, 1, (taps, taps))
  weight = rng.normal(0, 1, (8, taps))
  truth = np.cov(inputs, rowvar=False, bias=True)[np.newaxis]
  seen = np.cov(inputs[:few], rowvar=False, bias=True)[np.newaxis]
  cautious, trusting = (
      weight_rounding.round_weight(
          weight, seen, bits, False, num_samples=num_samples
      )
      for num_samples in (few, many)
  )
  error = _error(weight, truth, cautious).sum()
  # On these samples the other codes are better, on all others much worse.
  assert (
      _error(weight, seen, trusting).sum()
      < _error(weight, seen, cautious).sum()
  )
  assert error < 0.7 * _error(weight, truth, trusting).sum()
