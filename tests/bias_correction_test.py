"""Bias correction restores means, layer after layer."""

import dataclasses

import numpy as np

from tests import calibration_models
from tfmpq import bias_correction
from tfmpq import datasets
from tfmpq import float_ops


def _means(network, inputs):
  return {
      layer.name: before.numpy().mean(axis=(0, 1, 2))
      for layer, before, _ in float_ops.forward(network, inputs)
      if layer.weight is not None
  }


def test_every_channel_has_its_mean_again():
  network = calibration_models.network('bottlenecks', seed=3)
  shape = network.spec.tensor(network.spec.input).shape
  inputs = datasets.to_input(calibration_models.images(shape, 12, seed=4))
  coarse = {
      name: np.round(weight / np.abs(weight).max() * 4)
      / 4
      * np.abs(weight).max()
      for name, weight in network.weights.items()
  }
  changed = dataclasses.replace(network, weights=coarse)
  corrected = bias_correction.correct(changed, network, inputs)
  wanted = _means(network, inputs)
  before, after = _means(changed, inputs), _means(corrected, inputs)
  scale = max(np.abs(mean).max() for mean in wanted.values())
  assert max(np.abs(before[n] - wanted[n]).max() for n in wanted) > 0.1 * scale
  for name, mean in wanted.items():
    np.testing.assert_allclose(after[name], mean, rtol=0, atol=1e-5 * scale)
  assert corrected.weights is changed.weights
  # More than the mean: what the network answers is nearer, too.
  exact = float_ops.logits(network, inputs)
  errors = [
      np.square(float_ops.logits(n, inputs) - exact).mean()
      for n in (changed, corrected)
  ]
  assert errors[1] < errors[0]


def test_a_network_that_was_not_changed_stays_as_it_is():
  network = calibration_models.network('residual', seed=3)
  shape = network.spec.tensor(network.spec.input).shape
  inputs = datasets.to_input(calibration_models.images(shape, 5, seed=4))
  corrected = bias_correction.correct(network, network, inputs)
  for name, bias in network.biases.items():
    np.testing.assert_array_equal(corrected.biases[name], bias)
