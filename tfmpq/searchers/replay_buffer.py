"""Transitions of past episodes, sampled uniformly."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Transition:
  """One decision, or a batch of them with a leading dimension [B].

  Attributes:
    observation: before the decision, [num_features].
    action: what was really done, [1], in [0, 1].
    reward: of the whole episode after its last decision, else 0, [].
    discount: 0 after the last decision of an episode, else 1, [].
    next_observation: after the decision; any value after the last one.
  """

  observation: np.ndarray
  action: np.ndarray
  reward: np.ndarray
  discount: np.ndarray
  next_observation: np.ndarray


_FIELDS = tuple(f.name for f in dataclasses.fields(Transition))


class ReplayBuffer:
  """The last `capacity` transitions; the oldest is overwritten first."""

  def __init__(self, capacity: int, num_features: int):
    self.capacity = capacity
    self.size = 0
    self._next = 0
    wide = np.zeros((capacity, num_features), np.float32)
    self._data = Transition(
        observation=wide,
        action=np.zeros((capacity, 1), np.float32),
        reward=np.zeros(capacity, np.float32),
        discount=np.zeros(capacity, np.float32),
        next_observation=wide.copy(),
    )

  def add(self, transition: Transition) -> None:
    for name in _FIELDS:
      getattr(self._data, name)[self._next] = getattr(transition, name)
    self._next = (self._next + 1) % self.capacity
    self.size = min(self.size + 1, self.capacity)

  def sample(
      self, num_batches: int, batch_size: int, rng: np.random.Generator
  ) -> Transition:
    """Returns a stack of batches, [num_batches, batch_size], drawn anew."""
    if not self.size:
      raise ValueError('the replay buffer is empty')
    rows = rng.integers(self.size, size=(num_batches, batch_size))
    return Transition(*(getattr(self._data, name)[rows] for name in _FIELDS))

  def state(self) -> dict[str, np.ndarray]:
    """Returns copies of everything, for a checkpoint."""
    state = {n: getattr(self._data, n)[: self.size].copy() for n in _FIELDS}
    return {**state, 'next': np.array(self._next)}

  def load_state(self, state: dict[str, np.ndarray]) -> None:
    self.size = len(state['reward'])
    self._next = int(state['next'])
    for name in _FIELDS:
      getattr(self._data, name)[: self.size] = state[name]
