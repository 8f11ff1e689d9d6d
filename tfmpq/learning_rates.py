"""Learning rates as a function of the step, the same for every training."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tf_keras as keras

SCHEDULES = ('cosine', 'exponential', 'steps', 'constant')


@dataclasses.dataclass(frozen=True)
class Schedule:
  """How a rate rises and falls; multiplies a peak.

  Attributes:
    name: 'cosine', half a cosine to 0; 'exponential', by equal ratios to
      `final`; 'steps', see there; 'constant'.
    warmup_steps: steps of a linear rise from 0, at most half of the training;
      'cosine' and 'exponential' fall over the rest, 'steps' keeps to its
      epochs.
    steps: for 'steps': (epoch from 0, share of the peak from there on), in
      rising order.
    final: for 'exponential': share of the peak at the end, above 0.
  """

  name: str = 'cosine'
  warmup_steps: int = 100
  steps: tuple[tuple[float, float], ...] = ()
  final: float = 0.01

  def __post_init__(self):
    if self.name not in SCHEDULES:
      raise ValueError(
          f'expected a schedule out of {SCHEDULES}, received {self.name!r}'
      )
    if self.warmup_steps < 0 or not 0 < self.final <= 1:
      raise ValueError(
          'expected warmup_steps >= 0 and a final share in (0, 1], received '
          f'{self}'
      )


def make(
    schedule: Schedule, peak: float, num_steps: int, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
  """Returns what an optimizer takes as its learning rate.

  Args:
    schedule: the shape.
    peak: the rate after the warm-up.
    num_steps: of the whole training.
    steps_per_epoch: turns epochs of `schedule` into steps.
  """
  warmup = min(schedule.warmup_steps, num_steps // 2)
  if schedule.name == 'cosine':
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=num_steps - warmup,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
  return _Warmed(
      _falling(schedule, peak, num_steps - warmup, steps_per_epoch, warmup),
      peak,
      warmup,
  )


def _falling(schedule, peak, decay_steps, steps_per_epoch, warmup):
  """Returns step after the warm-up -> rate."""
  schedules = keras.optimizers.schedules
  if schedule.name == 'exponential':
    return schedules.ExponentialDecay(peak, decay_steps, schedule.final)
  if schedule.name == 'steps' and schedule.steps:
    # Keras keeps a value up to and including its boundary.
    boundaries = [
        round(epoch * steps_per_epoch) - warmup - 1
        for epoch, _ in schedule.steps
    ]
    shares = [1.0] + [share for _, share in schedule.steps]
    return schedules.PiecewiseConstantDecay(
        boundaries, [peak * share for share in shares]
    )
  return schedules.PiecewiseConstantDecay([decay_steps], [peak, peak])


class _Warmed(keras.optimizers.schedules.LearningRateSchedule):
  """A linear rise to the peak, then another schedule."""

  def __init__(self, falling, peak: float, warmup_steps: int):
    super().__init__()
    self._falling, self._peak = falling, peak
    self._warmup_steps = warmup_steps

  def __call__(self, step):
    step = tf.cast(step, tf.int64)
    later = tf.cast(
        self._falling(tf.maximum(step - self._warmup_steps, 0)), tf.float32
    )
    if not self._warmup_steps:
      return later
    rising = self._peak * tf.cast(step, tf.float32) / self._warmup_steps
    return tf.where(step < self._warmup_steps, rising, later)

  def get_config(self):
    return {
        'falling': self._falling,
        'peak': self._peak,
        'warmup_steps': self._warmup_steps,
    }
