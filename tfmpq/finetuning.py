"""Fine-tunes a fake-quantized model: distillation, checkpoints, early stop.

The loss mixes the labels' cross-entropy with the divergence from the float
network's predictions (Hinton et al., arXiv 1503.02531), which costs a forward
pass and needs no more data. The state is one file that is replaced whole, so
that a killed run goes on to the result of an undisturbed one, bit for bit, on
one type of machine with a fixed number of threads and op determinism on.
"""

from collections.abc import Callable
import dataclasses
import io
import json
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import run_dir
from tfmpq import training_batches

_STATE = 'state.npz'
_EVALUATION_BATCH_SIZE = 500
_WARMUP_STEPS = 100

Classifier = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class FinetuneSettings:
  """How to fine-tune.

  Attributes:
    epochs: passes over the training split.
    batch_size: images per step.
    learning_rate: peak of Adam; after a short warm-up it follows half a
      cosine to 0.
    distillation: weight of the float network's predictions in the loss, 0
      (labels only) to 1 (float network only).
    temperature: divides the logits inside the distillation term.
    patience: epochs without a better cross-entropy on the reward split after
      which training stops.
    checkpoint_steps: steps between two saved states.
    seed: order and augmentation of the images.
    augmentation: random changes of the images.
  """

  epochs: int
  batch_size: int
  learning_rate: float
  distillation: float
  seed: int
  temperature: float = 2.0
  patience: int = 5
  checkpoint_steps: int = 100
  augmentation: training_batches.Augmentation = training_batches.Augmentation()

  def __post_init__(self):
    if min(self.epochs, self.batch_size, self.checkpoint_steps) < 1:
      raise ValueError(
          'epochs, batch_size and checkpoint_steps must be at least 1, '
          f'received {self}'
      )
    if not 0 <= self.distillation <= 1:
      raise ValueError(
          f'distillation must lie in 0..1, received {self.distillation}'
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
  """What `on_step` receives."""

  step: int
  num_steps: int
  loss: float
  history: tuple[EpochRecord, ...]


class Finetuner:
  """Trains `student`; `run` leaves it with the weights of its best epoch."""

  def __init__(
      self,
      student: keras.Model,
      teacher: Classifier,
      train: datasets.Examples,
      reward: datasets.Examples,
      settings: FinetuneSettings,
      state_dir: pathlib.Path,
  ):
    """Restores the saved state in `state_dir`, where there is one.

    Args:
      student: fake-quantized model with the weights to start from.
      teacher: real inputs [N, H, W, C] -> float logits [N, classes].
      train: images and labels to train on.
      reward: held-out images that choose the epoch.
      settings: how to train.
      state_dir: folder for the state; belongs to this training alone.

    Raises:
      ValueError: the folder holds the state of another training.
    """
    self.student, self._teacher = student, teacher
    self._reward, self._settings = reward, settings
    self._path = state_dir / _STATE
    self._batches = training_batches.TrainingBatches(
        train.images,
        train.labels,
        settings.batch_size,
        settings.seed,
        settings.augmentation,
    )
    self._num_steps = settings.epochs * self._batches.steps_per_epoch
    self._optimizer = keras.optimizers.Adam(
        _schedule(settings.learning_rate, self._num_steps), jit_compile=False
    )
    self._optimizer.build(student.trainable_variables)
    self._step, self._loss_sum = 0, 0.0
    self._history: tuple[EpochRecord, ...] = ()
    self._best_weights = student.get_weights()
    if self._path.exists():
      self._restore()

  def run(
      self, on_step: Callable[[FinetuneProgress], None] = lambda _: None
  ) -> tuple[EpochRecord, ...]:
    """Trains to the end and returns the epochs; the student is the best one."""
    while self._step < self._num_steps and not self._is_over():
      images, labels = self._batches.batch(self._step)
      loss = self._train_step(datasets.to_input(images), labels)
      self._loss_sum += float(loss)
      self._step += 1
      if self._step % self._batches.steps_per_epoch == 0:
        self._end_epoch()
        self._save()
      elif self._step % self._settings.checkpoint_steps == 0:
        self._save()
      on_step(
          FinetuneProgress(
              self._step, self._num_steps, float(loss), self._history
          )
      )
    self.student.set_weights(self._best_weights)
    return self._history

  def _is_over(self) -> bool:
    if not self._history:
      return False
    best = min(self._history, key=lambda r: r.cross_entropy)
    return self._history[-1].epoch - best.epoch >= self._settings.patience

  def _end_epoch(self) -> None:
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

  # XLA is off on purpose: it is several times slower on CPUs with depthwise.
  @tf.function(jit_compile=False, reduce_retracing=True)
  def _train_step(self, inputs, labels):
    settings = self._settings
    targets = self._teacher(inputs) / settings.temperature
    with tf.GradientTape() as tape:
      logits = self.student(inputs, training=True)
      hard = tf.reduce_mean(
          tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      )
      soft = tf.reduce_mean(
          tf.nn.softmax_cross_entropy_with_logits(
              tf.nn.softmax(targets), logits / settings.temperature
          )
      )
      share = settings.distillation
      # The square of the temperature keeps the gradients of both terms alike.
      loss = (1 - share) * hard + share * settings.temperature**2 * soft
    variables = self.student.trainable_variables
    self._optimizer.apply_gradients(
        zip(tape.gradient(loss, variables), variables, strict=True)
    )
    return loss

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
        'optimizer': [v.numpy() for v in self._optimizer.variables],
        'best': self._best_weights,
    }
    arrays = {
        f'{group}/{i}': value
        for group, values in groups.items()
        for i, value in enumerate(values)
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
        **arrays,
    )
    run_dir.atomic_write(self._path, buffer.getvalue())

  def _restore(self) -> None:
    with np.load(self._path) as state:
      meta = json.loads(state['meta'].tobytes())
      if meta['settings'] != self._fingerprint():
        raise ValueError(
            f'{self._path} belongs to a fine-tuning with other settings: '
            f'{meta["settings"]} there, {self._fingerprint()} here; use the '
            'same flags or another --run_dir'
        )
      groups: dict[str, list[np.ndarray]] = {
          'student': [],
          'optimizer': [],
          'best': [],
      }
      for group, values in groups.items():
        count = sum(name.startswith(f'{group}/') for name in state.files)
        values.extend(state[f'{group}/{i}'] for i in range(count))
    self.student.set_weights(groups['student'])
    for variable, value in zip(
        self._optimizer.variables, groups['optimizer'], strict=True
    ):
      variable.assign(value)
    self._best_weights = groups['best']
    self._step, self._loss_sum = meta['step'], meta['loss_sum']
    self._history = tuple(EpochRecord(**r) for r in meta['history'])


def evaluate(
    classifier: Classifier, examples: datasets.Examples
) -> evaluation.Evaluation:
  """Returns accuracy and cross-entropy of float logits on a split."""
  logits = _logits(tf.function(classifier), examples.images)
  return evaluation.from_logits(logits, examples.labels)


def correct(classifier: Classifier, examples: datasets.Examples) -> np.ndarray:
  """Returns which images of a split are classified rightly, bool [N]."""
  return _logits(classifier, examples.images).argmax(-1) == examples.labels


def _logits(classifier: Classifier, images: np.ndarray) -> np.ndarray:
  """Returns float logits [N, classes] of uint8 images [N, H, W, C]."""
  return np.concatenate(
      [
          classifier(
              datasets.to_input(images[start : start + _EVALUATION_BATCH_SIZE])
          )
          for start in range(0, len(images), _EVALUATION_BATCH_SIZE)
      ]
  )


def _schedule(peak: float, num_steps: int):
  warmup = min(_WARMUP_STEPS, num_steps // 2)
  return keras.optimizers.schedules.CosineDecay(
      initial_learning_rate=0.0 if warmup else peak,
      decay_steps=num_steps - warmup,
      warmup_target=peak if warmup else None,
      warmup_steps=warmup,
  )
