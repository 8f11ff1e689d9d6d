"""Tests of quantized_forward: the TensorFlow graph computes integer codes."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests import calibration_models
from tfmpq import datasets
from tfmpq import evaluators
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import lowering
from tfmpq import quantized_forward
from tfmpq import reference_ops
from tfmpq import specs


@pytest.fixture(scope='module', name='evaluator_of')
def _evaluator_of():
  cache = {}

  def get(name, per_channel_zero_points):
    key = (name, per_channel_zero_points)
    if key not in cache:
      cache[key] = calibration_models.evaluator(
          calibration_models.network(name),
          per_channel_zero_points=per_channel_zero_points,
      )
    return cache[key]

  return get


def _distance_to_boundary(network, layer, inputs):
  """Returns how far what the integers round is from half a code: 0..0.5."""
  constants = network.constants[layer.name]
  params = [network.params[name] for name in layer.inputs]
  if layer.op is specs.Op.MAX_POOL_2D:
    return np.full(1, 0.5)
  if layer.op is specs.Op.ADD:
    real = sum(
        (codes.astype(np.float64) - own.zero_point) * multiplier
        for codes, own, multiplier in zip(
            inputs, params, constants.multipliers, strict=True
        )
    )
    real = real / 2**constants.shift
  else:
    if layer.op is specs.Op.AVERAGE_POOL_2D:
      centred = inputs[0].astype(np.int64) - params[0].zero_point
      sums = reference_ops.windows(centred, layer, 0).sum(axis=(3, 4))
      counts = float_ops.inside_counts(layer, inputs[0].shape[1:3])
      one = len(constants.multipliers) == 1
      multipliers = constants.multipliers[0 if one else counts - 1]
    else:
      sums = reference_ops.accumulate(
          inputs[0], layer, constants, params[0].zero_point
      )
      multipliers = constants.multipliers
    exponent = constants.rescale.pre_shift - 32 - constants.rescale.shift
    real = sums * (multipliers * 2.0**exponent)
  return np.abs(real - np.floor(real) - 0.5)


def _differing_shares(calibrated, images):
  """Yields the share of differing codes per layer, both sides on equal inputs.

  Codes differ by one at most, and only where the rounding is a matter of the
  last bits.
  """
  network = lowering.lower(calibrated)
  activations, weights = quantized_forward.tensors_of(calibrated)
  codes = dict(reference_ops.run_layers(network, datasets.to_codes(images)))
  centred = {
      name: array.astype(np.int64) - network.params[name].zero_point
      for name, array in codes.items()
  }
  for layer in network.spec.layers:
    received = quantized_forward.run_layer(
        network.spec,
        layer,
        activations,
        weights.get(layer.weight) if layer.weight else None,
        tuple(tf.constant(centred[n], tf.float32) for n in layer.inputs),
    ).numpy()
    difference = np.abs(received - centred[layer.output])
    assert difference.max() <= 1, f"layer '{layer.name}'"
    distance = _distance_to_boundary(
        network, layer, tuple(codes[name] for name in layer.inputs)
    )
    distance = np.broadcast_to(distance, difference.shape)
    assert not (difference[distance > 1e-4]).any(), f"layer '{layer.name}'"
    yield float((difference > 0).mean())


@pytest.mark.parametrize('per_channel_zero_points', [True, False])
@pytest.mark.parametrize('name', calibration_models.NAMES)
def test_every_layer_is_at_most_one_code_from_the_integers(
    name, per_channel_zero_points, evaluator_of
):
  network = calibration_models.network(name)
  evaluator = evaluator_of(name, per_channel_zero_points)
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 40, seed=3)
  rng = np.random.default_rng(11)
  policies = [
      specs.QuantizationPolicy.uniform(network.spec, w, a)
      for w, a in ((8, 8), (4, 4), (2, 2), (2, 8), (8, 2))
  ] + [calibration_models.random_policy(network.spec, rng) for _ in range(6)]
  shares = [
      share
      for policy in policies
      for share in _differing_shares(evaluator.calibrated(policy), images)
  ]
  print(f'{name}: {np.mean(shares):.1e} of all codes differ')
  assert np.mean(shares) <= 1e-3


def test_logits_follow_the_integer_network(evaluator_of):
  network = calibration_models.network('bottlenecks')
  evaluator = evaluator_of('bottlenecks', True)
  calibrated = evaluator.calibrated(
      specs.QuantizationPolicy.uniform(network.spec, 4, 4)
  )
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 200, seed=4)
  codes = datasets.to_codes(images)
  expected = reference_ops.run(lowering.lower(calibrated), codes)
  activations, weights = quantized_forward.tensors_of(calibrated)
  *_, (_, received) = quantized_forward.forward(
      network.spec, activations, weights, tf.constant(codes, tf.float32)
  )
  same = (received.numpy() == expected).all(axis=(1, 2, 3))
  assert same.mean() >= 0.98


@pytest.mark.parametrize('name', ['bottlenecks', 'residual', 'pools'])
def test_calibration_gives_layers_the_float_statistics(name, evaluator_of):
  network = calibration_models.network(name)
  evaluator = evaluator_of(name, True)
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 64, seed=1)  # as calibrated
  calibrated = evaluator.calibrated(
      specs.QuantizationPolicy.uniform(network.spec, 4, 8)
  )
  activations, weights = quantized_forward.tensors_of(calibrated)
  targets = {
      layer.name: before.numpy()
      for layer, before, _ in float_ops.forward(
          network, datasets.to_input(images)
      )
  }
  spec = network.spec
  values = {spec.input: tf.constant(datasets.to_codes(images), tf.float32)}
  for layer in spec.layers:
    weight = weights[layer.weight] if layer.weight else None
    inputs = tuple(values[n] for n in layer.inputs)
    values[layer.output] = quantized_forward.run_layer(
        spec, layer, activations, weight, inputs
    )
    if weight is None:
      continue
    sums = float_ops.linear(layer, inputs[0], weight.codes)
    step = activations[layer.inputs[0]].scale * weight.scales
    received = (sums * step + weight.bias).numpy()
    wanted = targets[layer.name]
    scale = wanted.std(axis=(0, 1, 2))
    np.testing.assert_allclose(
        received.mean(axis=(0, 1, 2)) / scale,
        wanted.mean(axis=(0, 1, 2)) / scale,
        atol=1e-3,
        err_msg=layer.name,
    )
    np.testing.assert_allclose(
        received.std(axis=(0, 1, 2)) / scale, 1, atol=1e-3, err_msg=layer.name
    )


def test_gains_are_limited_and_constant_channels_keep_theirs():
  layer = specs.LayerSpec(
      'conv', specs.Op.CONV_2D, ('input',), 'conv', 'conv/weight'
  )
  spec = specs.NetworkSpec(
      'net',
      (
          specs.TensorSpec(
              'input', specs.TensorKind.ACTIVATION, (1, 1, 1), signed=True
          ),
          specs.TensorSpec(
              'conv/weight', specs.TensorKind.WEIGHT, (3, 1, 1, 1)
          ),
          specs.TensorSpec(
              'conv', specs.TensorKind.ACTIVATION, (1, 1, 3), signed=True
          ),
      ),
      (layer,),
      'input',
      'conv',
  )
  activation = quantized_forward.ActivationTensors(
      tf.constant(0.5), tf.constant(-128.0), tf.constant(127.0), tf.constant(8)
  )
  weight = quantized_forward.WeightTensors(
      tf.constant([[[[1.0, 1.0, 0.0]]]]), tf.ones(3), tf.zeros(3)
  )
  target = quantized_forward.TargetStatistics(
      tf.constant([1.0, 2.0, 3.0]), tf.constant([100.0, 1e-3, 7.0])
  )
  codes = tf.reshape(tf.constant([-2.0, 2.0]), (2, 1, 1, 1))
  weights, outputs = quantized_forward.calibrate(
      spec,
      {'input': activation, 'conv': activation},
      {'conv/weight': weight},
      {'conv': target},
      codes,
  )
  corrected = weights['conv/weight']
  np.testing.assert_array_equal(corrected.scales, [4.0, 0.25, 1.0])
  np.testing.assert_array_equal(corrected.bias, [1.0, 2.0, 3.0])
  # In steps of 0.5. The bias 1 of the first channel is half a step of its
  # accumulator and becomes a whole one; 2 -+ 0.25 are 3.5 and 4.5 steps, and
  # halves go to the even code.
  np.testing.assert_array_equal(
      outputs[:, 0, 0], [[-4.0, 4.0, 6.0], [12.0, 4.0, 6.0]]
  )


def test_batches_of_large_activations_change_no_bit(monkeypatch):
  inputs = keras.Input((40, 32, 2))
  x = keras.layers.Conv2D(4, 3, padding='same', activation='relu')(inputs)
  y = keras.layers.DepthwiseConv2D(3, padding='same')(x)
  y = keras.layers.Conv2D(4, 1)(keras.layers.Add()([x, y]))
  z = keras.layers.Conv2D(4, 3, 2, padding='same')(x)
  w = keras.layers.Conv2D(4, 3, 2, padding='same', activation='relu')(y)
  x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([z, w]))
  model = keras.Model(inputs, keras.layers.Dense(10)(x))
  network = keras_graph.fold(calibration_models.randomize(model, seed=0))
  images = calibration_models.images((40, 32, 2), 150, seed=1)

  def evaluations():
    evaluator = evaluators.PostTrainingEvaluator(
        network,
        images,
        images,
        np.zeros(150, int),
        per_channel_zero_points=False,
    )
    rng = np.random.default_rng(0)
    return [
        evaluator(calibration_models.random_policy(network.spec, rng))
        for _ in range(3)
    ]

  batched = evaluations()
  assert len(set(batched)) == 3
  # pylint: disable-next=protected-access
  assert quantized_forward._layers_with_few_images(network.spec)
  monkeypatch.setattr(
      quantized_forward, '_layers_with_few_images', lambda spec: ()
  )
  assert evaluations() == batched
