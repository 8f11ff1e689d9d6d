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


class Conv2D(keras.layers.Conv2D):
  """A convolution with a compute type for training."""

  def __init__(self, *args, training_dtype: str = 'float32', **kwargs):
    super().__init__(*args, **kwargs)
    self._training_dtype = training_dtype

  def call(self, inputs, training=None):
    narrow = _narrow(self._training_dtype, training)
    if not narrow:
      return super().call(inputs)
    outputs = self.convolution_op(
        tf.cast(inputs, narrow), tf.cast(self.kernel, narrow)
    )
    return tf.nn.bias_add(tf.cast(outputs, tf.float32), self.bias)


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
  """A depthwise convolution with a compute type for training."""

  def __init__(self, *args, training_dtype: str = 'float32', **kwargs):
    super().__init__(*args, **kwargs)
    self._training_dtype = training_dtype

  def call(self, inputs, training=None):
    narrow = _narrow(self._training_dtype, training)
    if not narrow:
      return super().call(inputs)
    outputs = tf.nn.depthwise_conv2d(
        tf.cast(inputs, narrow),
        tf.cast(self.depthwise_kernel, narrow),
        (1, *self.strides, 1),
        self.padding.upper(),
    )
    return tf.nn.bias_add(tf.cast(outputs, tf.float32), self.bias)


def _narrow(dtype: str, training) -> str | None:
  """Returns the type to compute in, or None for float32."""
  return dtype if training is True and dtype != 'float32' else None
