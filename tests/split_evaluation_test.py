"""Tests of split_evaluation: figures of networks on splits of any size."""

import numpy as np
import pytest

from tests import calibration_models
from tests import mixed_network
from tfmpq import datasets
from tfmpq import float_ops
from tfmpq import reference_ops
from tfmpq import split_evaluation


def test_integer_evaluation_is_that_of_the_reference_whatever_the_batches(
    monkeypatch, capsys
):
  network = mixed_network.mixed_network(3)
  rng = np.random.default_rng(5)
  images = rng.integers(0, 256, (23, *mixed_network.INPUT_SHAPE))
  images = images.astype(np.uint8)
  labels = rng.integers(0, 10, 23).astype(np.int32)
  monkeypatch.setattr(split_evaluation, '_BATCH_SIZE', 10)
  found = split_evaluation.evaluate_integer(
      network, datasets.Examples(images, labels)
  )
  codes = reference_ops.run(network, datasets.to_codes(images)).reshape(23, -1)
  assert found.num_images == 23
  assert found.accuracy == np.mean(codes.argmax(axis=1) == labels)
  scale = network.params[network.spec.output].scale
  logits = scale * codes.astype(np.float64)
  shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  expected = -np.log(shares[np.arange(23), labels]).mean()
  assert found.cross_entropy == pytest.approx(expected, rel=1e-9)
  assert '3/3' in capsys.readouterr().err  # the progress bar, in batches


def test_integer_evaluation_of_what_else_computes_a_network():
  network = mixed_network.mixed_network(3)
  shape = (4, *mixed_network.INPUT_SHAPE)
  examples = datasets.Examples(
      np.zeros(shape, np.uint8), np.array([2, 2, 2, 0], np.int32)
  )

  def always_two(codes):
    logits = np.full((len(codes), 1, 1, 10), -128, np.int8)
    logits[..., 2] = 127
    return logits

  found = split_evaluation.evaluate_integer(network, examples, run=always_two)
  assert found.accuracy == 0.75


def test_parts_change_no_bit_of_float_logits(monkeypatch):
  network = calibration_models.network('bottlenecks')
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 23, seed=2)
  labels = np.arange(23, dtype=np.int32)
  monkeypatch.setattr(split_evaluation, '_BATCH_SIZE', 5)
  expected = float_ops.logits(network, datasets.to_input(images), 5)
  # Parts of two batches.
  elements = 10 * int(np.prod(shape))
  monkeypatch.setattr(split_evaluation, '_PART_ELEMENTS', elements)
  logits, found_labels = split_evaluation.logits_and_labels(
      network, datasets.Examples(images, labels)
  )
  np.testing.assert_array_equal(logits, expected.reshape(23, -1))
  np.testing.assert_array_equal(found_labels, labels)
