"""A trained student and the integers that are exported from it agree."""

import numpy as np
import pytest
import tensorflow as tf

from tests import brief_training
from tests import calibration_models
from tfmpq import datasets
from tfmpq import finetuning
from tfmpq import float_ops
from tfmpq import lowering
from tfmpq import qat
from tfmpq import reference_ops
from tfmpq import training_batches
from tfmpq import training_steps

_NETWORK = brief_training.network()
_SHAPE = (9, 9, 2)


@pytest.fixture(scope='module', name='start')
def _start():
  """The network at 2-bit weights, where there is something to learn."""
  tf.config.experimental.enable_op_determinism()
  return brief_training.calibrated(_NETWORK, 2, 4)


def _teacher(inputs):
  """Is traced, which `float_ops.logits` cannot be."""
  *_, (_, _, logits) = float_ops.forward(_NETWORK, inputs)
  return tf.reshape(logits, (-1, logits.shape[-1]))


def _examples(count, seed):
  images = calibration_models.images(_SHAPE, count, seed)
  logits = float_ops.logits(_NETWORK, datasets.to_input(images))
  labels = logits.reshape(count, -1).argmax(axis=1).astype(np.int32)
  return datasets.Examples(images, labels)


def _trained(start, state_dir, dtype, ema_decay):
  """Returns the student after two epochs of 10 steps that taught it much."""
  student = qat.build_model(_NETWORK, start, dtype)
  train, reward = _examples(160, seed=2), _examples(100, seed=3)
  before = finetuning.evaluate(student, reward)
  finetuner = finetuning.Finetuner(
      student,
      _teacher,
      training_batches.TrainingBatches(
          train.images,
          train.labels,
          16,
          1,
          training_batches.NO_AUGMENTATION,
      ),
      reward,
      finetuning.FinetuneSettings(
          epochs=2,
          step=training_steps.StepSettings(
              learning_rate=1e-2,
              distillation=0.0,
              compute_dtype=dtype,
          ),
          ema_decay=ema_decay,
      ),
      state_dir,
  )
  finetuner.run()
  after = finetuning.evaluate(student, reward)
  assert after.cross_entropy < before.cross_entropy - 0.02
  return student


@pytest.mark.parametrize(
    'dtype, ema_decay',
    [('float32', 0.0), ('float32', 0.9), ('bfloat16', 0.0), ('float16', 0.9)],
)
def test_exported_integers_are_what_the_student_says(
    start, tmp_path, dtype, ema_decay
):
  student = _trained(start, tmp_path, dtype, ema_decay)
  images = calibration_models.images(_SHAPE, 300, seed=4)
  network = lowering.lower(qat.calibrated(student, start))
  codes = reference_ops.run(network, datasets.to_codes(images))
  output = network.params[_NETWORK.spec.output]
  integer = (codes.reshape(300, -1) - output.zero_point) * output.scale
  logits = student(datasets.to_input(images)).numpy()
  steps = np.abs(logits - integer) / output.scale
  share = (steps < 0.5).all(axis=1).mean()
  print(f'{dtype}, average {ema_decay}: {share:.1%} of the images agree')
  # Halves round either way in float32, and a code moves those behind it.
  assert share >= 0.95
  assert np.median(steps) < 1e-3


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_only_training_is_narrow(start, dtype):
  wide, narrow = (
      qat.build_model(_NETWORK, start, d) for d in ('float32', dtype)
  )
  inputs = datasets.to_input(calibration_models.images(_SHAPE, 64, seed=5))
  expected = wide(inputs, training=True).numpy()
  np.testing.assert_array_equal(wide(inputs).numpy(), expected)
  for training in (None, False):
    np.testing.assert_array_equal(
        narrow(inputs, training=training).numpy(), expected
    )
  received = narrow(inputs, training=True).numpy()
  assert received.dtype == np.float32
  assert (received != expected).any()
  correlation = np.corrcoef(received.ravel(), expected.ravel())[0, 1]
  print(f'{dtype}: correlation {correlation:.5f}')
  assert correlation > 0.98


def test_clip_decay_finds_the_clips_of_the_quantizers(start):
  student = qat.build_model(_NETWORK, start)
  examples = _examples(32, seed=6)
  losses = []
  for decay in (0.0, 0.5):
    step = training_steps.TrainingStep(
        student,
        _teacher,
        training_steps.StepSettings(0.0, 1.0, clip_decay=decay),
        num_steps=1,
        steps_per_epoch=1,
        strategy=tf.distribute.get_strategy(),
    )
    losses.append(step(examples.images, examples.labels))
  clips = np.array(list(start.clips.values()))
  assert losses[1] - losses[0] == pytest.approx(
      0.5 / 2 * (clips**2).sum(), rel=1e-5
  )
