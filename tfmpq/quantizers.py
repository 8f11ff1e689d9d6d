"""tfmot Quantizers with learned steps, and the QuantizeConfig of one layer.

The fake quantization is the integer contract in real numbers: codes are
`floor(x / scale + 0.5) + zero_point`, clamped to the code range, and mean
`scale * (code - zero_point)`. Gradients pass straight through the rounding
(and are cut by the clamp), which also gives the gradients of the scales: LSQ,
Esser et al., arXiv 1902.08153, eq. 3; for activations this equals PACT with
the LSQ gradient. Scales are trained as logarithms, so that they stay positive
and a step of the optimizer changes them by a ratio.

Variables live in the QuantizeWrapperV2, never in these objects: tfmot may
copy quantizers and configs at any time.
"""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from tfmpq import packing


def round_half_up(x: tf.Tensor) -> tf.Tensor:
  """Returns floor(x + 0.5) with the gradient of the identity."""
  return x + tf.stop_gradient(tf.floor(x + 0.5) - x)


def fake_quantize(
    x: tf.Tensor,
    scale: tf.Tensor,
    zero_point: tf.Tensor,
    lowest: float,
    highest: float,
) -> tf.Tensor:
  """Returns the real values of the codes of x; shapes broadcast."""
  codes = round_half_up(x / scale) + zero_point
  return (tf.clip_by_value(codes, lowest, highest) - zero_point) * scale


class WeightQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
  """Learned scale per output channel; zero points per channel are fixed."""

  def __init__(self, bits: int, channel_axis: int, rank: int):
    """Args: width, axis of the output channels, and rank of the weight."""
    self.bits = bits
    self.channel_axis = channel_axis
    self.rank = rank

  def build(self, tensor_shape, name, layer):
    channels = (tensor_shape[self.channel_axis],)
    return {
        'log_scale': layer.add_weight(
            name=f'{name}_log_scale', shape=channels, initializer='zeros'
        ),
        'zero_point': layer.add_weight(
            name=f'{name}_zero_point',
            shape=channels,
            initializer='zeros',
            trainable=False,
        ),
    }

  def __call__(self, inputs, training, weights, **kwargs):
    del training, kwargs
    shape = [1] * self.rank
    shape[self.channel_axis] = -1
    # 8-bit weights leave -128 out, so that they are symmetric.
    lowest, highest = packing.code_range(self.bits)
    return fake_quantize(
        inputs,
        tf.reshape(tf.exp(weights['log_scale']), shape),
        tf.reshape(weights['zero_point'], shape),
        max(lowest, -127),
        highest,
    )

  def get_config(self):
    return {
        'bits': self.bits,
        'channel_axis': self.channel_axis,
        'rank': self.rank,
    }


class BiasQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
  """Rounds a bias to whole steps of the accumulator, as lowering does.

  One step is `s_in * s_w` per output channel. At few bits it is a large part
  of an output step, so that training has to know about it. Both scales are
  learned elsewhere: `unit` is a copy that the model refreshes.
  """

  def build(self, tensor_shape, name, layer):
    return {
        'unit': layer.add_weight(
            name=f'{name}_unit',
            shape=tensor_shape,
            initializer='ones',
            trainable=False,
            # All replicas of a distributed training compute the same.
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
    }

  def __call__(self, inputs, training, weights, **kwargs):
    del training, kwargs
    return round_half_up(inputs / weights['unit']) * weights['unit']

  def get_config(self):
    return {}


class ActivationQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
  """Learned clip of one activation tensor, as `activation_params` means it."""

  def __init__(self, bits: int, signed: bool):
    self.bits = bits
    self.signed = signed

  def build(self, tensor_shape, name, layer):
    del tensor_shape
    return {
        'log_clip': layer.add_weight(
            name=f'{name}_log_clip', shape=(), initializer='zeros'
        )
    }

  def __call__(self, inputs, training, weights, **kwargs):
    del training, kwargs
    negative = 2 ** (self.bits - 1) if self.signed else 0
    positive = 2**self.bits - 1 - negative
    steps = negative if self.signed else positive
    scale = tf.exp(weights['log_clip']) / steps
    return fake_quantize(inputs, scale, 0.0, -negative, positive)

  def get_config(self):
    return {'bits': self.bits, 'signed': self.signed}


class PolicyQuantizeConfig(tfmot.quantization.keras.QuantizeConfig):
  """Quantizes a layer's weight and bias, if it has them, and its output.

  Args:
    weight_bits: width of the weight, or None for a layer without.
    output_bits: width of the output.
    output_signed: whether the output represents values below zero.
  """

  # Keras weight attribute and output-channel axis by layer class.
  _WEIGHTS = {
      'Conv2D': ('kernel', 3),
      'DepthwiseConv2D': ('depthwise_kernel', 2),
  }

  def __init__(
      self, weight_bits: int | None, output_bits: int, output_signed: bool
  ):
    self.weight_bits = weight_bits
    self.output_bits = output_bits
    self.output_signed = output_signed

  def get_weights_and_quantizers(self, layer):
    if self.weight_bits is None:
      return []
    attribute, axis = self._WEIGHTS[type(layer).__name__]
    weight = getattr(layer, attribute)
    quantizer = WeightQuantizer(self.weight_bits, axis, len(weight.shape))
    return [(weight, quantizer), (layer.bias, BiasQuantizer())]

  def set_quantize_weights(self, layer, quantize_weights: Sequence[tf.Tensor]):
    if self.weight_bits is not None:
      attribute, _ = self._WEIGHTS[type(layer).__name__]
      weight, bias = quantize_weights
      setattr(layer, attribute, weight)
      layer.bias = bias

  def get_activations_and_quantizers(self, layer):
    return []  # the output quantizer comes after the activation function

  def set_quantize_activations(self, layer, quantize_activations):
    pass

  def get_output_quantizers(self, layer):
    return [ActivationQuantizer(self.output_bits, self.output_signed)]

  def get_config(self):
    return {
        'weight_bits': self.weight_bits,
        'output_bits': self.output_bits,
        'output_signed': self.output_signed,
    }
