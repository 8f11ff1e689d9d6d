"""Fine-tuning learns, keeps its best epoch, and survives being killed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfmpq import datasets
from tfmpq import finetuning


@pytest.fixture(autouse=True)
def _deterministic():
  tf.config.experimental.enable_op_determinism()


def _examples(seed: int, num: int = 96) -> datasets.Examples:
  """Images whose brighter half says the class."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, num).astype(np.int32)
  images = rng.integers(0, 120, (num, 4, 4, 1)).astype(np.uint8)
  images[labels == 1, :2] += 100
  images[labels == 0, 2:] += 100
  return datasets.Examples(images, labels)


def _model() -> keras.Model:
  keras.utils.set_random_seed(2)
  return keras.Sequential(
      [keras.layers.Flatten(input_shape=(4, 4, 1)), keras.layers.Dense(2)]
  )


def _settings(**changes) -> finetuning.FinetuneSettings:
  settings = {
      'epochs': 4,
      'batch_size': 16,
      'learning_rate': 0.05,
      'distillation': 0.5,
      'seed': 1,
      'checkpoint_steps': 2,
  }
  return finetuning.FinetuneSettings(**(settings | changes))


def _teacher(inputs):
  """Knows the class: the difference of the two halves."""
  score = tf.reduce_mean(inputs[:, :2] - inputs[:, 2:], axis=(1, 2, 3))
  return tf.stack([-5 * score, 5 * score], axis=1)


def _finetuner(state_dir, settings):
  return finetuning.Finetuner(
      _model(), _teacher, _examples(1), _examples(2), settings, state_dir
  )


class _Killed(Exception):
  pass


def _run_until(finetuner, last_step: int):
  def on_step(progress):
    if progress.step == last_step:
      raise _Killed

  with pytest.raises(_Killed):
    finetuner.run(on_step)


def test_training_lowers_the_loss_on_held_out_images(tmp_path):
  history = _finetuner(tmp_path, _settings()).run()
  assert [r.epoch for r in history] == [1, 2, 3, 4]
  assert history[-1].cross_entropy < history[0].cross_entropy
  assert history[-1].accuracy > 0.95


@pytest.mark.parametrize('last_step', [1, 5, 6, 7, 13, 24])
def test_killed_run_ends_with_the_same_bits(tmp_path, last_step):
  straight = _finetuner(tmp_path / 'straight', _settings())
  expected = straight.run()
  _run_until(_finetuner(tmp_path / 'killed', _settings()), last_step)
  resumed = _finetuner(tmp_path / 'killed', _settings())
  assert resumed.run() == expected
  for one, other in zip(
      straight.student.get_weights(), resumed.student.get_weights(), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_student_ends_with_the_weights_of_its_best_epoch(tmp_path):
  finetuner = _finetuner(tmp_path, _settings(learning_rate=3.0, epochs=6))
  history = finetuner.run()
  best = min(r.cross_entropy for r in history)
  scores = finetuning.evaluate(finetuner.student, _examples(2))
  assert scores.cross_entropy == pytest.approx(best, rel=1e-6)


def test_training_stops_when_nothing_gets_better(tmp_path):
  # A rate of 0 keeps the weights, so that no epoch is better than the first.
  settings = _settings(learning_rate=0.0, epochs=9, patience=2)
  assert len(_finetuner(tmp_path, settings).run()) == 3


def test_state_of_other_settings_is_refused(tmp_path):
  _run_until(_finetuner(tmp_path, _settings()), 4)
  with pytest.raises(ValueError, match='other settings'):
    _finetuner(tmp_path, _settings(seed=2))


def test_wrong_distillation_share_is_refused():
  with pytest.raises(ValueError, match='distillation must lie in 0..1'):
    _settings(distillation=1.5)
