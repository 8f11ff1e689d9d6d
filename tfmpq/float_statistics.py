"""What calibration has to know of a float network, measured on a few images.

No labels are used. Everything here is independent of any policy: the
statistics are taken once per network and serve every policy of a search.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np
import tensorflow as tf

from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import reference_ops
from tfmpq import specs

# The histogram's bins decide how finely a clip can be judged: a clip of 8 bits
# has 255 steps, so that a step covers several bins.
NUM_BINS = 2048
_BATCH_SIZE = 64
# Of the largest matrix of input patches of one batch, 512 MB.
_MAX_PATCH_ELEMENTS = 2**27
# Means and deviations of a layer come from so many pixels at least, and from
# so many images: more of either costs time and changes no policy's rank.
_MIN_PIXELS = 2**15
MIN_MOMENT_IMAGES = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram:
  """Distribution of one activation's values.

  Attributes:
    counts: int64 [NUM_BINS], bins of equal width from `lowest` to `highest`.
    lowest: real value, at most 0.
    highest: real value, at least 0.
  """

  counts: np.ndarray
  lowest: float
  highest: float

  @property
  def centres(self) -> np.ndarray:
    """Returns the real value [NUM_BINS] in the middle of each bin."""
    steps = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    return self.lowest + steps * (self.highest - self.lowest)


@dataclasses.dataclass(frozen=True, eq=False)
class FloatStatistics:
  """Statistics of a float network over the calibration images.

  Attributes:
    histograms: activation name -> Histogram, for all but the network input.
    covariances: layer name -> float64 covariance of what one output sees:
      [1, taps, taps] with taps = kH*kW*C_in in the weight's order; depthwise
      [C, kH*kW, kH*kW]. For layers with weights.
    means: layer name -> float64 [C_out], mean of the value before the
      activation function, over pixels and the first `num_moment_images`. For
      layers with weights.
    deviations: layer name -> float64 [C_out], its standard deviation.
  """

  histograms: Mapping[str, Histogram]
  covariances: Mapping[str, np.ndarray]
  means: Mapping[str, np.ndarray]
  deviations: Mapping[str, np.ndarray]


def batch_size(spec: specs.NetworkSpec) -> int:
  """Returns how many images pass through a network at once."""
  largest = 1
  for layer in spec.layers:
    height, width, channels = spec.tensor(layer.output).shape
    if layer.op is not specs.Op.DEPTHWISE_CONV_2D:
      channels = spec.tensor(layer.inputs[0]).shape[2]
    taps = layer.kernel_size[0] * layer.kernel_size[1]
    if layer.weight is not None:
      largest = max(largest, height * width * channels * taps)
  return max(1, min(_BATCH_SIZE, _MAX_PATCH_ELEMENTS // largest))


def num_moment_images(height: int, width: int) -> int:
  """Returns how many images give a layer's means and deviations.

  The float network and the quantized one are compared on the same images, so
  that few of large activations are enough.

  Args:
    height: of the layer's output.
    width: of the layer's output.
  """
  return max(MIN_MOMENT_IMAGES, -(-_MIN_PIXELS // (height * width)))


def measure(
    network: float_network.FloatNetwork, inputs: np.ndarray
) -> FloatStatistics:
  """Returns the statistics of a network over its real inputs.

  Args:
    network: what to observe.
    inputs: float32 [N, H, W, C], as `datasets.to_input` makes them.

  Raises:
    ValueError: there are no images, or a value is not finite.
  """
  if not len(inputs):
    raise ValueError('expected at least one calibration image, received none')
  run = _traced(network)
  size = batch_size(network.spec)
  starts = range(0, len(inputs), size)
  batches = [inputs[start : start + size] for start in starts]
  ranges = _ranges(network.spec, run, batches)
  counts = {name: np.zeros(NUM_BINS, np.int64) for name in ranges}
  inner = {n.name: _Moments() for n in network.spec.layers if n.weight}
  outer = {n.name: _Moments() for n in network.spec.layers if n.weight}
  for start, batch in zip(starts, batches, strict=True):
    before, values = run(batch)
    for name, (lowest, highest) in ranges.items():
      counts[name] += _histogram(values[name].numpy(), lowest, highest)
    for layer in network.spec.layers:
      if layer.weight:
        inner[layer.name].add(_patches(values[layer.inputs[0]].numpy(), layer))
        outputs = before[layer.name].numpy()
        last = num_moment_images(*outputs.shape[1:3])
        outputs = outputs[: max(last - start, 0)]
        outer[layer.name].add_independent(
            outputs.reshape(-1, outputs.shape[-1])
        )
  return FloatStatistics(
      histograms={
          name: Histogram(counts[name], *ranges[name]) for name in ranges
      },
      covariances={name: m.covariance() for name, m in inner.items()},
      means={name: m.mean() for name, m in outer.items()},
      deviations={
          name: np.sqrt(np.maximum(m.covariance(), 0))
          for name, m in outer.items()
      },
  )


def _traced(network: float_network.FloatNetwork):
  """Returns a function: inputs -> (value before activation, every value)."""

  @tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
  def run(inputs):
    before, values = {}, {network.spec.input: inputs}
    for layer, pre_activation, output in float_ops.forward(network, inputs):
      if layer.weight:
        before[layer.name] = pre_activation
      values[layer.output] = output
    return before, values

  return run


def _ranges(spec: specs.NetworkSpec, run, batches) -> dict:
  """Returns activation name -> (lowest, highest) value, around 0."""
  names = [t.name for t in spec.activations if t.name != spec.input]
  ranges = {name: (0.0, 0.0) for name in names}
  for batch in batches:
    _, values = run(batch)
    for name, (lowest, highest) in ranges.items():
      array = values[name].numpy()
      if not np.isfinite(array).all():
        raise ValueError(
            f"activation '{name}' of the float network holds values that are "
            'not finite; train it anew or check its weights'
        )
      ranges[name] = (
          min(lowest, float(array.min())),
          max(highest, float(array.max())),
      )
  return ranges


def _histogram(values: np.ndarray, lowest: float, highest: float) -> np.ndarray:
  width = (highest - lowest) / NUM_BINS or 1.0
  bins = ((values.ravel() - lowest) / width).astype(np.int64)
  return np.bincount(np.clip(bins, 0, NUM_BINS - 1), minlength=NUM_BINS)


def _patches(inputs: np.ndarray, layer: specs.LayerSpec) -> np.ndarray:
  """Returns [1, samples, kH*kW*C_in], or [C, samples, kH*kW] of depthwise."""
  view = reference_ops.windows(inputs, layer, 0)  # [N, H, W, kH, kW, C]
  channels = inputs.shape[-1]
  if layer.op is not specs.Op.DEPTHWISE_CONV_2D:
    k_h, k_w = layer.kernel_size
    return view.reshape(1, -1, k_h * k_w * channels)
  by_channel = np.moveaxis(view, -1, 0)
  return by_channel.reshape(channels, -1, np.prod(layer.kernel_size))


class _Moments:
  """First and second moments, summed batch by batch in float64."""

  def __init__(self):
    self._count = 0
    self._sum = np.zeros(())
    self._squares = np.zeros(())

  def add(self, samples: np.ndarray) -> None:
    """Adds [groups, samples, variables]; covariances within each group."""
    self._count += samples.shape[1]
    self._sum = self._sum + samples.sum(axis=1, dtype=np.float64)
    self._squares = self._squares + (samples.transpose(0, 2, 1) @ samples)

  def add_independent(self, samples: np.ndarray) -> None:
    """Adds [samples, variables]; one variance per variable."""
    wide = samples.astype(np.float64)
    self._count += len(samples)
    self._sum = self._sum + wide.sum(axis=0)
    self._squares = self._squares + (wide * wide).sum(axis=0)

  def mean(self) -> np.ndarray:
    return self._sum / self._count

  def covariance(self) -> np.ndarray:
    """Returns [groups, variables, variables] or [variables]."""
    mean = self.mean()
    product = mean * mean
    if self._squares.ndim == 3:
      product = mean[:, :, np.newaxis] * mean[:, np.newaxis, :]
    return self._squares / self._count - product
