"""One step of fine-tuning: loss, gradients, and the optimizer's update.

The loss mixes the labels' cross-entropy with the divergence from the float
network's predictions (Hinton et al., arXiv 1503.02531). Under a distribution
strategy every replica computes an equal share of the batch and the gradients
are summed, which gives the gradient of the mean over the whole batch. There is
no BatchNorm left that would see its share alone: it is folded before.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import compute_types
from tfmpq import learning_rates
from tfmpq import replicas

Classifier = Callable[[tf.Tensor], tf.Tensor]

# Of variable names: biases, scales and clips are not decayed.
_NOT_DECAYED = ('bias', 'log_scale', 'log_clip')
_CLIP_NAME = 'output_log_clip'


@dataclasses.dataclass(frozen=True)
class StepSettings:
  """What a step minimizes, and how.

  Attributes:
    learning_rate: peak of Adam.
    schedule: how it rises and falls.
    distillation: weight of the float network's predictions in the loss, 0
      (labels only) to 1 (float network only).
    temperature: divides the logits inside the distillation term.
    weight_decay: of AdamW, times the learning rate; not of biases, scales and
      clips.
    clip_decay: half of this times the sum of the squared activation clips is
      added to the loss.
    compute_dtype: type of the model's convolutions; with float16 the loss is
      scaled, and a step whose gradients overflow is left out.
  """

  learning_rate: float
  distillation: float
  schedule: learning_rates.Schedule = learning_rates.Schedule()
  temperature: float = 2.0
  weight_decay: float = 0.0
  clip_decay: float = 0.0
  compute_dtype: str = 'float32'

  def __post_init__(self):
    if not 0 <= self.distillation <= 1:
      raise ValueError(
          f'distillation must lie in 0..1, received {self.distillation}'
      )
    if min(self.weight_decay, self.clip_decay) < 0:
      raise ValueError(
          'weight_decay and clip_decay must be at least 0, received '
          f'{self.weight_decay} and {self.clip_decay}'
      )
    if self.compute_dtype not in compute_types.COMPUTE_DTYPES:
      raise ValueError(
          f'expected a compute_dtype out of {compute_types.COMPUTE_DTYPES}, '
          f'received {self.compute_dtype!r}'
      )


class TrainingStep:
  """Batch -> mean loss; changes the student and the optimizer."""

  def __init__(
      self,
      student: keras.Model,
      teacher: Classifier,
      settings: StepSettings,
      num_steps: int,
      steps_per_epoch: int,
      strategy: tf.distribute.Strategy,
      loss_scale: float | None = None,
  ):
    """Makes the optimizer.

    Args:
      student: fake-quantized model, made within the scope of `strategy`.
      teacher: real inputs [N, H, W, C] -> float logits [N, classes].
      settings: what to do.
      num_steps: of the whole training.
      steps_per_epoch: of one pass.
      strategy: where it runs.
      loss_scale: of float16 at the start; None: 2**15.
    """
    self._student, self._teacher = student, teacher
    self._settings, self._strategy = settings, strategy
    rate = learning_rates.make(
        settings.schedule, settings.learning_rate, num_steps, steps_per_epoch
    )
    self._rate = rate
    with strategy.scope():
      self._optimizer = keras.optimizers.Adam(
          rate,
          weight_decay=settings.weight_decay or None,
          jit_compile=False,
      )
      if settings.weight_decay:
        self._optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
      if settings.compute_dtype == 'float16':
        self._optimizer = keras.mixed_precision.LossScaleOptimizer(
            self._optimizer, initial_scale=loss_scale
        )
      self._optimizer.build(student.trainable_variables)

  def __call__(self, images: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean loss of uint8 images [N, H, W, C], before the update.

    Raises:
      ValueError: the replicas cannot get equal shares.
    """
    replicas.require_even_split(len(images), self._strategy)
    loss = self._step(*(self._shared(array) for array in (images, labels)))
    return float(loss)

  def learning_rate(self, step: int) -> float:
    """Returns the rate of step number `step`, from 0."""
    return float(self._rate(tf.constant(step)))

  def _shared(self, array: np.ndarray):
    """Gives each replica its share."""
    count = self._strategy.num_replicas_in_sync
    if count == 1:
      return array
    shares = np.split(array, count)
    return self._strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )

  # XLA is off on purpose: it is several times slower on CPUs with depthwise.
  @tf.function(jit_compile=False, reduce_retracing=True)
  def _step(self, images, labels):
    losses = self._strategy.run(self._replica_step, args=(images, labels))
    if self._strategy.num_replicas_in_sync == 1:
      return losses
    return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

  def _replica_step(self, images, labels):
    # As `datasets.to_input`, on the device: a quarter of the bytes travels.
    inputs = (tf.cast(images, tf.float32) - 128) / 128
    with tf.GradientTape() as tape:
      loss = self._loss(inputs, labels)
      if self._strategy.num_replicas_in_sync > 1:
        loss /= self._strategy.num_replicas_in_sync
      scaled = loss
      if self._settings.compute_dtype == 'float16':
        scaled = self._optimizer.get_scaled_loss(loss)
    variables = self._student.trainable_variables
    gradients = tape.gradient(scaled, variables)
    if self._settings.compute_dtype == 'float16':
      gradients = self._optimizer.get_unscaled_gradients(gradients)
    self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return loss

  def _loss(self, inputs, labels):
    settings = self._settings
    targets = self._teacher(inputs) / settings.temperature
    logits = self._student(inputs, training=True)
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
    if settings.clip_decay:
      squares = [tf.exp(2 * v) for v in self._clips()]
      loss += settings.clip_decay / 2 * tf.add_n(squares)
    return loss

  def _clips(self) -> list[tf.Variable]:
    """Returns the logarithms of the activation clips."""
    return [
        v for v in self._student.trainable_variables if _CLIP_NAME in v.name
    ]

  def state(self) -> dict[str, list[np.ndarray]]:
    """Returns groups of arrays for `restore`."""
    groups = {'optimizer': [v.numpy() for v in self._optimizer.variables]}
    if self._settings.compute_dtype == 'float16':
      groups['loss_scale'] = [
          self._optimizer.loss_scale.numpy(),
          self._optimizer.dynamic_counter.numpy(),
      ]
    return groups

  def restore(self, groups) -> None:
    """Sets what `state` returned, but for the loss scale of the constructor."""
    for variable, value in zip(
        self._optimizer.variables, groups['optimizer'], strict=True
    ):
      variable.assign(value)
    if 'loss_scale' in groups:
      self._optimizer.dynamic_counter.assign(groups['loss_scale'][1])
