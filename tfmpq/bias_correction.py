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


def correct(
    changed: float_network.FloatNetwork,
    original: float_network.FloatNetwork,
    inputs: np.ndarray,
) -> float_network.FloatNetwork:
  """Returns `changed` with the mean of every channel that `original` has.

  Layers are corrected in order of execution, each on what those before it
  compute after their correction, so that the images pass once per layer.

  Args:
    changed: other weights in the same spec.
    original: the network that it stands for.
    inputs: float32 [N, H, W, C], as `datasets.to_input` makes them.
  """
  wanted = _traced_means(original)(inputs, dict(original.biases))
  means = _traced_means(changed)
  biases = dict(changed.biases)
  for layer in changed.spec.layers:
    if layer.weight is not None:
      shift = wanted[layer.name] - means(inputs, biases)[layer.name]
      biases[layer.name] = biases[layer.name] + shift.numpy()
  return dataclasses.replace(changed, biases=biases)


def _traced_means(network: float_network.FloatNetwork):
  """Returns (inputs, biases) -> layer -> [C_out] before its activation."""

  @tf.function(autograph=False, jit_compile=False)
  def means(inputs, biases):
    biased = dataclasses.replace(network, biases=biases)
    return {
        layer.name: tf.reduce_mean(before, axis=(0, 1, 2))
        for layer, before, _ in float_ops.forward(biased, inputs)
        if layer.weight is not None
    }

  return means
