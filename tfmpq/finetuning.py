"""Fine-tunes a fake-quantized model: checkpoints, averages, early stop.

A training is a sequence of steps (`training_steps`) on batches that depend on
the step alone. The state is one file that is replaced whole, so that a killed
run goes on to the result of an undisturbed one, bit for bit, on one type of
machine with a fixed number of threads and op determinism on.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import json
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import prefetching
from tfmpq import training_state
from tfmpq import training_steps
from tfmpq import weight_averages

_STATE = 'state.npz'
_EVALUATION_BATCH_SIZE = 500

Classifier = training_steps.Classifier


@dataclasses.dataclass(frozen=True)
class FinetuneSettings:
  """How to fine-tune.

  Attributes:
    epochs: passes over the training split.
    step: what a step does; its rate falls over these epochs.
    ema_decay: of the moving average of the weights, which is then what is
      evaluated and kept; 0: none.
    patience: epochs without a better cross-entropy on the reward split after
      which training stops.
    checkpoint_steps: steps between two saved states.
    data: what the batches depend on, such as their seed; only compared when a
      training goes on.
  """

  epochs: int
  step: training_steps.StepSettings
  ema_decay: float = 0.0
  patience: int = 5
  checkpoint_steps: int = 100
  data: str = ''

  def __post_init__(self):
    if min(self.epochs, self.checkpoint_steps) < 1:
      raise ValueError(
          f'epochs and checkpoint_steps must be at least 1, received {self}'
      )
    if not 0 <= self.ema_decay < 1:
      raise ValueError(
          f'ema_decay must lie in 0..1, below 1, received {self.ema_decay}'
      )


@dataclasses.dataclass(frozen=True)
class EpochRecord:
  """One epoch: mean training loss, and figures of the reward split."""

  epoch: int
  loss: float
  accuracy: float
  cross_entropy: float


@dataclasses.dataclass(frozen=True)
class FinetuneProgress:
  """What `on_step` receives.

  Attributes:
    step: steps done.
    num_steps: steps in all.
    loss: of this step.
    history: finished epochs.
    num_images: of this step.
    learning_rate: of this step.
  """

  step: int
  num_steps: int
  loss: float
  history: tuple[EpochRecord, ...]
  num_images: int
  learning_rate: float


class Finetuner:
  """Trains `student`; `run` leaves it with the weights of its best epoch."""

  def __init__(
      self,
      student: keras.Model,
      teacher: Classifier,
      batches: datasets.Batches,
      reward: datasets.Split,
      settings: FinetuneSettings,
      state_dir: pathlib.Path,
      strategy: tf.distribute.Strategy | None = None,
  ):
    """Restores the saved state in `state_dir`, where there is one.

    Args:
      student: fake-quantized model with the weights to start from.
      teacher: real inputs [N, H, W, C] -> float logits [N, classes].
      batches: what to train on.
      reward: held-out images that choose the epoch.
      settings: how to train.
      state_dir: folder for the state; belongs to this training alone.
      strategy: in whose scope the student was made; None: one device.

    Raises:
      ValueError: the folder holds the state of another training.
    """
    self.student = student
    self._batches, self._reward = batches, reward
    self._settings, self._path = settings, state_dir / _STATE
    self._num_steps = settings.epochs * batches.steps_per_epoch
    strategy = strategy or tf.distribute.get_strategy()
    saved = self._load() if self._path.exists() else None
    scale = saved.groups.get('loss_scale') if saved else None
    self._train_step = training_steps.TrainingStep(
        student,
        teacher,
        settings.step,
        self._num_steps,
        batches.steps_per_epoch,
        strategy,
        loss_scale=float(scale[0]) if scale else None,
    )
    self._averages = None
    if settings.ema_decay:
      with strategy.scope():
        self._averages = weight_averages.WeightAverages(
            student.trainable_variables, settings.ema_decay
        )
    self._step, self._loss_sum = 0, 0.0
    self._history: tuple[EpochRecord, ...] = ()
    self._best_weights = student.get_weights()
    if saved:
      self._restore(saved)

  def run(
      self, on_step: Callable[[FinetuneProgress], None] = lambda _: None
  ) -> tuple[EpochRecord, ...]:
    """Trains to the end and returns the epochs; the student is the best one."""
    if not self._is_over():
      batches = prefetching.prefetch(self._batches, self._step, self._num_steps)
      with contextlib.closing(batches):
        for images, labels in batches:
          on_step(self._one_step(images, labels))
          if self._is_over():
            break
    self.student.set_weights(self._best_weights)
    return self._history

  def _one_step(self, images, labels) -> FinetuneProgress:
    """Trains on a batch, ends the epoch if it was its last, and saves."""
    rate = self._train_step.learning_rate(self._step)
    loss = self._train_step(images, labels)
    self._loss_sum += loss
    self._step += 1
    if self._averages:
      self._averages.update(self._step)
    if self._step % self._batches.steps_per_epoch == 0:
      self._end_epoch()
      self._save()
    elif self._step % self._settings.checkpoint_steps == 0:
      self._save()
    return FinetuneProgress(
        step=self._step,
        num_steps=self._num_steps,
        loss=loss,
        history=self._history,
        num_images=len(images),
        learning_rate=rate,
    )

  def _is_over(self) -> bool:
    if not self._history:
      return False
    best = min(self._history, key=lambda r: r.cross_entropy)
    return self._history[-1].epoch - best.epoch >= self._settings.patience

  def _end_epoch(self) -> None:
    averaged = (
        self._averages.in_place()
        if self._averages
        else contextlib.nullcontext()
    )
    with averaged:
      scores = evaluate(self.student, self._reward)
      earlier = [r.cross_entropy for r in self._history]
      if not earlier or scores.cross_entropy < min(earlier):
        self._best_weights = self.student.get_weights()
    record = EpochRecord(
        epoch=len(self._history) + 1,
        loss=self._loss_sum / self._batches.steps_per_epoch,
        accuracy=scores.accuracy,
        cross_entropy=scores.cross_entropy,
    )
    self._history += (record,)
    self._loss_sum = 0.0

  def _fingerprint(self) -> str:
    return json.dumps(dataclasses.asdict(self._settings), sort_keys=True)

  def _save(self) -> None:
    """Replaces the state file in one step."""
    meta = {
        'settings': self._fingerprint(),
        'step': self._step,
        'loss_sum': self._loss_sum,
        'history': [dataclasses.asdict(r) for r in self._history],
    }
    groups = {
        'student': self.student.get_weights(),
        'best': self._best_weights,
        **self._train_step.state(),
    }
    if self._averages:
      groups['averages'] = self._averages.values()
    training_state.save(self._path, training_state.TrainingState(meta, groups))

  def _load(self) -> training_state.TrainingState:
    """Returns the saved state; ValueError if it is not one of this training."""
    saved = training_state.load(self._path)
    if saved.meta['settings'] != self._fingerprint():
      raise ValueError(
          f'{self._path} belongs to a fine-tuning with other settings: '
          f'{saved.meta["settings"]} there, {self._fingerprint()} here; use '
          'the same flags or another --run_dir'
      )
    return saved

  def _restore(self, saved: training_state.TrainingState) -> None:
    self.student.set_weights(saved.groups['student'])
    self._train_step.restore(saved.groups)
    if self._averages:
      self._averages.restore(saved.groups['averages'])
    self._best_weights = saved.groups['best']
    meta = saved.meta
    self._step, self._loss_sum = meta['step'], meta['loss_sum']
    self._history = tuple(EpochRecord(**r) for r in meta['history'])


def evaluate(
    classifier: Classifier, examples: datasets.Split
) -> evaluation.Evaluation:
  """Returns accuracy and cross-entropy of float logits on a split."""
  return evaluation.from_logits(*_answers(tf.function(classifier), examples))


def correct(classifier: Classifier, examples: datasets.Split) -> np.ndarray:
  """Returns which images of a split are classified rightly, bool [N]."""
  logits, labels = _answers(classifier, examples)
  return logits.argmax(-1) == labels


def _answers(
    classifier: Classifier, examples: datasets.Split
) -> tuple[np.ndarray, np.ndarray]:
  """Returns float logits [N, classes] and labels [N]."""
  return evaluation.answers(
      lambda images: classifier(datasets.to_input(images)),
      examples.batches(_EVALUATION_BATCH_SIZE),
  )
