"""Rates at the steps where they change."""

import numpy as np
import pytest

from tfmpq import learning_rates

_PEAK = 1e-3


def _rates(at, num_steps=200, steps_per_epoch=20, **schedule):
  rate = learning_rates.make(
      learning_rates.Schedule(**schedule), _PEAK, num_steps, steps_per_epoch
  )
  return [float(rate(step)) / _PEAK for step in at]


def test_cosine_rises_to_the_peak_and_falls_to_zero():
  rates = _rates((0, 20, 40, 120, 200), warmup_steps=40)
  np.testing.assert_allclose(rates, [0, 0.5, 1, 0.5, 0], atol=1e-6)


def test_steps_of_the_predecessor():
  """1e-4; 5e-5 from epoch 5; 1e-5 from epoch 8."""
  rates = _rates(
      (0, 99, 100, 159, 160, 199),
      name='steps',
      warmup_steps=0,
      steps=((5, 0.5), (8, 0.1)),
  )
  np.testing.assert_allclose(rates, [1, 1, 0.5, 0.5, 0.1, 0.1], rtol=1e-6)


def test_a_warm_up_does_not_move_the_steps():
  rates = _rates(
      (0, 10, 20, 99, 100), name='steps', warmup_steps=20, steps=((5, 0.5),)
  )
  np.testing.assert_allclose(rates, [0, 0.5, 1, 1, 0.5], rtol=1e-6)


def test_a_step_within_the_warm_up_counts_when_that_ends():
  rates = _rates((39, 40, 41), name='steps', warmup_steps=40, steps=((1, 0.5),))
  np.testing.assert_allclose(rates, [39 / 40, 0.5, 0.5], rtol=1e-6)


def test_exponential_falls_by_equal_ratios():
  rates = _rates(
      (20, 110, 200), name='exponential', warmup_steps=20, final=0.01
  )
  np.testing.assert_allclose(rates, [1, 0.1, 0.01], rtol=1e-5)


@pytest.mark.parametrize('name', ['constant', 'steps'])
def test_constant_stays_at_the_peak(name):
  rates = _rates((5, 10, 199), name=name, warmup_steps=10)
  np.testing.assert_allclose(rates, [0.5, 1, 1], rtol=1e-6)


@pytest.mark.parametrize('name', learning_rates.SCHEDULES)
def test_a_warm_up_takes_half_of_a_training_at_most(name):
  rates = _rates((3, 5), num_steps=10, name=name, warmup_steps=100)
  np.testing.assert_allclose(rates, [0.6, 1], rtol=1e-6)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'name': 'cosin'}, "schedule out of .* received 'cosin'"),
        ({'warmup_steps': -1}, 'warmup_steps >= 0'),
        ({'final': 0.0}, r'final share in \(0, 1\]'),
    ],
)
def test_wrong_schedules_are_refused(values, message):
  with pytest.raises(ValueError, match=message):
    learning_rates.Schedule(**values)
