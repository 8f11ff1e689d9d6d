"""What a comparison of searchers says: rows, a table, a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np
import scipy.stats

from tfmpq import rank_statistics
from tfmpq import svg_charts

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """One search, and what became of its policy.

  Attributes:
    searcher, seed: which search.
    evaluations: policies evaluated, each counted once.
    reward: of the best policy; what the searchers maximize.
    reward_accuracy: accuracy of that policy on the reward images, 0..1.
    best_accuracies: after each episode, the accuracy of the policy with the
      best reward so far; None before there was one that fits.
    policy: the best policy, tensor -> bits.
    correct: which test images are classified rightly after fine-tuning, bool
      [N]; None if there was none.
  """

  searcher: str
  seed: int
  evaluations: int
  reward: float
  reward_accuracy: float
  best_accuracies: tuple[float | None, ...]
  policy: Mapping[str, int]
  correct: np.ndarray | None = None

  @property
  def finetuned_accuracy(self) -> float | None:
    return None if self.correct is None else float(np.mean(self.correct))


def to_json_dict(rows: Sequence[Row]) -> dict[str, Any]:
  """Returns compare.json: what a comparison has measured."""
  return {
      'rows': [
          {
              'searcher': row.searcher,
              'seed': row.seed,
              'evaluations': row.evaluations,
              'reward_accuracy': row.reward_accuracy,
              'finetuned_accuracy': row.finetuned_accuracy,
          }
          for row in rows
      ],
      'reward_rank_correlation': reward_rank_correlation(rows),
      'best_accuracies': [
          {
              'searcher': row.searcher,
              'seed': row.seed,
              'best_accuracies': list(row.best_accuracies),
          }
          for row in rows
      ],
  }


def reward_rank_correlation(rows: Sequence[Row]) -> float | None:
  """Returns how the reward orders policies as fine-tuning does.

  Spearman's correlation over different policies, the mean over their seeds;
  None if fewer than three were fine-tuned.
  """
  by_policy: dict[tuple, list[Row]] = {}
  for row in rows:
    if row.correct is not None:
      by_policy.setdefault(tuple(sorted(row.policy.items())), []).append(row)
  if len(by_policy) < 3:
    return None
  groups = list(by_policy.values())
  return rank_statistics.spearman(
      [float(np.mean([row.reward for row in group])) for group in groups],
      [
          float(np.mean([r.finetuned_accuracy for r in group]))
          for group in groups
      ],
  )


def interval(values: Sequence[float]) -> tuple[float, float]:
  """Returns the mean and half the width of its 95 % interval (Student's t).

  With one value the width is 0: nothing is known about it.
  """
  mean = float(np.mean(values))
  if len(values) < 2:
    return mean, 0.0
  quantile = scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1)
  return mean, float(quantile * scipy.stats.sem(values))


def paired_difference(
    rows: Sequence[Row], searcher: str, reference: str
) -> tuple[float, float] | None:
  """Returns mean accuracy of a searcher minus that of another, and half of the
  95 % interval over the test images, paired per image and seed.

  None unless both were fine-tuned with some seed.
  """
  correct = {
      (row.searcher, row.seed): row.correct
      for row in rows
      if row.correct is not None
  }
  seeds = [s for name, s in correct if name == searcher]
  pairs = [
      correct[searcher, seed].astype(float) - correct[reference, seed]
      for seed in seeds
      if (reference, seed) in correct
  ]
  if not pairs:
    return None
  by_image = np.mean(pairs, axis=0)
  quantile = scipy.stats.norm.ppf((1 + _CONFIDENCE) / 2)
  return float(by_image.mean()), float(quantile * scipy.stats.sem(by_image))


def table(rows: Sequence[Row], reference: str) -> str:
  """Returns a Markdown table, a line per searcher, the best reward first.

  Args:
    rows: of all searches.
    reference: the searcher to which the others are compared.
  """
  names = list(dict.fromkeys(row.searcher for row in rows))
  groups = {n: [row for row in rows if row.searcher == n] for n in names}
  names.sort(key=lambda n: -float(np.mean([r.reward for r in groups[n]])))
  lines = [
      '| searcher | seeds | evaluations | reward | reward split | fine-tuned | '
      f'fine-tuned minus {reference}, points |',
      '|---|---|---|---|---|---|---|',
  ]
  for name in names:
    group = groups[name]
    counts = [row.evaluations for row in group]
    tuned = [row.finetuned_accuracy for row in group if row.correct is not None]
    difference = paired_difference(rows, name, reference)
    cells = [
        name,
        str(len(group)),
        f'{min(counts)}'
        if min(counts) == max(counts)
        else f'{min(counts)} - {max(counts)}',
        _with_interval([row.reward for row in group], '.4f'),
        _with_interval([100 * r.reward_accuracy for r in group], '.2f', ' %'),
        _with_interval([100 * a for a in tuned], '.2f', ' %') if tuned else '',
        ''
        if difference is None or name == reference
        else f'{100 * difference[0]:+.2f} ± {100 * difference[1]:.2f}',
    ]
    lines.append('| ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def _with_interval(values: Sequence[float], form: str, unit: str = '') -> str:
  mean, half = interval(values)
  text = f'{mean:{form}}'
  return f'{text} ± {half:{form}}{unit}' if len(values) > 1 else text + unit


def chart(rows: Sequence[Row]) -> str:
  """Returns the best accuracy so far against episodes, as SVG.

  A line is the mean over seeds; the band around it is its 95 % interval.
  """
  names = list(dict.fromkeys(row.searcher for row in rows))
  series = []
  for name in names:
    curves = [r.best_accuracies for r in rows if r.searcher == name]
    points, band = [], []
    for episode in range(max(map(len, curves))):
      # A search that has ended stays where it is.
      values = [c[min(episode, len(c) - 1)] for c in curves]
      if None in values:
        continue
      mean, half = interval([100 * value for value in values])
      points.append((episode + 1, mean))
      band.append((episode + 1, mean - half, mean + half))
    if points:
      series.append(svg_charts.Series(name, points, band=tuple(band)))
  return svg_charts.line_chart(series, 'evaluated policies', 'reward split, %')
