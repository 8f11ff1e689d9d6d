"""The QAT model starts at the calibrated codes and returns them."""

import numpy as np
import pytest
import tf_keras as keras

from tfmpq import calibrated_network
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import packing
from tfmpq import qat
from tfmpq import specs


def _residual_model() -> keras.Model:
  """Every op: conv2d, depthwise, add, both pools, dense; odd channels."""
  layers = keras.layers
  inputs = keras.Input((9, 9, 2))
  x = layers.Conv2D(5, 3, 2, 'same', activation='relu')(inputs)
  y = layers.DepthwiseConv2D(3, 1, 'same', activation='relu')(x)
  y = layers.Conv2D(5, 1)(y)
  x = layers.Add()([x, y])
  x = layers.MaxPooling2D(3, 1, 'same')(x)
  x = layers.AveragePooling2D(3, 2, 'same')(x)
  x = layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, layers.Dense(3)(x))


@pytest.fixture(name='network')
def _network() -> float_network.FloatNetwork:
  keras.utils.set_random_seed(5)
  return keras_graph.fold(_residual_model())


def _calibrated(network, seed: int) -> calibrated_network.CalibratedNetwork:
  """Random codes, scales and clips under a random policy."""
  rng = np.random.default_rng(seed)
  spec = network.spec
  policy = specs.QuantizationPolicy.of(
      {
          t.name: t.fixed_bits or int(rng.choice(specs.BIT_WIDTHS))
          for t in spec.policy_tensors
      }
  )
  weights = {}
  for layer in spec.layers:
    if layer.weight is None:
      continue
    bits = policy.bits(spec, layer.weight)
    lowest, highest = packing.code_range(bits)
    channels = spec.tensor(layer.output).shape[2]
    zero_points = rng.integers(0, 2**bits, channels) if bits < 8 else 0
    weights[layer.weight] = calibrated_network.CalibratedWeight(
        codes=rng.integers(
            max(lowest, -127), highest + 1, spec.tensor(layer.weight).shape
        ).astype(packing.code_dtype(bits)),
        scales=rng.uniform(0.01, 0.3, channels),
        zero_points=np.full(channels, zero_points, np.int8),
        bias=rng.normal(size=channels),
    )
  clips = {
      t.name: float(rng.uniform(1, 4))
      for t in spec.activations
      if t.name != spec.input and t.bits_of is None
  }
  return calibrated_network.CalibratedNetwork(
      spec, policy, weights, clips, per_channel_zero_points=True
  )


@pytest.mark.parametrize('seed', range(6))
def test_untrained_model_returns_what_it_was_started_with(network, seed):
  start = _calibrated(network, seed)
  back = qat.calibrated(qat.build_model(network, start), start)
  assert back.policy == start.policy
  assert back.clips == pytest.approx(start.clips, rel=1e-6)
  for name, weight in start.weights.items():
    np.testing.assert_array_equal(back.weights[name].codes, weight.codes)
    np.testing.assert_array_equal(
        back.weights[name].zero_points, weight.zero_points
    )
    np.testing.assert_allclose(
        back.weights[name].scales, weight.scales, rtol=1e-6
    )
    np.testing.assert_allclose(back.weights[name].bias, weight.bias, rtol=1e-6)


def test_eight_bit_model_computes_what_the_float_network_computes(network):
  """Fine steps everywhere, so that only the graph itself can differ."""
  spec = network.spec
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8)
  weights = {}
  for layer in spec.layers:
    if layer.weight is not None:
      weight = network.weights[layer.weight]
      scale = np.abs(weight).max() / 127
      channels = spec.tensor(layer.output).shape[2]
      weights[layer.weight] = calibrated_network.CalibratedWeight(
          np.floor(weight / scale + 0.5).astype(np.int8),
          np.full(channels, scale),
          np.zeros(channels, np.int8),
          network.biases[layer.name].astype(np.float64),
      )
  inputs = np.random.default_rng(1).uniform(-1, 1, (32, 9, 9, 2))
  inputs = inputs.astype(np.float32)
  expected = float_ops.logits(network, inputs).reshape(32, -1)
  clips = {
      layer.output: float(np.abs(before).max()) + 1e-3
      for layer, before, _ in float_ops.forward(network, inputs)
      if layer.op is not specs.Op.MAX_POOL_2D
  }
  start = calibrated_network.CalibratedNetwork(
      spec, policy, weights, clips, per_channel_zero_points=True
  )
  received = qat.build_model(network, start).predict(inputs, verbose=0)
  spread = expected.max() - expected.min()
  assert np.abs(received - expected).max() < 0.04 * spread


def test_float_weights_stay_within_half_a_step_of_the_codes(network):
  start = _calibrated(network, seed=11)
  latent = qat.float_weights(qat.build_model(network, start), network)
  for layer in network.spec.layers:
    if layer.weight is None:
      continue
    weight = start.weights[layer.weight]
    depthwise = layer.op is specs.Op.DEPTHWISE_CONV_2D
    shape = (-1,) if depthwise else (-1,) + (1,) * (weight.codes.ndim - 1)
    scales = weight.scales.reshape(shape)
    steps = weight.codes - weight.zero_points.astype(float).reshape(shape)
    distance = np.abs(latent.weights[layer.weight] / scales - steps)
    assert distance.max() < 0.5
