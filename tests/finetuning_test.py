"""Fine-tuning learns, keeps its best epoch, and survives being killed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests import brief_training
from tfmpq import finetuning
from tfmpq import learning_rates


@pytest.fixture(autouse=True)
def _deterministic():
  tf.config.experimental.enable_op_determinism()


class _Killed(Exception):
  pass


def _run_until(finetuner, last_step: int):
  def on_step(progress):
    if progress.step == last_step:
      raise _Killed

  with pytest.raises(_Killed):
    finetuner.run(on_step)


def _assert_same_weights(one: keras.Model, other: keras.Model):
  for mine, yours in zip(one.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_array_equal(mine, yours)


def test_training_lowers_the_loss_on_held_out_images(tmp_path):
  history = brief_training.finetuner(tmp_path).run()
  assert [r.epoch for r in history] == [1, 2, 3, 4]
  assert history[-1].cross_entropy < history[0].cross_entropy
  assert history[-1].accuracy > 0.95


_KILLED = [({}, last_step) for last_step in (1, 5, 6, 7, 13, 24)] + [
    (settings, last_step)
    for settings in (
        {
            'ema_decay': 0.9,
            'weight_decay': 0.1,
            'schedule': learning_rates.Schedule('steps', 3, ((1.5, 0.1),)),
        },
        {'compute_dtype': 'float16', 'ema_decay': 0.5},
    )
    for last_step in (5, 13)
]


@pytest.mark.parametrize('settings, last_step', _KILLED)
def test_killed_run_ends_with_the_same_bits(tmp_path, settings, last_step):
  straight = brief_training.finetuner(tmp_path / 'straight', **settings)
  expected = straight.run()
  killed = brief_training.finetuner(tmp_path / 'killed', **settings)
  _run_until(killed, last_step)
  resumed = brief_training.finetuner(tmp_path / 'killed', **settings)
  assert resumed.run() == expected
  _assert_same_weights(straight.student, resumed.student)


@pytest.mark.parametrize('ema_decay', [0.0, 0.9])
def test_student_ends_with_the_weights_of_its_best_epoch(tmp_path, ema_decay):
  finetuner = brief_training.finetuner(
      tmp_path, learning_rate=3.0, epochs=6, ema_decay=ema_decay
  )
  history = finetuner.run()
  best = min(r.cross_entropy for r in history)
  scores = finetuning.evaluate(finetuner.student, brief_training.examples(2))
  assert scores.cross_entropy == pytest.approx(best, rel=1e-6)


def test_averages_are_judged_and_kept_in_place_of_the_last_weights(tmp_path):
  """The same steps, whose weights jump about at this rate."""
  changes = {'learning_rate': 3.0, 'epochs': 1}
  plain = brief_training.finetuner(tmp_path / 'plain', **changes)
  averaged = brief_training.finetuner(
      tmp_path / 'averaged', ema_decay=0.99, **changes
  )
  steps = {'plain': [], 'averaged': []}
  before = plain.student.get_weights()

  def remember(name, model):
    def on_step(progress):
      steps[name].append((progress.loss, model.get_weights()))

    return on_step

  (last,) = plain.run(remember('plain', plain.student))
  (mean,) = averaged.run(remember('averaged', averaged.student))
  expected = before
  for number, ((loss, weights), (same_loss, same)) in enumerate(
      zip(steps['plain'], steps['averaged'], strict=True), start=1
  ):
    assert loss == same_loss
    for one, other in zip(weights, same, strict=True):
      np.testing.assert_array_equal(one, other)
    decay = min(0.99, (1 + number) / (10 + number))
    expected = [
        decay * old + (1 - decay) * new
        for old, new in zip(expected, weights, strict=True)
    ]
  for value, wanted in zip(
      averaged.student.get_weights(), expected, strict=True
  ):
    np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
  scores = finetuning.evaluate(averaged.student, brief_training.examples(2))
  assert scores.cross_entropy == pytest.approx(mean.cross_entropy, rel=1e-6)
  assert last.cross_entropy != mean.cross_entropy
  assert last.loss == mean.loss


def test_progress_tells_rate_and_images(tmp_path):
  seen = []
  brief_training.finetuner(
      tmp_path,
      epochs=2,
      learning_rate=0.5,
      schedule=learning_rates.Schedule('steps', 2, ((1, 0.5),)),
  ).run(seen.append)
  assert [p.step for p in seen] == list(range(1, 13))
  assert {p.num_images for p in seen} == {16}
  rates = [0.0, 0.25] + 4 * [0.5] + 6 * [0.25]
  assert [p.learning_rate for p in seen] == pytest.approx(rates)


def test_training_stops_when_nothing_gets_better(tmp_path):
  # A rate of 0 keeps the weights, so that no epoch is better than the first.
  finetuner = brief_training.finetuner(
      tmp_path, learning_rate=0.0, epochs=9, patience=2
  )
  assert len(finetuner.run()) == 3


def test_state_of_other_settings_is_refused(tmp_path):
  _run_until(brief_training.finetuner(tmp_path), 4)
  for changes in ({'seed': 2}, {'ema_decay': 0.5}, {'distillation': 0.25}):
    with pytest.raises(ValueError, match='other settings'):
      brief_training.finetuner(tmp_path, **changes)


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'epochs': 0}, 'epochs and checkpoint_steps must be at least 1'),
        ({'ema_decay': 1.0}, r'ema_decay must lie in 0\.\.1, below 1'),
    ],
)
def test_wrong_settings_are_refused(tmp_path, changes, message):
  with pytest.raises(ValueError, match=message):
    brief_training.finetuner(tmp_path, **changes)
