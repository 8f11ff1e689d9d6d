"""How well a figure orders policies; how well their accuracies are known."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

Values = Sequence[float] | np.ndarray


def spearman(left: Values, right: Values) -> float:
  """Returns Spearman's rank correlation, -1 to 1; ties get mean ranks.

  A side whose values are all equal orders nothing, which counts as 0.

  Raises:
    ValueError: less than three values, or different numbers of them.
  """
  if len(left) != len(right) or len(left) < 3:
    raise ValueError(
        'expected two equally long lists of at least 3 values, received '
        f'{len(left)} and {len(right)}'
    )
  if len(set(left)) == 1 or len(set(right)) == 1:
    return 0.0
  return float(stats.spearmanr(left, right).statistic)


def upper_half(values: Sequence[float]) -> np.ndarray:
  """Returns the indices of the larger half (rounded up), largest first."""
  order = np.argsort(-np.asarray(values), kind='stable')
  return order[: (len(values) + 1) // 2]


def seed_reliability(values: np.ndarray) -> float:
  """Returns the mean rank correlation of two seeds.

  Args:
    values: [policies, seeds], at least 3 and 2.
  """
  num_seeds = values.shape[1]
  if num_seeds < 2:
    raise ValueError(f'expected at least 2 seeds, received {num_seeds}')
  return float(
      np.mean(
          [
              spearman(values[:, i], values[:, j])
              for i in range(num_seeds)
              for j in range(i)
          ]
      )
  )


def split_half_reliability(
    correct: np.ndarray, seed: int = 0, num_splits: int = 100
) -> float:
  """Returns the mean rank correlation of accuracies on two halves of images.

  Args:
    correct: [policies, images], the share of seeds that are right, 0..1.
    seed: of the random halves.
    num_splits: pairs of halves.
  """
  rng = np.random.default_rng(seed)
  num_images = correct.shape[1]
  correlations = []
  for _ in range(num_splits):
    order = rng.permutation(num_images)
    halves = order[: num_images // 2], order[num_images // 2 :]
    correlations.append(
        spearman(*(correct[:, half].mean(axis=1) for half in halves))
    )
  return float(np.mean(correlations))


def shortfall_of_best(scores: Values, truth: Values, num_chosen: int) -> float:
  """Returns what is lost by trying only the policies with the best scores.

  Args:
    scores: larger is better.
    truth: accuracies, 0..1.
    num_chosen: how many of the best scores are tried.

  Returns:
    best of all accuracies minus the best among the chosen ones.
  """
  order = np.argsort(-np.asarray(scores), kind='stable')
  values = np.asarray(truth)
  return float(values.max() - values[order[:num_chosen]].max())
