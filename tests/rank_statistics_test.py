"""Rank correlations and reliabilities."""

import numpy as np
import pytest

from tfmpq import rank_statistics


def test_spearman_reads_the_order_only():
  values = [0.1, 0.5, 0.2, 3.0]
  assert rank_statistics.spearman(values, np.exp(values)) == pytest.approx(1)
  assert rank_statistics.spearman(values, np.negative(values)) == pytest.approx(
      -1
  )


def test_spearman_of_one_exchanged_pair():
  # 1 - 6 * sum(d^2) / (n * (n^2 - 1)), d = 1, 1, 0, 0.
  assert rank_statistics.spearman([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(
      1 - 12 / 60
  )


@pytest.mark.parametrize(
    'left, right, message',
    [
        ([1, 2], [1, 2], 'at least 3'),
        ([1, 2, 3], [1, 2], '3 and 2'),
    ],
)
def test_too_few_or_unequal_lists_are_refused(left, right, message):
  with pytest.raises(ValueError, match=message):
    rank_statistics.spearman(left, right)


def test_what_orders_nothing_has_no_correlation():
  assert rank_statistics.spearman([1, 1, 1], [1, 2, 3]) == 0
  assert rank_statistics.spearman([1, 2, 3], [5, 5, 5]) == 0


def test_upper_half_is_rounded_up_and_sorted():
  assert rank_statistics.upper_half([0.1, 0.9, 0.5, 0.7, 0.2]).tolist() == [
      1,
      3,
      2,
  ]


def test_reliability_of_seeds_is_the_mean_over_pairs():
  values = np.array([[1, 1, 4], [2, 2, 3], [3, 3, 2], [4, 4, 1]])
  assert rank_statistics.seed_reliability(values) == pytest.approx(
      (1 - 1 - 1) / 3
  )
  with pytest.raises(ValueError, match='at least 2 seeds'):
    rank_statistics.seed_reliability(values[:, :1])


def test_halves_of_many_images_agree_and_those_of_few_do_not():
  seed = int(np.random.SeedSequence().entropy % 10**6)
  print(f'seed {seed}')
  rng = np.random.default_rng(seed)
  chances = np.linspace(0.3, 0.9, 7)[:, None]
  many = rng.random((7, 20_000)) < chances
  assert rank_statistics.split_half_reliability(many) > 0.95
  noise = rng.random((7, 20_000)) < 0.5
  assert abs(rank_statistics.split_half_reliability(noise)) < 0.9


def test_shortfall_counts_the_best_of_those_tried():
  truth = [0.9, 0.8, 0.7, 0.6]
  scores = [0, 1, 2, 3]
  assert rank_statistics.shortfall_of_best(scores, truth, 1) == pytest.approx(
      0.3
  )
  assert rank_statistics.shortfall_of_best(scores, truth, 3) == pytest.approx(
      0.1
  )
  assert rank_statistics.shortfall_of_best(scores, truth, 4) == 0
