"""What one step minimizes and changes."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests import brief_training
from tfmpq import learning_rates
from tfmpq import training_steps

_CONSTANT = learning_rates.Schedule('constant', warmup_steps=0)


def _step(student, teacher=brief_training.teacher, **settings):
  settings = {
      'learning_rate': 0.0,
      'distillation': 0.0,
      'schedule': _CONSTANT,
  } | settings
  return training_steps.TrainingStep(
      student,
      teacher,
      training_steps.StepSettings(**settings),
      num_steps=10,
      steps_per_epoch=10,
      strategy=tf.distribute.get_strategy(),
  )


def _log_softmax(logits):
  return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize('share', [0.0, 0.25, 1.0])
def test_loss_mixes_labels_and_teacher(share):
  student = brief_training.model()
  examples = brief_training.examples(4, num=12)
  inputs = (examples.images.astype(np.float32) - 128) / 128
  logits = student(inputs).numpy().astype(np.float64)
  targets = brief_training.teacher(inputs).numpy().astype(np.float64)
  hard = -_log_softmax(logits)[np.arange(12), examples.labels].mean()
  soft = -(np.exp(_log_softmax(targets / 3)) * _log_softmax(logits / 3)).sum(
      axis=1
  )
  expected = (1 - share) * hard + share * 9 * soft.mean()
  step = _step(student, distillation=share, temperature=3.0)
  received = step(examples.images, examples.labels)
  assert received == pytest.approx(expected, rel=1e-5)


def test_weight_decay_shrinks_weights_alone():
  """With a rate and gradients of almost nothing, only the decay is left."""
  inputs = keras.Input((4, 4, 1))
  layer = keras.layers.Dense(2)
  student = keras.Model(inputs, 0 * layer(keras.layers.Flatten()(inputs)))
  layer.set_weights([np.full((16, 2), 2.0), np.full(2, 2.0)])
  step = _step(student, learning_rate=0.01, weight_decay=0.5)
  examples = brief_training.examples(4, num=12)
  step(examples.images, examples.labels)
  kernel, bias = layer.get_weights()
  np.testing.assert_allclose(kernel, 2 * (1 - 0.01 * 0.5), rtol=1e-6)
  np.testing.assert_array_equal(bias, 2)


class _Clipped(keras.layers.Layer):
  """Has a clip that the output does not depend on."""

  def build(self, input_shape):
    del input_shape
    self.clip = self.add_weight(name='output_log_clip', shape=())
    self.clip.assign(np.log(3.0))

  def call(self, inputs):
    return inputs + 0 * self.clip


def test_clip_decay_adds_half_the_squared_clips_to_the_loss():
  inputs = keras.Input((4, 4, 1))
  clipped = _Clipped()
  logits = keras.layers.Dense(2)(keras.layers.Flatten()(clipped(inputs)))
  student = keras.Model(inputs, logits)
  examples = brief_training.examples(4, num=12)
  plain = _step(student)(examples.images, examples.labels)
  decayed = _step(student, clip_decay=0.5, learning_rate=0.01)
  assert decayed(examples.images, examples.labels) == pytest.approx(
      plain + 0.5 / 2 * 3.0**2, rel=1e-6
  )
  assert clipped.clip.numpy() < np.log(3.0)


def test_a_step_that_overflows_float16_changes_nothing_but_the_loss_scale():
  student = brief_training.model('float16')
  step = _step(student, learning_rate=0.1, compute_dtype='float16')
  examples = brief_training.examples(4, num=12)
  before = student.get_weights()
  scale = step.state()['loss_scale'][0]
  assert scale == 2.0**15
  kernel, bias = before
  student.set_weights([kernel * 1e6, bias])  # beyond 65504
  loss = step(examples.images, examples.labels)
  assert not np.isfinite(loss)
  np.testing.assert_array_equal(student.get_weights()[0], kernel * 1e6)
  assert step.state()['loss_scale'][0] == scale / 2
  student.set_weights(before)
  assert np.isfinite(step(examples.images, examples.labels))
  assert (student.get_weights()[0] != kernel).any()


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_narrow_gradients_are_near_those_of_float32(dtype):
  """Adam's first step is the rate times the sign of the gradient."""
  examples = brief_training.examples(4, num=96)
  kernels = []
  for name in ('float32', dtype):
    student = brief_training.model(name)
    step = _step(student, learning_rate=0.1, compute_dtype=name)
    step(examples.images, examples.labels)
    kernels.append(student.get_weights()[0])
  np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-3)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'distillation': 1.5}, r'distillation must lie in 0\.\.1'),
        ({'weight_decay': -1.0}, 'must be at least 0, received -1.0 and 0.0'),
        ({'clip_decay': -1.0}, 'must be at least 0, received 0.0 and -1.0'),
        ({'compute_dtype': 'int8'}, "compute_dtype out of .* received 'int8'"),
    ],
)
def test_wrong_settings_are_refused(values, message):
  with pytest.raises(ValueError, match=message):
    training_steps.StepSettings(
        **{'learning_rate': 1.0, 'distillation': 0.5} | values
    )
