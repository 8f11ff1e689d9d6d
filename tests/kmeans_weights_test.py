"""Tests of k-means weights: clusters, bytes, budget."""

import itertools

import numpy as np
import pytest

from tfmpq import float_network
from tfmpq import kmeans_weights
from tfmpq import network_specs
from tfmpq.budgets import BudgetError

_SEED = 20261124


def _network(seed=_SEED):
  builder = network_specs.SpecBuilder((8, 8, 3))
  builder.conv('conv', 16, kernel=3, stride=2)
  builder.depthwise('dw')
  builder.global_average_pool('pool')
  builder.dense('logits', 10)
  spec = builder.build('small')
  rng = np.random.default_rng(seed)
  weights = {
      w.name: rng.normal(size=w.shape).astype(np.float32) for w in spec.weights
  }
  biases = {
      layer.name: np.zeros(spec.tensor(layer.output).shape[2], np.float32)
      for layer in spec.layers
      if layer.weight
  }
  return float_network.FloatNetwork(spec, weights, biases, {})


def test_values_of_the_codebook_are_found_again():
  rng = np.random.default_rng(_SEED)
  book = np.array([-1.5, -0.25, 0.5, 2.0])
  values = rng.choice(book, (7, 3, 5))
  found = kmeans_weights.cluster(values, 2)
  np.testing.assert_allclose(found.codebook, book)
  np.testing.assert_array_equal(found.values, values.astype(np.float32))
  assert found.codes.shape == values.shape


def test_clusters_are_a_fixed_point_of_lloyd():
  values = np.random.default_rng(_SEED).normal(size=500)
  found = kmeans_weights.cluster(values, 3)
  assert len(found.codebook) == 8
  distances = abs(values[:, None] - found.codebook[None])
  np.testing.assert_array_equal(found.codes, distances.argmin(axis=1))
  for i, centre in enumerate(found.codebook):
    assert centre == pytest.approx(values[found.codes == i].mean())


def test_two_clusters_are_the_best_two_of_few_values():
  values = np.array([0.0, 0.1, 0.3, 2.0, 2.2])
  error = np.sum((kmeans_weights.cluster(values, 1).values - values) ** 2)
  best = min(
      np.sum((part - part.mean()) ** 2) + np.sum((rest - rest.mean()) ** 2)
      for part, rest in ((values[:i], values[i:]) for i in range(1, 5))
  )
  assert error == pytest.approx(best)


def test_one_value_and_more_clusters_than_values():
  constant = kmeans_weights.cluster(np.full((2, 3), 0.25), 4)
  np.testing.assert_array_equal(constant.values, np.full((2, 3), 0.25))
  few = np.array([-1.0, 0.0, 3.0])
  np.testing.assert_allclose(kmeans_weights.cluster(few, 4).values, few)


def test_error_shrinks_with_bits():
  values = np.random.default_rng(_SEED).normal(size=2000)
  errors = [
      np.sum((kmeans_weights.cluster(values, bits).values - values) ** 2)
      for bits in kmeans_weights.BIT_WIDTHS
  ]
  for wide, narrow in itertools.pairwise(errors[::-1]):
    assert wide < narrow


def test_bytes_hold_codes_codebooks_and_biases():
  network = _network()
  bits = {'conv_weight': 3, 'dw_weight': 1, 'logits_weight': 8}
  codes = (-(-16 * 27 * 3 // 8)) + 16 * 9 // 8 + 160
  codebooks = 4 * (8 + 2 + 256)
  biases = 4 * (16 + 16 + 10)
  found = kmeans_weights.model_bytes(network, bits)
  assert found == codes + codebooks + biases


@pytest.mark.parametrize('share', (0.3, 0.5, 0.8, 1.0))
def test_allocation_fits_and_leaves_little(share):
  network = _network()
  widest = dict.fromkeys(network.weights, 8)
  budget = int(share * kmeans_weights.model_bytes(network, widest))
  bits = kmeans_weights.allocate(network, budget)
  needed = kmeans_weights.model_bytes(network, bits)
  assert needed <= budget
  assert set(bits) == set(network.weights)
  if share == 1.0:
    assert bits == widest
  quantized = kmeans_weights.quantize(network, bits)
  for name, weight in quantized.weights.items():
    assert len(np.unique(weight)) <= 2 ** bits[name]
    assert weight.dtype == np.float32


def test_an_impossible_budget_names_the_minimum():
  with pytest.raises(BudgetError, match=r'needs 284 bytes .* budget is 100'):
    kmeans_weights.allocate(_network(), 100)
