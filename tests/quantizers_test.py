"""Quantizers: codes of the contract, and the gradients of LSQ."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfmpq import quantization
from tfmpq import quantizers


class _Holder(keras.layers.Layer):
  """A layer that owns the variables of a quantizer."""


def _activation_quantizer(bits, signed, clip):
  quantizer = quantizers.ActivationQuantizer(bits, signed)
  variables = quantizer.build(None, 'output', _Holder())
  variables['log_clip'].assign(np.log(clip))
  return lambda x: quantizer(x, training=True, weights=variables), variables


@pytest.mark.parametrize('bits', [2, 4, 8])
@pytest.mark.parametrize('signed', [False, True])
def test_activation_quantizer_returns_the_real_values_of_the_contract_codes(
    bits, signed
):
  values = np.random.default_rng(3).normal(0, 2, 4000).astype(np.float32)
  quantize, _ = _activation_quantizer(bits, signed, 1.5)
  params = quantization.activation_params(bits, signed, 1.5)
  expected = quantization.dequantize(
      quantization.quantize(values, params), params
  )
  np.testing.assert_allclose(quantize(values).numpy(), expected, atol=1e-5)


def test_weight_quantizer_uses_scales_and_zero_points_per_channel():
  quantizer = quantizers.WeightQuantizer(bits=2, channel_axis=1, rank=2)
  variables = quantizer.build(tf.TensorShape([4, 2]), 'kernel', _Holder())
  variables['log_scale'].assign(np.log([0.5, 2.0]))
  variables['zero_point'].assign([2, 1])
  weights = tf.constant([[-9.0, -9.0], [-0.3, -0.9], [0.24, 1.1], [9.0, 9.0]])
  result = quantizer(weights, training=True, weights=variables)
  # Channel 0: codes 0 1 2 3, zero point 2; channel 1: codes 0 1 2 3, zero 1.
  np.testing.assert_allclose(
      result, [[-1.0, -2.0], [-0.5, 0.0], [0.0, 2.0], [0.5, 4.0]], rtol=1e-6
  )


def test_eight_bit_weights_do_not_use_the_code_minus_128():
  quantizer = quantizers.WeightQuantizer(bits=8, channel_axis=0, rank=1)
  variables = quantizer.build(tf.TensorShape([1]), 'kernel', _Holder())
  result = quantizer(tf.constant([-500.0]), training=True, weights=variables)
  assert result.numpy() == [-127.0]


def test_halves_round_towards_positive_infinity():
  result = quantizers.round_half_up(tf.constant([-1.5, -0.5, 0.5, 1.5]))
  assert result.numpy().tolist() == [-1.0, 0.0, 1.0, 2.0]


def test_gradient_of_the_clip_is_that_of_lsq():
  quantize, variables = _activation_quantizer(2, False, 3.0)  # scale 1
  with tf.GradientTape() as tape:
    total = tf.reduce_sum(quantize(tf.constant([-1.0, 0.75, 7.0])))
  gradient = tape.gradient(total, variables['log_clip'])
  # d/dscale: -1 -> 0 (code 0), 0.75 -> round(0.75) - 0.75, 7 -> code 3; and
  # d/dlog_clip = scale * d/dscale.
  np.testing.assert_allclose(gradient, 0.25 + 3, rtol=1e-5)


def test_gradient_of_the_input_passes_inside_the_range_only():
  quantize, _ = _activation_quantizer(4, False, 15.0)
  x = tf.constant([-3.0, 0.2, 14.2, 40.0])
  with tf.GradientTape() as tape:
    tape.watch(x)
    total = tf.reduce_sum(quantize(x))
  assert tape.gradient(total, x).numpy().tolist() == [0.0, 1.0, 1.0, 0.0]
