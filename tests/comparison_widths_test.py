"""Widths of 1 to 8 bits: emulated, counted, and refused wherever they run."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import calibration_models
from tfmpq import backends
from tfmpq import config
from tfmpq import lowering
from tfmpq import network_specs
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_forward
from tfmpq import searching
from tfmpq import specs
from tfmpq import weight_rounding

_SEED = 4711
_WIDTHS = specs.COMPARISON_WIDTHS
_NEW_WIDTHS = (1, 3, 5, 6, 7)


@pytest.fixture(scope='module', name='network')
def _network():
  return calibration_models.network('bottlenecks')


@pytest.fixture(scope='module', name='evaluator')
def _evaluator(network):
  return calibration_models.evaluator(network, bit_widths=_WIDTHS)


def test_more_widths_change_nothing_for_the_usual_ones(network, evaluator):
  usual = calibration_models.evaluator(network)
  rng = np.random.default_rng(_SEED)
  for _ in range(4):
    policy = calibration_models.random_policy(network.spec, rng)
    assert evaluator(policy) == usual(policy), f'seed {_SEED}'
  with pytest.raises(ValueError, match=r'in \(2, 4, 8\), received 3'):
    usual(specs.QuantizationPolicy.uniform(network.spec, 3, 8))


def test_every_bit_brings_the_logits_nearer_to_those_of_the_float_network(
    network, evaluator
):
  divergences = [
      evaluator(specs.QuantizationPolicy.uniform(network.spec, bits, 8)).kl
      for bits in _WIDTHS
  ]
  assert divergences == sorted(divergences, reverse=True)
  assert evaluator.trace_count == 2


@pytest.mark.parametrize('per_channel', [True, False])
@pytest.mark.parametrize('bits', _NEW_WIDTHS)
def test_codes_of_weights_beat_nearest_rounding(bits, per_channel):
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0.02, 0.3, (5, 18))
  inputs = rng.normal(0, 1, (200, 18)) @ rng.normal(0, 1, (18, 18))
  covariance = np.cov(inputs, rowvar=False, bias=True)[None]
  found = weight_rounding.round_weight(
      weight, covariance, bits, per_channel, num_samples=200
  )
  lowest, highest = packing.code_range(bits)
  assert found.codes.min() >= lowest and found.codes.max() <= highest
  scales = np.abs(weight).max(axis=1, keepdims=True) / 2 ** (bits - 1)
  half = 0.5 if bits == 1 else 0.0
  nearest = np.clip(
      np.floor(weight / scales + 0.5 + half) - half,
      -(2 ** (bits - 1)) + half,
      2 ** (bits - 1) - 1 + half,
  )
  centred = found.codes - found.zero_points[:, None]
  errors = [
      np.einsum('ct,tu,cu->c', rest, covariance[0], rest)
      for rest in (
          weight - found.scales[:, None] * centred,
          weight - scales * nearest,
      )
  ]
  assert (errors[0] < errors[1]).all(), f'seed {_SEED}'


def test_one_bit_is_a_sign_and_a_scale():
  rng = np.random.default_rng(_SEED)
  weight = rng.normal(0, 1, (4, 9))
  found = weight_rounding.round_weight(
      weight, np.eye(9)[None], 1, False, num_samples=200
  )
  values = found.scales[:, None] * (found.codes - found.zero_points[:, None])
  # With inputs of equal variances, the best scale is the mean magnitude.
  means = np.abs(weight).mean(axis=1, keepdims=True)
  np.testing.assert_allclose(values, np.sign(weight) * means, rtol=1e-12)


@pytest.mark.parametrize('signed', [True, False])
@pytest.mark.parametrize('bits', _NEW_WIDTHS)
def test_activations_have_the_levels_of_their_width(bits, signed):
  """A 1x1 convolution by 1 rounds its input to the nearest level."""
  shape = (4, 4, 1)
  kinds = specs.TensorKind
  spec = specs.NetworkSpec(
      'copy',
      (
          specs.TensorSpec('in', kinds.ACTIVATION, shape, True, 8),
          specs.TensorSpec('out', kinds.ACTIVATION, shape, signed),
          specs.TensorSpec('w', kinds.WEIGHT, (1, 1, 1, 1)),
      ),
      (specs.LayerSpec('conv', specs.Op.CONV_2D, ('in',), 'out', 'w'),),
      'in',
      'out',
  )
  rng = np.random.default_rng(_SEED)
  codes = rng.integers(-128, 128, (50, *shape))
  params = quantization.activation_params(bits, signed, clip=0.7713)
  weight = quantized_forward.WeightTensors(
      tf.ones((1, 1, 1, 1)), tf.ones(1), tf.zeros(1)
  )
  activations = {
      'in': quantized_forward.activation_tensors(quantization.INPUT_PARAMS),
      'out': quantized_forward.activation_tensors(params),
  }
  out = quantized_forward.run_layer(
      spec, spec.layers[0], activations, weight, (tf.cast(codes, tf.float32),)
  )
  centred = quantization.quantize(codes / 128, params).astype(np.int64)
  centred -= params.zero_point
  np.testing.assert_array_equal(out.numpy(), centred, f'seed {_SEED}')
  lowest, highest = packing.code_range(bits)
  assert centred.max() - centred.min() == highest - lowest


def test_flash_of_the_paper_model_is_bits_times_weights():
  spec = network_specs.mobilenet_v1(0.25, 32)
  model = backends.build_memory_model(
      spec, 'paper', 'c', True, [], policy_widths=_WIDTHS
  )
  num_weights = sum(w.num_elements for w in spec.weights)
  flash = [
      model.footprint(
          specs.QuantizationPolicy.uniform(spec, bits, 8)
      ).flash_bytes
      for bits in _WIDTHS
  ]
  # Parameters do not depend on widths with zero points per channel.
  rest = flash[7] - num_weights
  assert flash == [-(-num_weights * b // 8) + rest for b in _WIDTHS]
  assert model.minimum()[1].flash_bytes == flash[0]


def test_what_stores_bytes_refuses_other_widths(network, evaluator):
  spec = network.spec
  odd = specs.QuantizationPolicy.uniform(spec, 3, 8)
  with pytest.raises(ValueError, match="'arena' has no bytes for others"):
    backends.build_memory_model(
        spec, 'arena', 'c', True, [], policy_widths=_WIDTHS
    )
  usual = backends.build_memory_model(spec, 'paper', 'c', True, [])
  message = r'expected bits in \(2, 4, 8\), received 3'
  with pytest.raises(ValueError, match=message):
    usual.footprint(odd)
  with pytest.raises(ValueError, match=message):
    lowering.lower(evaluator.calibrated(odd))
  for function in (packing.pack, packing.unpack):
    arguments = (np.zeros((1, 3), np.uint8), 3, 8)
    with pytest.raises(ValueError, match=message):
      function(*arguments[: 2 if function is packing.pack else 3])


def test_settings_that_need_other_widths_to_run_are_refused():
  base = config.override(
      config.ExperimentConfig(),
      {'search_bits': '1,3,8', 'memory_model': 'paper'},
  )
  searching.require_comparable_widths(base)
  for name, value in (
      ('memory_model', 'arena'),
      ('episode_finetune_steps', 2),
      ('max_instructions', 1000),
  ):
    wrong = config.override(base, {name: value})
    with pytest.raises(ValueError, match=rf'\[1, 3\].*--{name}={value}'):
      searching.require_comparable_widths(wrong)
    usual = dataclasses.replace(
        wrong, search=dataclasses.replace(wrong.search, search_bits='2,8')
    )
    searching.require_comparable_widths(usual)
  with pytest.raises(ValueError, match='constraint: .* --searcher=greedy'):
    config.override(
        base, {'searcher': 'greedy', 'constraint': 'end_of_episode'}
    )
