"""Averages follow the weights; logarithms make means of scales geometric."""

import numpy as np
import pytest
import tf_keras as keras

from tfmpq import weight_averages


def _model():
  model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
  model.set_weights([np.array([[2.0]]), np.array([-1.0])])
  return model


def _set(model, value):
  model.set_weights([np.array([[value]]), np.array([value])])


def test_average_starts_at_the_model_and_follows_it():
  model = _model()
  averages = weight_averages.WeightAverages(model.variables, decay=0.5)
  expected = np.array([2.0, -1.0])
  for step, value in enumerate((5.0, -3.0, 0.25, 8.0), start=1):
    _set(model, value)
    averages.update(step)
    decay = min(0.5, (1 + step) / (10 + step))
    expected = decay * expected + (1 - decay) * value
    received = [v.item() for v in averages.values()]
    np.testing.assert_allclose(received, expected, rtol=1e-6)


def test_model_has_the_averages_only_within_the_context():
  model = _model()
  averages = weight_averages.WeightAverages(model.variables, decay=0.5)
  _set(model, 6.0)
  averages.update(100)
  with pytest.raises(KeyError):
    with averages.in_place():
      kernel, bias = model.get_weights()
      assert (kernel.item(), bias.item()) == (4.0, 2.5)
      raise KeyError
  kernel, bias = model.get_weights()
  assert (kernel.item(), bias.item()) == (6.0, 6.0)


def test_average_of_a_logarithm_is_a_geometric_mean():
  model = _model()
  _set(model, np.log(0.01))
  averages = weight_averages.WeightAverages(model.variables, decay=0.5)
  _set(model, np.log(1.0))
  averages.update(100)
  np.testing.assert_allclose(np.exp(averages.values()[1]), 0.1, rtol=1e-6)


def test_averages_go_on_where_they_were():
  model = _model()
  averages = weight_averages.WeightAverages(model.variables, decay=0.9)
  _set(model, 6.0)
  averages.update(1)
  again = weight_averages.WeightAverages(_model().variables, decay=0.9)
  again.restore(averages.values())
  for one, other in zip(averages.values(), again.values(), strict=True):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('decay', [0.0, 1.0, float('nan')])
def test_wrong_decay_is_refused(decay):
  with pytest.raises(ValueError, match=r'decay in \(0, 1\)'):
    weight_averages.WeightAverages(_model().variables, decay)
