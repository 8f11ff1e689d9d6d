"""What a study of the reward says: numbers, table and plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

import numpy as np

from tfmpq import rank_statistics
from tfmpq import svg_charts

# Beginnings of the names of figures of which less is better.
_LOSSES = ('cross_entropy', 'kl', 'additive_cross_entropy')
_NUM_TRIED = 3


@dataclasses.dataclass(frozen=True)
class Scored:
  """A policy as the search sees it.

  Attributes:
    bits: tensor name -> bits.
    figures: name -> value, such as those of `evaluation.Evaluation`.
    seconds: of one evaluation without training.
    training_seconds: of one with some training steps; 0 if there was none.
  """

  bits: Mapping[str, int]
  figures: Mapping[str, float]
  seconds: float
  training_seconds: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
  """A policy after fine-tuning with one seed.

  Attributes:
    bits: tensor name -> bits.
    seed: of the fine-tuning.
    correct: bool [images], which are classified rightly.
    seconds: of the fine-tuning.
  """

  bits: Mapping[str, int]
  seed: int
  correct: np.ndarray
  seconds: float

  @property
  def accuracy(self) -> float:
    return float(np.mean(self.correct))

  def to_json(self) -> str:
    """Returns the row; images are packed into hexadecimal digits."""
    raw = {
        'bits': dict(self.bits),
        'seed': self.seed,
        'accuracy': self.accuracy,
        'seconds': self.seconds,
        'num_images': len(self.correct),
        'correct': np.packbits(self.correct).tobytes().hex(),
    }
    return json.dumps(raw, indent=1) + '\n'

  @classmethod
  def from_json(cls, text: str) -> Trained:
    """Reads what `to_json` wrote."""
    raw = json.loads(text)
    packed = np.frombuffer(bytes.fromhex(raw['correct']), np.uint8)
    correct = np.unpackbits(packed, count=raw['num_images']).astype(bool)
    return cls(raw['bits'], raw['seed'], correct, raw['seconds'])


def analyse(
    scored: Sequence[Scored], trained: Sequence[Trained]
) -> dict[str, Any]:
  """Returns everything that table and plot show.

  Args:
    scored: one per policy.
    trained: one per policy and seed, in the order of `scored` for each seed.

  Raises:
    ValueError: a seed lacks policies.
  """
  correct = _by_seed(scored, trained)
  accuracies = correct.mean(axis=2).T
  truth = accuracies.mean(axis=1)
  upper = rank_statistics.upper_half(truth)
  mean_correct = correct.mean(axis=0)
  return {
      'num_policies': len(scored),
      'num_seeds': len(correct),
      'num_images': correct.shape[2],
      'seconds_per_training': float(np.mean([t.seconds for t in trained])),
      'seconds_per_score': float(np.median([s.seconds for s in scored])),
      'seconds_per_trained_score': float(
          np.median([s.training_seconds for s in scored])
      ),
      'reliability': {
          'seeds': rank_statistics.seed_reliability(accuracies),
          'seeds_upper_half': rank_statistics.seed_reliability(
              accuracies[upper]
          ),
          'split_half': rank_statistics.split_half_reliability(mean_correct),
          'split_half_upper_half': rank_statistics.split_half_reliability(
              mean_correct[upper]
          ),
      },
      'rewards': {
          name: _judge([-_loss(s, name) for s in scored], truth, upper)
          for name in _names(scored)
      },
      'policies': [
          {
              'bits': dict(s.bits),
              'figures': dict(s.figures),
              'accuracies': accuracies[i].tolist(),
          }
          for i, s in enumerate(scored)
      ],
  }


def _names(scored: Sequence[Scored]) -> list[str]:
  return [*scored[0].figures, 'mean_bits']


def _loss(scored: Scored, name: str) -> float:
  """Returns a figure so that less is better."""
  if name == 'mean_bits':
    return -float(np.mean(list(scored.bits.values())))
  value = scored.figures[name]
  return value if name.startswith(_LOSSES) else -value


def _by_seed(scored, trained) -> np.ndarray:
  """Returns bool [seeds, policies, images]."""
  seeds = sorted({t.seed for t in trained})
  rows = [[t for t in trained if t.seed == seed] for seed in seeds]
  for seed, row in zip(seeds, rows, strict=True):
    if [dict(t.bits) for t in row] != [dict(s.bits) for s in scored]:
      raise ValueError(
          f'seed {seed}: expected the {len(scored)} scored policies, received '
          f'{len(row)} trained ones'
      )
  return np.stack([[t.correct for t in row] for row in rows])


def _judge(scores, truth, upper) -> dict[str, float]:
  ordered = np.asarray(scores)
  return {
      'all': rank_statistics.spearman(ordered, truth),
      'upper_half': rank_statistics.spearman(ordered[upper], truth[upper]),
      'shortfall_of_best_3': rank_statistics.shortfall_of_best(
          ordered, truth, _NUM_TRIED
      ),
  }


def markdown(result: Mapping[str, Any]) -> str:
  """Returns the table of a study."""
  known = result['reliability']
  trained = result['seconds_per_trained_score']
  lines = [
      f'{result["num_policies"]} policies, {result["num_seeds"]} fine-tunings '
      f'of each ({result["seconds_per_training"]:.0f} s), accuracy on '
      f'{result["num_images"]:,} images that no score uses; '
      f'{result["seconds_per_score"]:.2f} s per score'
      + (f', {trained:.1f} s with training steps.' if trained else '.'),
      '',
      '| score | rank correlation, all | upper half | points lost with the '
      'best 3 |',
      '|---|---|---|---|',
  ]
  lines += [
      f'| {name} | {row["all"]:.3f} | {row["upper_half"]:.3f} | '
      f'{100 * row["shortfall_of_best_3"]:.2f} |'
      for name, row in result['rewards'].items()
  ]
  lines += [
      f'| accuracy with another seed | {known["seeds"]:.3f} | '
      f'{known["seeds_upper_half"]:.3f} | |',
      f'| accuracy on other images | {known["split_half"]:.3f} | '
      f'{known["split_half_upper_half"]:.3f} | |',
  ]
  return '\n'.join(lines) + '\n'


def plot(result: Mapping[str, Any]) -> str:
  """Returns an SVG: cross-entropy of the score against accuracy."""
  points = [
      (row['figures']['cross_entropy'], 100 * accuracy)
      for row in result['policies']
      for accuracy in row['accuracies']
  ]
  series = svg_charts.Series('policy and seed', points, is_line=False)
  return svg_charts.line_chart(
      [series],
      'cross-entropy without training',
      'accuracy after fine-tuning, %',
  )
