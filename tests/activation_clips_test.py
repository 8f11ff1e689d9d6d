"""Tests of activation_clips: the clip with the least squared error."""

import numpy as np
import pytest

from tfmpq import activation_clips
from tfmpq import float_statistics
from tfmpq import quantization

_SEED = 31


def _histogram(values):
  lowest, highest = min(0.0, values.min()), max(0.0, values.max())
  counts, _ = np.histogram(
      values, float_statistics.NUM_BINS, (lowest, highest or 1.0)
  )
  return float_statistics.Histogram(counts, lowest, highest)


def _mean_squared_error(values, bits, signed, clip):
  params = quantization.activation_params(bits, signed, clip)
  codes = quantization.quantize(values, params)
  return ((values - quantization.dequantize(codes, params)) ** 2).mean()


@pytest.mark.parametrize('signed', [True, False])
@pytest.mark.parametrize('bits', [2, 4, 8])
def test_no_other_clip_has_a_clearly_smaller_error(bits, signed):
  rng = np.random.default_rng(_SEED)
  values = rng.laplace(0, 1, 20000)
  if not signed:
    values = np.maximum(values, 0)
  clip = activation_clips.best_clip(_histogram(values), bits, signed)
  received = _mean_squared_error(values, bits, signed, clip)
  others = np.linspace(0.05, 1.2, 200) * np.abs(values).max()
  best = min(_mean_squared_error(values, bits, signed, c) for c in others)
  assert received <= best * 1.05


def test_fewer_bits_clip_more():
  values = np.random.default_rng(_SEED).laplace(0, 1, 20000)
  histogram = _histogram(values)
  clips = [activation_clips.best_clip(histogram, b, True) for b in (2, 4, 8)]
  assert clips == sorted(clips) and len(set(clips)) == 3


def test_a_signed_clip_may_exceed_the_largest_value():
  # The highest code stands for half of the clip at 2 bits.
  values = np.array([0.0, 1.0] * 50)
  clip = activation_clips.best_clip(_histogram(values), 2, True)
  assert clip == pytest.approx(1.1, rel=1e-6)


def test_a_tensor_of_zeros_has_a_clip():
  assert activation_clips.best_clip(_histogram(np.zeros(9)), 4, False) == 1.0
