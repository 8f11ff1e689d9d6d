"""State dicts in PyTorch's layout become the networks that they are of."""

import functools

import numpy as np
import pytest

from tests import state_dict_files
from tfmpq import datasets
from tfmpq import float_models
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import models

_SIZE = (64, 32)
_CLASSES = 7
_WIDTHS = {'mobilenet_v2': 0.35, 'efficientnet_lite0': 0.25}
_MEAN = np.array([0.485, 0.456, 0.406])
_STD = np.array([0.229, 0.224, 0.225])


@functools.cache
def _case(name):
  """(images, state dict, logits that PyTorch would compute)."""
  images = np.random.default_rng(3).integers(0, 256, (4, *_SIZE, 3), np.uint8)
  if name == 'mobilenet_v2':
    real = (images / 255 - _MEAN) / _STD
  else:
    real = (images.astype(np.float64) - 127) / 128
  arrays, logits = getattr(state_dict_files, name)(
      real.transpose(0, 3, 1, 2), _CLASSES, _WIDTHS[name], seed=5
  )
  return images, arrays, logits


def _reading(name, **kwargs):
  return float_models.Reading(
      **{'model': name, 'width': _WIDTHS[name], 'image_size': _SIZE, **kwargs}
  )


def _logits(network, images):
  logits = float_ops.logits(network, datasets.to_input(images))
  return logits.reshape(len(images), -1)


def _write(path, arrays):
  if path.suffix == '.npz':
    np.savez(path, **arrays)
  elif path.suffix == '.pt':
    path.write_bytes(state_dict_files.zip_file(arrays))
  else:
    path.write_bytes(state_dict_files.legacy_file(arrays))
  return path


@pytest.mark.parametrize(
    'name,suffix',
    [
        ('mobilenet_v2', '.pth'),
        ('efficientnet_lite0', '.pt'),
    ],
)
def test_a_state_dict_computes_what_pytorch_would(name, suffix, tmp_path):
  images, arrays, expected = _case(name)
  path = _write(tmp_path / f'weights{suffix}', arrays)
  network = float_models.read(path, _reading(name))
  assert expected.std() > 0.05
  # The largest of four images and seven classes differ by many times this; a
  # wrong epsilon, padding or normalization is off by more than 1 %.
  np.testing.assert_allclose(
      _logits(network, images), expected, rtol=0, atol=2e-4 * expected.std()
  )


def test_a_network_differs_from_its_keras_model_in_padding_alone(tmp_path):
  _, arrays, _ = _case('mobilenet_v2')
  path = _write(tmp_path / 'weights.npz', arrays)
  reading = _reading('mobilenet_v2', input_shift='bias')
  spec = float_models.read(path, reading).spec
  model = models.build_model(
      'mobilenet_v2', (*_SIZE, 3), _CLASSES, _WIDTHS['mobilenet_v2']
  )
  other = keras_graph.fold(model).spec
  assert spec.tensors == other.tensors
  differing = [
      (a.stride, a.padding, b.padding)
      for a, b in zip(spec.layers, other.layers, strict=True)
      if a != b
  ]
  # PyTorch pads before the first row, TensorFlow after the last one, where
  # the stride is 2 and the size even: the last of the five reads 4x2 pixels.
  assert differing == [((2, 2), (1, 1, 1, 1), (0, 0, 1, 1))] * 5


def test_a_change_of_one_constant_changes_the_logits(tmp_path):
  # The tolerance of the first test is small enough to see each of these.
  images, arrays, expected = _case('mobilenet_v2')
  path = _write(tmp_path / 'weights.npz', arrays)
  for changed in (
      {'input_shift': 'bias'},
      {'input_mean': '0.5,0.456,0.406', 'input_std': '0.229,0.224,0.225'},
  ):
    network = float_models.read(path, _reading('mobilenet_v2', **changed))
    error = np.abs(_logits(network, images) - expected).max()
    assert error > 2e-3 * expected.std()


def _without(arrays, *names):
  return {n: a for n, a in arrays.items() if n not in names}


def test_missing_and_unexpected_names_are_listed(tmp_path):
  _, arrays, _ = _case('mobilenet_v2')
  path = tmp_path / 'weights.npz'
  _write(path, _without(arrays, 'features.3.conv.1.0.weight'))
  with pytest.raises(ValueError, match=r'missing: features.3.conv.1.0.weight;'):
    float_models.read(path, _reading('mobilenet_v2'))
  _write(path, {**arrays, 'other.weight': np.zeros(3)})
  with pytest.raises(ValueError, match='unexpected: other.weight. Is --model'):
    float_models.read(path, _reading('mobilenet_v2'))
  _, lite, _ = _case('efficientnet_lite0')
  _write(path, lite)
  with pytest.raises(
      ValueError, match='missing: classifier.1.bias, .* and 257 more; unexp'
  ):
    float_models.read(path, _reading('mobilenet_v2'))


@pytest.mark.parametrize(
    'name,shape,message',
    [
        ('features.0.0.weight', (16, 3, 3), r'\(16, 3, 3\), expected that of'),
        ('features.1.conv.0.0.weight', (16, 2, 3, 3), 'depthwise_conv2d'),
        ('features.0.1.running_var', (17,), r'\(17,\), expected \(16,\)'),
        ('classifier.1.bias', (9,), r'\(9,\), expected \(7,\)'),
    ],
)
def test_a_wrong_shape_is_named(name, shape, message, tmp_path):
  _, arrays, _ = _case('mobilenet_v2')
  path = _write(
      tmp_path / 'weights.npz', {**arrays, name: np.ones(shape, np.float32)}
  )
  with pytest.raises(ValueError, match=f"weights.npz: '{name}' .*{message}"):
    float_models.read(path, _reading('mobilenet_v2'))


def test_another_width_or_network_is_refused(tmp_path):
  _, arrays, _ = _case('mobilenet_v2')
  path = _write(tmp_path / 'weights.npz', arrays)
  with pytest.raises(ValueError, match='is --width right'):
    float_models.read(path, _reading('mobilenet_v2', width=1.0))
  with pytest.raises(ValueError, match='--model=mobilenet_v2 or efficientnet'):
    float_models.read(path, _reading('mobilenet_v2', model='mobilenet_v1'))
  path.write_bytes(b'something else')
  with pytest.raises(ValueError, match='no .npz of arrays'):
    float_models.read(path, _reading('mobilenet_v2'))
