"""A reward that trains: some fine-tuning steps for each policy, as HAQ does.

It costs seconds per policy, because a fake-quantized model is built for each,
and many times an evaluation without training. How much better it orders
policies is measured by //tfmpq:reward_study.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import evaluators
from tfmpq import finetuning
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import qat
from tfmpq import specs
from tfmpq import training_steps

_BATCH_SIZE = 250


@dataclasses.dataclass(frozen=True, eq=False)
class EpisodeFinetuning:
  """How every policy is trained before it is scored.

  Attributes:
    examples: what to train on; its number of images is that of the steps times
      `batch_size`.
    batch_size: images per step.
    learning_rate: peak of Adam.
    distillation: see `training_steps.StepSettings`.
    seed: order and augmentation of the images, the same for all policies.
  """

  examples: datasets.Examples
  batch_size: int
  learning_rate: float
  distillation: float
  seed: int


class FinetunedEvaluator:
  """Policy -> Evaluation of the briefly fine-tuned network."""

  def __init__(
      self,
      network: float_network.FloatNetwork,
      start: evaluators.PostTrainingEvaluator,
      reward: datasets.Examples,
      settings: EpisodeFinetuning,
  ):
    """Computes the float network's answers.

    Args:
      network: float network that ends in logits.
      start: calibrates the network from which training starts.
      reward: images that score.
      settings: how to train.
    """
    self._network, self._start = network, start
    self._reward, self._settings = reward, settings
    self._inputs = datasets.to_input(reward.images)
    self._float_logits = float_ops.logits(network, self._inputs).reshape(
        len(reward), -1
    )

  def __call__(self, policy: specs.QuantizationPolicy) -> evaluation.Evaluation:
    """Trains and scores; equal policies give equal evaluations."""
    # The models of earlier policies would stay in Keras' global state.
    keras.backend.clear_session()
    settings = self._settings
    student = qat.build_model(self._network, self._start.calibrated(policy))
    with tempfile.TemporaryDirectory() as folder:
      finetuning.Finetuner(
          student,
          self._teacher,
          settings.examples.training_batches(
              settings.batch_size, settings.seed
          ),
          self._reward,
          finetuning.FinetuneSettings(
              epochs=1,
              step=training_steps.StepSettings(
                  learning_rate=settings.learning_rate,
                  distillation=settings.distillation,
              ),
          ),
          pathlib.Path(folder),
      ).run()
    logits = [
        student(self._inputs[start : start + _BATCH_SIZE], training=False)
        for start in range(0, len(self._inputs), _BATCH_SIZE)
    ]
    return evaluation.from_logits(
        np.concatenate(logits), self._reward.labels, self._float_logits
    )

  def _teacher(self, inputs: tf.Tensor) -> tf.Tensor:
    *_, (_, _, logits) = float_ops.forward(self._network, inputs)
    return tf.reshape(logits, (-1, logits.shape[-1]))
