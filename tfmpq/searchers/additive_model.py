"""A model of the loss that learns from every evaluation: losses that add up.

What a tensor loses alone, all others at the largest width, is a prior: with the
others narrow, too, it may lose more or less. Linear regression of the losses on
which tensor has which width, as Bayes has it (C. M. Bishop, Pattern Recognition
and Machine Learning, section 3.3), corrects it where policies were evaluated,
and says how sure it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.sensitivity import Sensitivities

# Standard deviation of a loss before anything is known: a share of what was
# measured, and a share of the median of what was measured.
_OWN_SHARE = 1.0
_TYPICAL_SHARE = 0.3
# Standard deviation of what the sum of losses misses in an evaluation: a share
# of that median, and a share of how far the reward is from the best one. Far
# away losses do not add up, and what happens there matters little.
_ERROR_SHARE = 0.2
_DISTANCE_SHARE = 0.5


class AdditiveModel:
  """Distribution of the losses, given evaluations."""

  def __init__(self, sensitivities: Sensitivities):
    """Starts from what each tensor loses alone.

    Args:
      sensitivities: of all searched tensors.
    """
    self._losses = sensitivities.losses
    self._columns = {
        (name, width): column
        for column, (name, width) in enumerate(
            (name, width)
            for name, by_width in self._losses.items()
            for width in sorted(by_width)[:-1]
        )
    }
    prior = np.array([self._losses[n][w] for n, w in self._columns])
    positive = prior[prior > 0]
    self._typical = float(np.median(positive)) if len(positive) else 1.0
    deviations = _OWN_SHARE * prior + _TYPICAL_SHARE * self._typical
    # The last unknown is the loss with everything at the largest width, of
    # which nothing is assumed.
    self._prior = np.append(prior, 0.0)
    self._precisions = np.append(deviations**-2.0, 0.0)
    self._mean, self._factor = self._prior, np.diag([*deviations, 0.0])

  def fit(self, records: Sequence[EpisodeRecord], best: float) -> None:
    """Replaces what was learned by what these evaluations say.

    Args:
      records: at least one.
      best: the reward near which the model has to be good.
    """
    losses = np.array([-record.reward for record in records])
    inputs = np.zeros((len(records), len(self._prior)))
    inputs[:, -1] = 1
    for row, record in zip(inputs, records, strict=True):
      row[
          [
              self._columns[e]
              for e in record.policy.entries
              if e in self._columns
          ]
      ] = 1
    errors = _ERROR_SHARE * self._typical + _DISTANCE_SHARE * abs(best + losses)
    weighted = inputs.T / errors**2
    precision = weighted @ inputs + np.diag(self._precisions)
    target = weighted @ losses + self._precisions * self._prior
    covariance = np.linalg.inv(precision)
    self._mean = covariance @ target
    self._factor = np.linalg.cholesky((covariance + covariance.T) / 2)

  def mean(self) -> Sensitivities:
    """Returns the expected losses; of any sign, in any order."""
    return self._named(self._mean)

  def draw(self, rng: np.random.Generator) -> Sensitivities:
    """Returns losses as they may be, drawn from their distribution."""
    return self._named(
        self._mean + self._factor @ rng.normal(size=len(self._mean))
    )

  def _named(self, values: np.ndarray) -> Sensitivities:
    return Sensitivities(
        {
            name: {
                width: float(values[self._columns[name, width]])
                if (name, width) in self._columns
                else 0.0
                for width in by_width
            }
            for name, by_width in self._losses.items()
        }
    )
