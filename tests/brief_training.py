"""Fine-tunings that take seconds: images, models and teachers."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests import calibration_models
from tfmpq import calibrated_network
from tfmpq import compute_types
from tfmpq import datasets
from tfmpq import evaluators
from tfmpq import finetuning
from tfmpq import float_network
from tfmpq import keras_graph
from tfmpq import specs
from tfmpq import training_steps


def examples(seed: int, num: int = 96) -> datasets.Examples:
  """Returns images [num, 4, 4, 1] whose brighter half says the class."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, num).astype(np.int32)
  images = rng.integers(0, 120, (num, 4, 4, 1)).astype(np.uint8)
  images[labels == 1, :2] += 100
  images[labels == 0, 2:] += 100
  return datasets.Examples(images, labels)


def model(training_dtype: str = 'float32') -> keras.Model:
  """Returns a linear classifier of those, the same for every call."""
  keras.utils.set_random_seed(2)
  return keras.Sequential(
      [
          keras.Input((4, 4, 1)),
          compute_types.Conv2D(2, 4, training_dtype=training_dtype),
          keras.layers.Flatten(),
      ]
  )


def teacher(inputs: tf.Tensor) -> tf.Tensor:
  """Knows the class: the difference of the two halves."""
  score = tf.reduce_mean(inputs[:, :2] - inputs[:, 2:], axis=(1, 2, 3))
  return tf.stack([-5 * score, 5 * score], axis=1)


def finetuner(
    state_dir,
    *,
    epochs: int = 4,
    patience: int = 5,
    ema_decay: float = 0.0,
    seed: int = 1,
    strategy: tf.distribute.Strategy | None = None,
    **step,
) -> finetuning.Finetuner:
  """Returns a training of 6 steps of 16 images per epoch.

  Args:
    state_dir: folder of its state, which is saved every second step.
    epochs: passes.
    patience: see FinetuneSettings.
    ema_decay: see there.
    seed: order of the images.
    strategy: where it runs.
    **step: fields of StepSettings in place of those here.
  """
  step = {'learning_rate': 0.05, 'distillation': 0.5} | step
  settings = finetuning.FinetuneSettings(
      epochs=epochs,
      step=training_steps.StepSettings(**step),
      patience=patience,
      ema_decay=ema_decay,
      checkpoint_steps=2,
      data=f'seed {seed}',
  )
  train = examples(1)
  strategy = strategy or tf.distribute.get_strategy()
  with strategy.scope():
    student = model(settings.step.compute_dtype)
  return finetuning.Finetuner(
      student,
      teacher,
      train.training_batches(16, seed),
      examples(2),
      settings,
      state_dir,
      strategy,
  )


def network() -> float_network.FloatNetwork:
  """Returns a float network with few layers and most of the ops."""
  layers = keras.layers
  inputs = keras.Input((9, 9, 2))
  x = layers.Conv2D(6, 3, 2, activation='relu')(inputs)
  y = layers.DepthwiseConv2D(3, padding='same', activation='relu')(x)
  y = layers.Conv2D(6, 1)(y)
  x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
  model = keras.Model(inputs, layers.Dense(3)(x))
  return keras_graph.fold(calibration_models.randomize(model, seed=3))


def calibrated(
    of: float_network.FloatNetwork, weight_bits: int, activation_bits: int
) -> calibrated_network.CalibratedNetwork:
  """Returns its calibration at uniform widths."""
  images = calibration_models.images((9, 9, 2), 64, seed=1)
  return evaluators.PostTrainingEvaluator(
      of,
      images,
      images,
      np.zeros(len(images), np.int32),
      per_channel_zero_points=True,
  ).calibrated(
      specs.QuantizationPolicy.uniform(of.spec, weight_bits, activation_bits)
  )
