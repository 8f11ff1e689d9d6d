"""Codes for weights, chosen so that a layer's outputs change least.

Rounding each weight to its nearest code ignores that a layer adds up its
inputs: errors of weights whose inputs rise and fall together can cancel. Here
the error of an output channel is measured where it counts, at the output:

    E = (w - s (q - z))' H (w - s (q - z)),   H = covariance of the inputs,

which is the mean squared error of the channel's output up to a constant, and a
constant is what the bias takes care of. E is minimized by coordinate descent,
one code at a time, in turn with the scale s that is best for the codes. (The
objective is the one of Nagel et al., "Up or Down?", arXiv:2004.10568,
equation 13; coordinate descent takes the place of their relaxation.)
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq import packing

# Shares of a channel's range from which descent starts.
_SHARES = {
    8: (1.0,),
    7: (1.0,),
    6: (1.0,),
    5: (1.0, 0.85),
    4: (1.0, 0.85, 0.7),
    3: (1.0, 0.85, 0.7, 0.55),
    2: (1.0, 0.8, 0.65, 0.5, 0.4),
    1: (1.0,),
}
_MAX_ROUNDS = 6
_MAX_SWEEPS = 8
# Added to H, relative to its mean diagonal: it keeps the codes of inputs that
# never vary near their weights.
_DAMPING = 1e-3
# The same where H comes from fewer samples than it has rows. It then has
# directions in which no sample varies, an error there seems to cost nothing,
# and codes would be fitted to these samples. docs/imagenet_search.md has what
# this gains on images that nothing has seen.
_SINGULAR_DAMPING = 1.0
# A channel whose weights all but vanish would get a scale in which its bias
# overflows; it is coarser than the layer's coarsest channel by this at most.
_MIN_RELATIVE_SCALE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class RoundedWeight:
  """Codes of a weight: `w ~ scale_c * (code - zero_point_c)`.

  Attributes:
    codes: int64 [C_out, taps] inside the width's range.
    scales: float64 [C_out], positive.
    zero_points: int64 [C_out], inside int8; at 1 bit float64, all 0.5.
  """

  codes: np.ndarray
  scales: np.ndarray
  zero_points: np.ndarray


def round_weight(
    weight: np.ndarray,
    covariance: np.ndarray,
    bits: int,
    per_channel_zero_points: bool,
    num_samples: int,
) -> RoundedWeight:
  """Returns the codes of one layer's weight.

  At 1 bit the codes 0 and 1 stand for -scale / 2 and scale / 2 (XNOR-Net's
  binary weights, arXiv:1603.05279), whatever `per_channel_zero_points`. HAQ's
  linear quantizer, scale = threshold / (2^(b-1) - 1), has no 1 bit, and only
  three levels at 2 bits, where there are four here.

  Args:
    weight: float [C_out, taps] (quantized_network.channel_major).
    covariance: [1, taps, taps], or one per output channel [C_out, taps, taps].
    bits: 2, 4 or 8; for comparison, any of 1 to 8.
    per_channel_zero_points: whether codes of 2 to 7 bits have a zero point per
      channel, else 2^(bits-1); 8-bit codes are symmetric.
  """
  weight = np.asarray(weight, np.float64)
  damped = _damp(covariance, num_samples)
  floor = _scale_floor(weight, bits)
  symmetric = bits in (1, 8) or not per_channel_zero_points
  begin = _symmetric_start if symmetric else _asymmetric_start
  # One round tells starts apart; only the best of each channel goes on.
  candidates = [
      _descend(
          weight, damped, bits, begin(weight, bits, share, floor), floor, 1
      )
      for share in _SHARES[bits]
  ]
  start = _best_of(candidates)
  return _descend(weight, damped, bits, start, floor, _MAX_ROUNDS)[0]


def _best_of(
    candidates: list[tuple[RoundedWeight, np.ndarray]],
) -> RoundedWeight:
  """Returns for each channel the candidate with the least error."""
  errors = np.stack([errors for _, errors in candidates])
  chosen = errors.argmin(axis=0)  # [C_out]
  channels = np.arange(errors.shape[1])

  def pick(field):
    return np.stack([getattr(c, field) for c, _ in candidates])[
        chosen, channels
    ]

  return RoundedWeight(pick('codes'), pick('scales'), pick('zero_points'))


def code_limits(bits: int) -> tuple[int, int]:
  """Returns the (lowest, highest) code of a weight; 8 bits: -127..127."""
  return (-127, 127) if bits == 8 else packing.code_range(bits)


def _damp(covariance: np.ndarray, num_samples: int) -> np.ndarray:
  taps = covariance.shape[-1]
  share = _DAMPING if num_samples > taps else _SINGULAR_DAMPING
  diagonal = np.diagonal(covariance, axis1=1, axis2=2)  # [groups, taps]
  mean = diagonal.mean(axis=1)
  # Inputs that never vary at all: any positive value makes this plain rounding.
  added = np.where(mean > 0, share * mean, 1.0)
  return covariance + added[:, None, None] * np.eye(taps)


def _scale_floor(weight: np.ndarray, bits: int) -> float:
  """Returns the smallest scale that a channel of this layer may have."""
  lowest, highest = code_limits(bits)
  largest = np.abs(weight).max() / ((highest - lowest) / 2)
  return float(largest * _MIN_RELATIVE_SCALE) or 1.0


def _symmetric_start(weight, bits: int, share: float, floor: float):
  lowest, highest = code_limits(bits)
  zero_point = {8: 0, 1: 0.5}.get(bits, 2 ** (bits - 1))
  # The side with the larger need decides: at 2 bits the codes reach from -2
  # to +1 steps.
  scales = np.maximum(
      weight.max(axis=1) / (highest - zero_point),
      -weight.min(axis=1) / (zero_point - lowest),
  )
  zero_points = np.full(len(weight), zero_point)
  return _nearest(weight, bits, np.maximum(scales * share, floor), zero_points)


def _asymmetric_start(weight, bits: int, share: float, floor: float):
  lowest, highest = code_limits(bits)
  middle = (weight.max(axis=1) + weight.min(axis=1)) / 2
  half = (weight.max(axis=1) - weight.min(axis=1)) / 2 * share
  scales = np.maximum(2 * half / (highest - lowest), floor)
  # A zero point beyond int8 (weights far from zero that hardly differ) is not
  # representable: a coarser scale brings it back.
  reach = 120 if bits <= 4 else 127 - 2 ** (bits - 1)
  scales = np.maximum(scales, np.abs(middle) / reach)
  zero_points = np.floor((half - middle) / scales + 0.5).astype(np.int64)
  return _nearest(weight, bits, scales, zero_points)


def _nearest(weight, bits: int, scales, zero_points) -> RoundedWeight:
  lowest, highest = code_limits(bits)
  whole = np.floor(zero_points)  # Of 0.5, at 1 bit, the rest counts, too.
  half_up = 0.5 + (zero_points - whole)[:, None]
  codes = np.floor(weight / scales[:, None] + half_up) + whole[:, None]
  codes = np.clip(codes, lowest, highest).astype(np.int64)
  return RoundedWeight(codes, scales, zero_points)


def _descend(
    weight,
    covariance,
    bits: int,
    start: RoundedWeight,
    floor: float,
    max_rounds: int,
) -> tuple[RoundedWeight, np.ndarray]:
  """Returns (codes, errors [C_out]); a local minimum of E if rounds suffice."""
  codes, scales = start.codes, start.scales
  zero_points = start.zero_points
  for _ in range(max_rounds):
    scales = _best_scales(weight, covariance, codes, zero_points, scales, floor)
    before = codes
    codes = _sweep(weight, covariance, bits, codes, scales, zero_points)
    if (codes == before).all():
      break
  scales = _best_scales(weight, covariance, codes, zero_points, scales, floor)
  rest = weight - scales[:, None] * (codes - zero_points[:, None])
  errors = (_times(rest, covariance) * rest).sum(axis=1)
  return RoundedWeight(codes, scales, zero_points), errors


def _best_scales(
    weight, covariance, codes, zero_points, fallback, floor: float
) -> np.ndarray:
  """Returns the least-squares scale per channel, where it is positive."""
  centred = (codes - zero_points[:, None]).astype(np.float64)
  weighted = _times(centred, covariance)
  wanted, norm = (weighted * weight).sum(axis=1), (weighted * centred).sum(1)
  good = (wanted > 0) & (norm > 0)
  scales = np.where(good, wanted / np.where(good, norm, 1.0), fallback)
  return np.maximum(scales, floor)


def _sweep(weight, covariance, bits: int, codes, scales, zero_points):
  """Returns codes of which no single one can change to lower E."""
  lowest, highest = code_limits(bits)
  codes = codes.astype(np.float64)
  rest = weight - scales[:, None] * (codes - zero_points[:, None])
  gradient = _times(rest, covariance)  # [C_out, taps]
  for _ in range(_MAX_SWEEPS):
    changed = False
    for tap in range(weight.shape[1]):
      row = covariance[:, tap]  # [1 or C_out, taps]
      ideal = codes[:, tap] + gradient[:, tap] / (scales * row[:, tap])
      delta = np.clip(np.floor(ideal + 0.5), lowest, highest) - codes[:, tap]
      moved = np.flatnonzero(delta)
      if len(moved):
        changed = True
        codes[moved, tap] += delta[moved]
        row = row if len(row) == 1 else row[moved]
        gradient[moved] -= (scales * delta)[moved, None] * row
    if not changed:
      break
  return codes.astype(np.int64)


def _times(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
  """Returns rows [C_out, taps] times H, one H for all rows or one per row."""
  if len(covariance) == 1:
    return rows @ covariance[0]
  return np.einsum('ct,ctu->cu', rows, covariance)
