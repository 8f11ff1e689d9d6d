"""Tests of float_statistics against plain NumPy statistics."""

import numpy as np
import pytest

from tests import calibration_models
from tfmpq import datasets
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import float_statistics
from tfmpq import keras_graph
from tfmpq import models
from tfmpq import specs


def _measured(name, count=70):
  network = calibration_models.network(name)
  shape = network.spec.tensor(network.spec.input).shape
  inputs = datasets.to_input(calibration_models.images(shape, count, seed=1))
  return network, inputs, float_statistics.measure(network, inputs)


def _explicit_patches(values, layer):
  """Returns [samples, kH, kW, C], one window after the other."""
  top, left, bottom, right = layer.padding
  padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)))
  (k_h, k_w), (s_h, s_w) = layer.kernel_size, layer.stride
  return np.stack(
      [
          image[row : row + k_h, column : column + k_w]
          for image in padded
          for row in range(0, image.shape[0] - k_h + 1, s_h)
          for column in range(0, image.shape[1] - k_w + 1, s_w)
      ]
  )


@pytest.mark.parametrize('name', ['bottlenecks', 'pools'])
def test_statistics_equal_numpy(name):
  network, inputs, statistics = _measured(name)
  values = {network.spec.input: inputs}
  for layer, before, after in float_ops.forward(network, inputs):
    values[layer.output] = after.numpy()
    histogram = statistics.histograms[layer.output]
    assert histogram.counts.sum() == after.numpy().size
    assert histogram.lowest == min(0, after.numpy().min())
    assert histogram.highest == max(0, after.numpy().max())
    if layer.weight is None:
      continue
    before = before.numpy().astype(np.float64)
    np.testing.assert_allclose(
        statistics.means[layer.name], before.mean(axis=(0, 1, 2)), atol=1e-5
    )
    np.testing.assert_allclose(
        statistics.deviations[layer.name],
        before.std(axis=(0, 1, 2)),
        atol=1e-5,
    )
    patches = _explicit_patches(values[layer.inputs[0]], layer)
    if layer.op is specs.Op.DEPTHWISE_CONV_2D:
      groups = np.moveaxis(patches, -1, 0).reshape(
          patches.shape[-1], len(patches), -1
      )
    else:
      groups = patches.reshape(1, len(patches), -1)
    expected = [np.cov(g, rowvar=False, bias=True) for g in groups]
    np.testing.assert_allclose(
        statistics.covariances[layer.name],
        np.reshape(expected, statistics.covariances[layer.name].shape),
        atol=1e-4,
    )


def test_histograms_place_values_at_their_centres():
  _, _, statistics = _measured('residual')
  for name, histogram in statistics.histograms.items():
    centres = histogram.centres
    assert histogram.lowest < centres[0], name
    assert centres[-1] < histogram.highest, name
    width = (histogram.highest - histogram.lowest) / len(centres)
    np.testing.assert_allclose(np.diff(centres), width)


def test_values_that_are_not_finite_are_refused_by_name():
  network, inputs, _ = _measured('pools', count=2)
  weights = dict(network.weights)
  weights['conv_2/weight'] = weights['conv_2/weight'] * np.float32(np.nan)
  broken = float_network.FloatNetwork(
      network.spec, weights, network.biases, network.ceilings
  )
  with pytest.raises(ValueError, match="'conv_2'.*not finite"):
    float_statistics.measure(broken, inputs)


def test_no_images_are_refused():
  network, inputs, _ = _measured('pools', count=1)
  with pytest.raises(ValueError, match='at least one calibration image'):
    float_statistics.measure(network, inputs[:0])


def test_large_activations_need_few_images():
  network = calibration_models.network('wide_kernel')
  shape = network.spec.tensor(network.spec.input).shape
  assert float_statistics.num_moment_images(1, 1) == 2**15
  assert float_statistics.num_moment_images(64, 64) == 64
  layer = network.spec.layers[0]
  height, width, _ = network.spec.tensor(layer.output).shape
  count = float_statistics.num_moment_images(height, width)
  images = calibration_models.images(shape, count + 70, seed=4)
  inputs = datasets.to_input(images)
  statistics = float_statistics.measure(network, inputs)
  _, before, _ = next(float_ops.forward(network, inputs))
  used = before.numpy()[:count].reshape(-1, before.shape[-1])
  np.testing.assert_allclose(
      statistics.means[layer.name], used.mean(axis=0), atol=1e-5
  )
  np.testing.assert_allclose(
      statistics.deviations[layer.name], used.std(axis=0), rtol=1e-4
  )


def test_large_networks_take_few_images_at_once():
  small = calibration_models.network('pools').spec
  assert float_statistics.batch_size(small) == 64
  large = keras_graph.fold(
      models.build_model('mobilenet_v1', input_shape=(224, 224, 3), width=1.0)
  ).spec
  # 112 * 112 pixels, 64 channels (after the first pointwise layer, with stride
  # 2: 56 * 56), 9 taps; 32 channels before.
  assert float_statistics.batch_size(large) == 2**27 // (112 * 112 * 32 * 9)
