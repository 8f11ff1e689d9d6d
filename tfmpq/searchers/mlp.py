"""A multilayer perceptron as a tf.Module: actor and critic are made of it."""

from __future__ import annotations

from collections.abc import Sequence
import itertools

import numpy as np
import tensorflow as tf

# Bound of the last layer's initial weights (Lillicrap et al.,
# arXiv:1509.02971, section 7): outputs start near zero.
_LAST_LAYER_BOUND = 3e-3


class Mlp(tf.Module):
  """Dense layers, ReLU after every one but the last.

  Attributes:
    weights: [weight [in, out], bias [out]] of the first layer, second...
  """

  def __init__(self, sizes: Sequence[int], rng: np.random.Generator):
    """Initial values are uniform within 1 / sqrt(inputs of the layer).

    Args:
      sizes: inputs, hidden units of each hidden layer, outputs.
      rng: draws the initial values; nothing depends on TensorFlow's seeds.
    """
    super().__init__()
    self.weights = []
    num_layers = len(sizes) - 1
    for layer, shape in enumerate(itertools.pairwise(sizes)):
      last = layer == num_layers - 1
      bound = _LAST_LAYER_BOUND if last else shape[0] ** -0.5
      for weight_shape in (shape, shape[1:]):
        values = rng.uniform(-bound, bound, weight_shape)
        self.weights.append(tf.Variable(values.astype(np.float32)))
    self.refresh_host_copy()

  def refresh_host_copy(self) -> None:
    """Makes `on_host` use the present weights."""
    self._host_weights = [weight.numpy() for weight in self.weights]

  def on_host(self, inputs: np.ndarray) -> np.ndarray:
    """Returns the outputs for one vector of inputs, in NumPy.

    An episode asks for one action after the other: at that size the call
    costs far more than the sums. einsum computes in this thread, whereas a
    matrix product would wait for NumPy's pool of threads.
    """
    values = inputs
    for index in range(0, len(self._host_weights), 2):
      weight, bias = self._host_weights[index : index + 2]
      values = np.einsum('i,ij->j', values, weight) + bias
      if index + 2 < len(self._host_weights):
        values = np.maximum(values, 0)
    return values

  def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
    """Returns the outputs, [B, out], for inputs [B, in]."""
    values = inputs
    for index in range(0, len(self.weights), 2):
      weight, bias = self.weights[index : index + 2]
      values = tf.matmul(values, weight) + bias
      if index + 2 < len(self.weights):
        values = tf.nn.relu(values)
    return values
