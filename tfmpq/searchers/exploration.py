"""Noise around the actor's actions."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class NoiseSchedule:
  """Standard deviation of the exploration noise, falling geometrically.

  Attributes:
    first: of the first exploring episode.
    last: of the last one.
  """

  first: float = 0.5
  last: float = 0.02

  def sigma(self, episode: int, num_episodes: int) -> float:
    """Returns the value for exploring episode 0..num_episodes - 1."""
    if num_episodes < 2:
      return self.last
    progress = episode / (num_episodes - 1)
    return float(self.first * (self.last / self.first) ** progress)


def truncated_normal(
    mean: float, sigma: float, rng: np.random.Generator
) -> float:
  """Returns a draw from the normal distribution, given that it is in [0, 1].

  Args:
    mean: of the untruncated distribution, in [0, 1].
    sigma: its standard deviation; 0 returns the mean.
    rng: drawn from until a value is inside (about twice for sigma <= 0.5).
  """
  if not 0 <= mean <= 1:
    raise ValueError(f'expected a mean in [0, 1], received {mean}')
  while True:
    action = float(rng.normal(mean, sigma))
    if 0 <= action <= 1:
      return action
