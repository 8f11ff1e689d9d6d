"""Exponential moving averages of a model's variables.

Of a fake-quantized model, average the trainable variables. Scales and clips of
the fake quantizers are trained as logarithms, and the logarithms are averaged:
the result is their geometric mean, positive and of the right magnitude where
they have moved by a factor. What else there is follows from these (the units of
the biases) or never changes (zero points). Codes are rounded from averaged
weights and averaged scales; there is no average of codes. Of a float model,
average the statistics of its BatchNorms, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib

import numpy as np
import tensorflow as tf

# The decay of step n is at most (1 + n) / (10 + n): at first the average
# follows the weights, and never remembers the start longer than the training.
_RAMP = 10


class WeightAverages:
  """Averages beside variables, which keep on changing."""

  def __init__(self, variables: Sequence[tf.Variable], decay: float):
    """Starts at the present values.

    Args:
      variables: what is averaged; under a distribution strategy, call this
        within its scope.
      decay: share of the old average in the new one, in (0, 1).
    """
    if not 0 < decay < 1:
      raise ValueError(f'expected a decay in (0, 1), received {decay}')
    self._variables, self._decay = tuple(variables), decay
    self._averages = [
        tf.Variable(variable.numpy(), trainable=False)
        for variable in self._variables
    ]

  @property
  def variables(self) -> list[tf.Variable]:
    """The averages, for a checkpoint."""
    return list(self._averages)

  def update(self, step: int) -> None:
    """Takes in the weights after step number `step`, from 1."""
    decay = min(self._decay, (1 + step) / (_RAMP + step))
    self._move(tf.constant(1 - decay, tf.float32))

  @tf.function(jit_compile=False, reduce_retracing=True)
  def _move(self, share):
    for average, variable in zip(self._averages, self._variables, strict=True):
      average.assign_add(share * (variable - average))

  @contextlib.contextmanager
  def in_place(self) -> Iterator[None]:
    """Within, the variables are the averages; afterwards themselves again."""
    own = [v.numpy() for v in self._variables]
    self._assign(self.values())
    try:
      yield
    finally:
      self._assign(own)

  def _assign(self, values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(self._variables, values, strict=True):
      variable.assign(value)

  def values(self) -> list[np.ndarray]:
    """Returns the averages, in the order of the variables."""
    return [average.numpy() for average in self._averages]

  def restore(self, values: Sequence[np.ndarray]) -> None:
    """Sets what `values` returned."""
    for average, value in zip(self._averages, values, strict=True):
      average.assign(value)
