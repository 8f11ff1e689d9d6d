"""Trains a float classifier with AdamW, one checkpoint per epoch.

Batches are a function of the step (`training_batches`) and the checkpoint holds
the model, the optimizer, the averages and the epoch. An interrupted training
therefore goes on to the weights of an undisturbed one, bit for bit, on one type
of machine with a fixed number of threads and `tf.config.experimental.
enable_op_determinism()`.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import json
import pathlib

import tensorflow as tf
import tf_keras as keras

from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import learning_rates
from tfmpq import prefetching
from tfmpq import run_dir
from tfmpq import training_batches
from tfmpq import weight_averages

LR_SCHEDULES = ('cosine', 'exponential', 'constant')
_EVALUATION_BATCH_SIZE = 500


@dataclasses.dataclass(frozen=True)
class FloatTrainingConfig:
  """How to train.

  Attributes:
    epochs: Passes over the training split.
    batch_size: Examples per step.
    learning_rate: Peak; reached after the warm-up.
    lr_schedule: How it falls then, see `learning_rates.Schedule`; 'steps' has
      none here.
    warmup_epochs: Epochs of linear warm-up.
    weight_decay: Decoupled, times the learning rate per step (AdamW); on
      convolution and dense weights only.
    label_smoothing: Probability spread over all classes, 0..1.
    max_shift: Augmentation, see `training_batches.Augmentation`.
    flip: Augmentation, see there.
    seed: Fixes initial weights, order and augmentation.
    ema_decay: Per step, of the moving average of the weights and of the
      statistics of BatchNorms that is evaluated and kept; 0 for none.
  """

  epochs: int = 40
  batch_size: int = 128
  learning_rate: float = 3e-3
  lr_schedule: str = 'cosine'
  warmup_epochs: float = 1.0
  weight_decay: float = 1e-2
  label_smoothing: float = 0.0
  max_shift: int = 2
  flip: bool = True
  seed: int = 1
  ema_decay: float = 0.0

  def __post_init__(self):
    for field in ('epochs', 'batch_size', 'learning_rate'):
      if getattr(self, field) <= 0:
        raise ValueError(f'expected {field} > 0, got {getattr(self, field)}')
    if not 0 <= self.label_smoothing < 1:
      raise ValueError(
          'expected a label_smoothing from 0 to below 1, got'
          f' {self.label_smoothing}'
      )
    if not 0 <= self.ema_decay < 1:
      raise ValueError(
          f'expected an ema_decay from 0 to below 1, got {self.ema_decay}'
      )
    if self.lr_schedule not in LR_SCHEDULES:
      raise ValueError(
          f'expected an lr_schedule out of {LR_SCHEDULES}, got'
          f' {self.lr_schedule!r}'
      )


class FloatTrainer:
  """Trains a model epoch by epoch and can go on from its last checkpoint."""

  def __init__(
      self,
      model: keras.Model,
      train: datasets.Split,
      config: FloatTrainingConfig,
      checkpoint_dir,
  ):
    """Restores the last checkpoint of `checkpoint_dir` where there is one.

    Raises:
      ValueError: The checkpoints there are of another training.
    """
    self._model = model
    self._config = config
    self._batches = train.training_batches(
        config.batch_size,
        config.seed,
        training_batches.Augmentation(config.max_shift, config.flip),
    )
    self._optimizer = _make_optimizer(config, self._batches.steps_per_epoch)
    self._optimizer.build(model.trainable_variables)
    self._loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    identity = dataclasses.asdict(config) | {
        'model': model.name,
        'num_parameters': model.count_params(),
        'num_train_images': len(train),
    }
    _check_same_training(pathlib.Path(checkpoint_dir), identity)
    state = {'model': model, 'optimizer': self._optimizer, 'epoch': self._epoch}
    self._averages = None
    if config.ema_decay:
      self._averages = weight_averages.WeightAverages(
          [v for v in model.variables if v.dtype.is_floating],
          config.ema_decay,
      )
      state['averages'] = self._averages.variables
    self._checkpoints = tf.train.CheckpointManager(
        tf.train.Checkpoint(**state),
        str(checkpoint_dir),
        max_to_keep=1,
    )
    if self._checkpoints.latest_checkpoint:
      self._checkpoints.restore_or_initialize()

  @property
  def epoch(self) -> int:
    """Number of finished epochs."""
    return int(self._epoch.numpy())

  @property
  def steps_per_epoch(self) -> int:
    return self._batches.steps_per_epoch

  def train_epoch(
      self, on_step: Callable[[float], None] = lambda loss: None
  ) -> float:
    """Trains one epoch, writes a checkpoint and returns the mean loss.

    Args:
      on_step: Called after every step with the mean loss of the epoch so far.
    """
    first_step = self.epoch * self.steps_per_epoch
    total = 0.0
    batches = prefetching.prefetch(
        self._batches, first_step, first_step + self.steps_per_epoch
    )
    with contextlib.closing(batches):
      for count, (images, labels) in enumerate(batches, start=1):
        total += float(self._train_step(datasets.to_input(images), labels))
        if self._averages:
          self._averages.update(first_step + count)
        on_step(total / count)
    self._epoch.assign_add(1)
    self._checkpoints.save()
    return total / self.steps_per_epoch

  def kept_weights(self) -> contextlib.AbstractContextManager:
    """Within, the model has the weights to evaluate and to keep."""
    return (
        self._averages.in_place()
        if self._averages
        else contextlib.nullcontext()
    )

  # XLA is off on purpose: it is seven times slower on CPUs with depthwise.
  @tf.function(jit_compile=False, reduce_retracing=True)
  def _train_step(self, inputs, labels):
    with tf.GradientTape() as tape:
      logits = self._model(inputs, training=True)
      targets = tf.one_hot(labels, logits.shape[-1])
      loss = self._loss(targets, logits)
    gradients = tape.gradient(loss, self._model.trainable_variables)
    self._optimizer.apply_gradients(
        zip(gradients, self._model.trainable_variables, strict=True)
    )
    return loss


def evaluate(
    model: keras.Model, examples: datasets.Split
) -> evaluation.Evaluation:
  """Returns the model's accuracy and cross-entropy on a split."""
  predict = tf.function(lambda inputs: model(inputs, training=False))
  return evaluation.from_logits(
      *evaluation.answers(
          lambda images: predict(datasets.to_input(images)),
          examples.batches(_EVALUATION_BATCH_SIZE),
      )
  )


def _make_optimizer(config, steps_per_epoch):
  total_steps = config.epochs * steps_per_epoch
  warmup_steps = int(config.warmup_epochs * steps_per_epoch)
  schedule = learning_rates.make(
      learning_rates.Schedule(config.lr_schedule, warmup_steps),
      config.learning_rate,
      total_steps,
      steps_per_epoch,
  )
  optimizer = keras.optimizers.AdamW(
      schedule, weight_decay=config.weight_decay, jit_compile=False
  )
  optimizer.exclude_from_weight_decay(var_names=['bias', 'gamma', 'beta'])
  return optimizer


def _check_same_training(checkpoint_dir: pathlib.Path, wanted: dict) -> None:
  """Writes what is trained on the first run; compares it on later ones."""
  path = checkpoint_dir / 'training.json'
  if not path.exists():
    run_dir.atomic_write(path, json.dumps(wanted, indent=2) + '\n')
    return
  found = json.loads(path.read_text())
  if found != wanted:
    changed = {
        k: (found.get(k), wanted.get(k))
        for k in sorted(found.keys() | wanted.keys())
        if found.get(k) != wanted.get(k)
    }
    raise ValueError(
        f'{checkpoint_dir} holds another training (there, here): {changed}; use'
        ' the same flags or another --run_dir'
    )
