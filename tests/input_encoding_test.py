"""Tests of how a network of --float_model reads pixels, per channel."""

import numpy as np
import pytest
import tf_keras as keras

from tests import calibration_models
from tfmpq import datasets
from tfmpq import float_models
from tfmpq import float_ops

layers = keras.layers


def _logits(network, images):
  logits = float_ops.logits(network, datasets.to_input(images))
  return logits.reshape(len(images), -1)


def test_mean_and_deviation_per_channel_are_folded_exactly(tmp_path):
  model = keras.Sequential(
      [
          keras.Input((7, 6, 3)),
          layers.Conv2D(4, 3, 2, 'same'),
          layers.ReLU(),
          layers.GlobalAveragePooling2D(),
          layers.Dense(4),
      ]
  )
  calibration_models.randomize(model, seed=2)
  model.save(tmp_path / 'model.h5')
  mean, std = '0.5,0.4,0.3', '0.2,0.25,0.3'
  images = calibration_models.images((7, 6, 3), 20, seed=5)
  numbers = np.array([[float(x) for x in t.split(',')] for t in (mean, std)])
  real = (images / 255 - numbers[0]) / numbers[1]
  expected = model.predict(real, verbose=0)

  def read(**kwargs):
    return float_models.read(
        tmp_path / 'model.h5', float_models.Reading(**kwargs)
    )

  exact = read(input_mean=mean, input_std=std)
  np.testing.assert_allclose(
      _logits(exact, images), expected, rtol=0, atol=1e-5 * expected.std()
  )
  # Without a layer in front, what lies beyond the border is another number.
  near = read(input_mean=mean, input_std=std, input_shift='bias')
  assert len(near.spec.layers) == len(exact.spec.layers) - 1
  beyond = np.broadcast_to(128.0, (len(images), 9, 8, 3)).copy()
  beyond[:, 1:8, 0:6] = images  # 7 rows pad by 1 and 1, 6 columns by 0 and 1.
  valid = keras.Sequential(
      [keras.Input((9, 7, 3)), layers.Conv2D(4, 3, 2), *model.layers[1:]]
  )
  valid.layers[0].set_weights(model.layers[0].get_weights())
  real = (beyond[:, :, :7] / 255 - numbers[0]) / numbers[1]
  np.testing.assert_allclose(
      _logits(near, images),
      valid.predict(real, verbose=0),
      rtol=0,
      atol=1e-5 * expected.std(),
  )
  assert np.abs(_logits(near, images) - expected).max() > 0.01 * expected.std()


@pytest.mark.parametrize(
    'reading,message',
    [
        ({'input_mean': '0.5', 'input_range': '0,1'}, 'or --input_mean and'),
        ({'input_mean': '0.5', 'input_std': ''}, '--input_std: expected num'),
        ({'input_mean': '0.5,x', 'input_std': '1,1'}, '--input_mean: expected'),
        ({'input_mean': '0.5,0.5', 'input_std': '1'}, 'as many of either'),
        ({'input_mean': '0.5', 'input_std': '0'}, 'the second positive'),
    ],
)
def test_wrong_means_and_deviations_are_named(reading, message):
  with pytest.raises(ValueError, match=message):
    float_models.Reading(**reading).encoding()


def test_a_mean_for_another_number_of_channels_is_refused(tmp_path):
  model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3)])
  model.save(tmp_path / 'model.h5')
  reading = float_models.Reading(input_mean='0.5,0.5', input_std='1,1')
  with pytest.raises(ValueError, match='reads 3 channels'):
    float_models.read(tmp_path / 'model.h5', reading)
