"""Tests of evaluation."""

import numpy as np
import pytest

from tfmpq import evaluation


def test_scores_are_means_over_images():
  logits = np.log([[1.0, 1.0, 2.0], [4.0, 4.0, 2.0]])
  result = evaluation.from_logits(logits, np.array([2, 1]))
  # Of the second image's equal logits the first counts: wrong.
  assert result.accuracy == 0.5
  assert result.cross_entropy == pytest.approx(-np.log([0.5, 0.4]).mean())
  assert result.num_images == 2
  assert result.agreement is None and result.kl is None


def test_the_float_network_is_followed_or_not():
  wanted = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
  logits = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
  # A constant added to an image's logits changes nothing.
  result = evaluation.from_logits(logits + 3, np.array([1, 1]), wanted - 1)
  assert result.agreement == 0.5
  own = 0.1 * np.log(0.1 / 0.5) + 0.8 * np.log(0.8 / 0.25)
  own += 0.1 * np.log(0.1 / 0.25)
  assert result.kl == pytest.approx(own / 2)
  assert result.accuracy == 0.0
  same = evaluation.from_logits(wanted, np.array([0, 1]), wanted)
  assert same.agreement == 1.0 and same.kl == 0.0


def test_large_logits_do_not_overflow():
  logits = np.array([[5000.0, 0.0], [0.0, 5000.0]])
  result = evaluation.from_logits(logits, np.array([0, 0]), logits[::-1])
  assert result.cross_entropy == 2500.0
  assert result.kl == 5000.0
