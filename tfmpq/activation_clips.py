"""Ranges of activations: the clip that loses least, by mean squared error."""

from __future__ import annotations

import numpy as np

from tfmpq import float_statistics
from tfmpq import packing
from tfmpq import quantization

# Clips are tried as shares of the largest magnitude. Above 1, because the
# highest code of a signed tensor is one step below its clip.
_SHARES = np.geomspace(0.02, 1.1, 120)


def best_clip(
    histogram: float_statistics.Histogram, bits: int, signed: bool
) -> float:
  """Returns the clip with the least mean squared rounding and clipping error.

  Args:
    histogram: the tensor's values.
    bits: 2, 4 or 8.
    signed: whether values below zero are to be represented.

  Returns:
    A positive real; see `quantization.activation_params`. For a tensor that is
    always zero, 1.0: every clip represents it.
  """
  largest = max(histogram.highest, -histogram.lowest)
  if largest <= 0:
    return 1.0
  clips = _SHARES * largest
  errors = [_error(histogram, bits, signed, clip) for clip in clips]
  return float(clips[int(np.argmin(errors))])


def _error(histogram, bits: int, signed: bool, clip: float) -> float:
  params = quantization.activation_params(bits, signed, clip)
  lowest, highest = packing.code_range(bits)
  values = histogram.centres
  steps = np.clip(
      np.floor(values / params.scale + 0.5),
      lowest - params.zero_point,
      highest - params.zero_point,
  )
  # The bin at zero holds the exact zeros of a ReLU, which cost nothing.
  errors = (values - params.scale * steps) ** 2
  return float(errors @ histogram.counts)
