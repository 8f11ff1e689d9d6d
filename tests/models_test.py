"""Tests of the network builders and of float weights on disk."""

import functools
import hashlib
import json

import numpy as np
import pytest
import tf_keras as keras

from tfmpq import float_weights
from tfmpq import models


@functools.cache
def _default_model(name):
  """Building MobileNetV2 takes a second: tests share what they only read."""
  return models.build_model(name)


def _num_trainable(model):
  return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# Counts of keras.applications (MobileNetV1/V2, include_top), of the MLPerf Tiny
# networks and, for our own, by hand: stem 216, depthwise 9 * 456, pointwise
# 48,256, dense 1,290, BatchNorm 4 * 1,040.
@pytest.mark.parametrize(
    'name, num_parameters, num_trainable',
    [
        ('mobilenet_v1_small', 58_026, 58_026 - 2 * 1_040),
        ('mobilenet_v1', 4_253_864, 4_231_976),
        ('mobilenet_v2', 3_538_984, 3_504_872),
        ('resnet8', 78_666, 78_666 - 2 * 240),
        ('ds_cnn', 24_908, 24_908 - 2 * 576),
    ],
)
def test_default_network_has_the_published_number_of_parameters(
    name, num_parameters, num_trainable
):
  model = _default_model(name)
  assert model.count_params() == num_parameters
  assert _num_trainable(model) == num_trainable


def test_mobilenet_v1_has_the_papers_convolution_and_dense_weights():
  model = _default_model('mobilenet_v1')
  kernels = [v for v in model.variables if 'kernel' in v.name]
  # Without BatchNorm and biases; arXiv:1704.04861, table 1 sums to this.
  assert sum(int(np.prod(v.shape)) for v in kernels) == 4_209_088


@pytest.mark.parametrize(
    'name, width, num_parameters',
    [
        ('mobilenet_v1', 0.25, 475_544),
        ('mobilenet_v2', 1.4, 6_156_712),
    ],
)
def test_width_gives_the_published_number_of_parameters(
    name, width, num_parameters
):
  assert models.build_model(name, width=width).count_params() == num_parameters


@pytest.mark.parametrize('name', models.model_names())
def test_every_network_returns_one_logit_per_class(name):
  shape = (33, 20, 2)  # Odd, not square: no builder may assume its default.
  model = models.build_model(name, shape, num_classes=7)
  images = np.random.default_rng(3).normal(size=(2, *shape))
  logits = model(images.astype(np.float32)).numpy()
  assert logits.shape == (2, 7)
  assert np.isfinite(logits).all()
  assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize('name', models.model_names())
def test_activation_is_the_same_after_every_block(name):
  default = _max_values(_default_model(name))
  assert default in ({None}, {6.0})
  other, max_value = ('relu', None) if default == {6.0} else ('relu6', 6.0)
  assert _max_values(models.build_model(name, activation=other)) == {max_value}


def _max_values(model):
  relus = [x for x in model.layers if isinstance(x, keras.layers.ReLU)]
  return {None if x.max_value is None else float(x.max_value) for x in relus}


def test_default_network_shrinks_the_image_at_the_stem_and_at_block_3():
  model = models.build_model()
  sizes = [
      x.output_shape[1]
      for x in model.layers
      if isinstance(x, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
  ]
  assert sizes == [14] * 5 + [7] * 8


def test_mobilenet_v2_adds_ten_residuals():
  adds = [
      x
      for x in _default_model('mobilenet_v2').layers
      if isinstance(x, keras.layers.Add)
  ]
  assert len(adds) == 10  # 2-1, 3-1, 4-1, 3-1, 3-1 repeats with stride 1.


def test_unknown_model_names_the_nearest():
  with pytest.raises(ValueError, match="did you mean 'mobilenet_v2'"):
    models.build_model('mobilnet_v2')


def test_wrong_width_and_activation_are_refused():
  with pytest.raises(ValueError, match='width > 0, got -1'):
    models.build_model(width=-1)
  with pytest.raises(ValueError, match="'conv_stem_relu'.*got 'gelu'"):
    models.build_model(activation='gelu')


def test_saved_weights_come_back_and_equal_weights_give_equal_bytes(tmp_path):
  keras.utils.set_random_seed(5)
  model = models.build_model('ds_cnn')
  float_weights.save_weights(model, tmp_path / 'a.npz')
  other = models.build_model('ds_cnn')
  float_weights.load_weights(other, tmp_path / 'a.npz')
  for expected, found in zip(model.variables, other.variables, strict=True):
    np.testing.assert_array_equal(expected.numpy(), found.numpy())
  float_weights.save_weights(other, tmp_path / 'b.npz')
  assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


def test_weights_of_another_network_are_refused(tmp_path):
  path = tmp_path / 'weights.npz'
  float_weights.save_weights(models.build_model('ds_cnn'), path)
  with pytest.raises(ValueError, match="variables of model 'resnet8'"):
    float_weights.load_weights(models.build_model('resnet8'), path)
  with pytest.raises(ValueError, match=r"'logits/kernel' has shape \(64, 12\)"):
    float_weights.load_weights(
        models.build_model('ds_cnn', num_classes=3), path
    )
  with pytest.raises(FileNotFoundError, match='//tfmpq:pretrain'):
    float_weights.load_weights(
        models.build_model('ds_cnn'), tmp_path / 'absent.npz'
    )


def test_stored_weights_are_small_and_belong_to_their_record():
  path = models.DEFAULT_WEIGHTS_PATH
  record = json.loads(path.with_suffix('.json').read_text())
  assert path.stat().st_size <= 300_000
  assert hashlib.sha256(path.read_bytes()).hexdigest() == record['sha256']
  assert record['command'] == './bazelw run //tfmpq:pretrain'
  assert record['test']['accuracy'] >= 0.905
  assert models.load_float_model().count_params() == record['num_parameters']
