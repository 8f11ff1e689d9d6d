"""Convolutions that compute in a narrower type while they train.

Only the convolution itself is narrow: its fake-quantized operands are cast,
its result is cast back, and the bias, the fake quantization, the pools and the
additions are float32. bfloat16 has 8 significant bits and float16 has 11, so
that the sums of a training step differ from the integers by up to about half
an output step at 8 bits. The weights that are trained have float32 however,
and outside training, where epochs are judged, all is float32: what is judged
is what the integer network computes.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

COMPUTE_DTYPES = ('float32', 'bfloat16', 'float16')


class _Narrowing(keras.layers.Layer):
  """What a convolution needs to have a compute type for training.

  Inherit from this first and from the layer of Keras second.
  """

  bias: tf.Variable

  def __init__(self, *args, training_dtype: str = 'float32', **kwargs):
    super().__init__(*args, **kwargs)
    self._training_dtype = training_dtype

  def call(self, inputs, training=None):
    """Convolves; in the narrower type where `training` is True."""
    dtype = self._training_dtype
    if training is not True or dtype == 'float32':
      return super().call(inputs)
    outputs = self._convolve(tf.cast(inputs, dtype))
    return tf.nn.bias_add(tf.cast(outputs, tf.float32), self.bias)

  def _convolve(self, inputs: tf.Tensor) -> tf.Tensor:
    """Returns the convolution, without bias, in the type of its inputs."""
    raise NotImplementedError


class Conv2D(_Narrowing, keras.layers.Conv2D):
  """A convolution with a compute type for training."""

  def _convolve(self, inputs):
    return self.convolution_op(inputs, tf.cast(self.kernel, inputs.dtype))


class DepthwiseConv2D(_Narrowing, keras.layers.DepthwiseConv2D):
  """A depthwise convolution with a compute type for training."""

  def _convolve(self, inputs):
    return tf.nn.depthwise_conv2d(
        inputs,
        tf.cast(self.depthwise_kernel, inputs.dtype),
        (1, *self.strides, 1),
        self.padding.upper(),
    )
