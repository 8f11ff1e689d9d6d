"""Gives layers back the means that their weights have lost to quantization.

Rounding weights shifts what a layer computes on average, and the shifts add up
over the layers. Bias correction (Nagel et al., arXiv:1906.04721, section 4.2;
here measured on images instead of derived) takes them out again: no labels and
no training, and no byte more.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import specs


def correct(
    changed: float_network.FloatNetwork,
    original: float_network.FloatNetwork,
    inputs: np.ndarray,
) -> float_network.FloatNetwork:
  """Returns `changed` with the mean of every channel that `original` has.

  Layers are corrected in order of execution, each on what those before it
  compute after their correction. All images pass at once.

  Args:
    changed: other weights in the same spec.
    original: the network that it stands for.
    inputs: float32 [N, H, W, C], as `datasets.to_input` makes them.
  """
  wanted = {
      layer.name: _channel_means(before)
      for layer, before, _ in float_ops.forward(original, inputs)
      if layer.weight is not None
  }
  biases = dict(changed.biases)

  def shifted(layer: specs.LayerSpec, before: tf.Tensor) -> tf.Tensor:
    if layer.weight is None:
      return before
    shift = wanted[layer.name] - _channel_means(before)
    biases[layer.name] = biases[layer.name] + shift.numpy()
    return before + shift

  for _ in float_ops.forward(changed, inputs, shifted):
    pass
  return dataclasses.replace(changed, biases=biases)


def _channel_means(values: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(values, axis=(0, 1, 2))
