"""Tests of lowering: real scales and biases become the right integers."""

import dataclasses

import numpy as np
import pytest

from tests import calibration_models
from tfmpq import calibrated_network
from tfmpq import lowering
from tfmpq import quantization
from tfmpq import specs


def _activation(name, shape, **kwargs):
  return specs.TensorSpec(name, specs.TensorKind.ACTIVATION, shape, **kwargs)


def _calibrated(weight_bits=4, input_bits=4, **weight_changes):
  """Returns a depthwise and a fully connected layer with chosen numbers."""
  spec = specs.NetworkSpec(
      'net',
      (
          _activation('input', (2, 1, 3), signed=True, fixed_bits=8),
          _activation('middle', (1, 1, 3), fixed_bits=input_bits),
          _activation('logits', (1, 1, 2), signed=True, fixed_bits=8),
          specs.TensorSpec('w1', specs.TensorKind.WEIGHT, (2, 1, 3)),
          specs.TensorSpec('w2', specs.TensorKind.WEIGHT, (2, 3)),
      ),
      (
          specs.LayerSpec(
              'dw',
              specs.Op.DEPTHWISE_CONV_2D,
              ('input',),
              'middle',
              'w1',
              (2, 1),
          ),
          specs.LayerSpec(
              'fc', specs.Op.FULLY_CONNECTED, ('middle',), 'logits', 'w2'
          ),
      ),
      'input',
      'logits',
  )
  first = calibrated_network.CalibratedWeight(
      codes=np.array([[[1, -2, 3]], [[4, 5, -127]]], np.int8),
      scales=np.array([0.5, 0.25, 0.125]),
      zero_points=np.zeros(3, np.int8),
      bias=np.array([1.0, -1.0, 0.3]),
  )
  second = calibrated_network.CalibratedWeight(
      codes=np.array([[0, 7, 15], [3, 3, 8]], np.uint8),
      scales=np.array([0.5, 0.01]),
      zero_points=np.array([7, -3], np.int8),
      bias=np.array([2.0, -4.0]),
  )
  return calibrated_network.CalibratedNetwork(
      spec=spec,
      policy=specs.QuantizationPolicy.of(
          {
              'input': 8,
              'middle': input_bits,
              'logits': 8,
              'w1': 8,
              'w2': weight_bits,
          }
      ),
      weights={
          'w1': first,
          'w2': dataclasses.replace(second, **weight_changes),
      },
      clips={'middle': 3.0, 'logits': 16.0},
      per_channel_zero_points=True,
  )


def test_biases_count_accumulator_steps_and_hold_the_input_zero_point():
  network = lowering.lower(_calibrated())
  # 1 / (0.5 / 128) = 256; -1 / (0.25 / 128) = -512; 0.3 * 1024 = 307.2.
  np.testing.assert_array_equal(
      network.constants['dw'].bias, np.array([256, -512, 307], np.int32)
  )
  # Zero point 0 at 4 bits, step 3 / 15: 2 / (0.2 * 0.5), -4 / (0.2 * 0.01).
  np.testing.assert_array_equal(
      network.constants['fc'].bias, np.array([20, -2000], np.int32)
  )
  # At 8 bits the zero point is -128: bias + 128 * sum(u - z_w), where the sums
  # are (0 + 7 + 15) - 21 = 1 and (3 + 3 + 8) + 9 = 23.
  network = lowering.lower(_calibrated(input_bits=8))
  np.testing.assert_array_equal(
      network.constants['fc'].bias, np.array([340 + 128, -34000 + 128 * 23])
  )


def test_multipliers_are_the_ratio_of_the_scales():
  calibrated = _calibrated()
  network = lowering.lower(calibrated)
  for layer, source, weight, output in (
      ('dw', 1 / 128, 'w1', 3 / 15),
      ('fc', 3 / 15, 'w2', 16 / 128),
  ):
    constants = network.constants[layer]
    exponent = constants.rescale.pre_shift - 32 - constants.rescale.shift
    np.testing.assert_allclose(
        constants.multipliers * 2.0**exponent,
        source * calibrated.weights[weight].scales / output,
        rtol=2e-8,
    )
    assert constants.multipliers.max() >= 2**30


def test_activation_parameters_follow_contract_and_clips():
  network = lowering.lower(_calibrated())
  assert network.params['input'] == quantization.INPUT_PARAMS
  assert network.params['middle'] == quantization.QuantParams(4, 3 / 15, 0)
  assert network.params['logits'] == quantization.QuantParams(8, 16 / 128, 0)


def test_a_padded_average_pool_has_a_multiplier_per_number_of_elements():
  net = calibration_models.network('pools')
  evaluator = calibration_models.evaluator(net)
  calibrated = evaluator.calibrated(
      specs.QuantizationPolicy.uniform(net.spec, 8, 4)
  )
  network = lowering.lower(calibrated)
  padded = network.constants['average_1']
  assert padded.multipliers.shape == (6,)
  ratios = padded.multipliers[0] / padded.multipliers
  np.testing.assert_allclose(ratios, np.arange(1, 7), rtol=1e-8)
  assert network.constants['max_1'] is None
  assert network.params['max_1'] == network.params['conv_1']


def test_adds_use_both_scales():
  net = calibration_models.network('bottlenecks')
  evaluator = calibration_models.evaluator(net)
  policy = specs.QuantizationPolicy.uniform(net.spec, 8, 4).with_bits(
      {'add_1': 8, 'in_1': 2}
  )
  network = lowering.lower(evaluator.calibrated(policy))
  rescale = network.constants['add_1']
  scales = [network.params[n].scale for n in ('in_1', 'project_1', 'add_1')]
  for multiplier, scale in zip(rescale.multipliers, scales[:2], strict=True):
    assert multiplier / 2**rescale.shift == pytest.approx(
        scale / scales[2], rel=1e-3
    )


@pytest.mark.parametrize('name', calibration_models.NAMES)
def test_equal_networks_lower_to_equal_integers(name):
  net = calibration_models.network(name)
  policy = calibration_models.random_policy(net.spec, np.random.default_rng(5))
  first, second = (
      lowering.lower(calibration_models.evaluator(net).calibrated(policy))
      for _ in range(2)
  )
  for layer in net.spec.layers:
    if layer.weight:
      for field in ('weight_codes', 'bias', 'multipliers'):
        np.testing.assert_array_equal(
            getattr(first.constants[layer.name], field),
            getattr(second.constants[layer.name], field),
        )


def test_a_bias_that_overflows_is_refused_by_name():
  scales = np.array([0.5, 1e-12])
  with pytest.raises(
      ValueError, match=r"'fc'.*channel 1 .*overflows int32; .*larger scale"
  ):
    lowering.lower(_calibrated(scales=scales))


def test_an_accumulator_that_overflows_is_refused_by_name():
  # The bias fits int32, but not together with the products.
  bias = np.array([0.1 * (2**31 - 10), 0.0])
  with pytest.raises(ValueError, match="'fc'.*accumulator"):
    lowering.lower(_calibrated(bias=bias))


def test_scales_that_are_not_positive_are_refused_by_name():
  for bad in (0.0, -1.0, np.nan, np.inf):
    with pytest.raises(ValueError, match="'fc'.*scales must be finite"):
      lowering.lower(_calibrated(scales=np.array([0.5, bad])))


def test_codes_of_another_width_are_refused_by_name():
  with pytest.raises(ValueError, match="'fc'"):
    lowering.lower(_calibrated(weight_bits=2))


def test_a_missing_clip_is_refused_by_name():
  calibrated = _calibrated()
  with pytest.raises(ValueError, match="'logits' has no clip"):
    lowering.lower(dataclasses.replace(calibrated, clips={'middle': 1.0}))
