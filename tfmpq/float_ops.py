"""TensorFlow forward pass of a FloatNetwork, and the ops of its layers.

The ops take a `specs.LayerSpec` and real or integer-valued float tensors
[N, H, W, C]; they know nothing of bits. The evaluator runs the same ops on
centred codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfmpq import float_network
from tfmpq import specs


def linear(
    layer: specs.LayerSpec, inputs: tf.Tensor, weight: tf.Tensor
) -> tf.Tensor:
  """Returns the weighted sums [N, outH, outW, C_out]; padding taps are 0.

  Args:
    layer: a conv2d, depthwise_conv2d or fully_connected.
    inputs: [N, H, W, C_in].
    weight: as `kernel_layout` returns it.
  """
  s_h, s_w = layer.stride
  inputs, padding = _pad(layer, inputs)
  if layer.op is not specs.Op.DEPTHWISE_CONV_2D:
    return tf.nn.conv2d(inputs, weight, (s_h, s_w), padding)
  if s_h == s_w:
    return tf.nn.depthwise_conv2d(inputs, weight, (1, s_h, s_w, 1), padding)
  # The op takes one stride for both axes only. ('SAME' depends on the stride.)
  if padding == 'SAME':
    inputs = tf.pad(inputs, _explicit(layer))
  dense = tf.nn.depthwise_conv2d(inputs, weight, (1, 1, 1, 1), 'VALID')
  return dense[:, ::s_h, ::s_w]


def kernel_layout(op: specs.Op, weight: np.ndarray) -> np.ndarray:
  """Returns a weight in TensorFlow's layout, [kH, kW, C_in, C_out or 1]."""
  if op is specs.Op.DEPTHWISE_CONV_2D:
    return weight[..., np.newaxis]
  if op is specs.Op.FULLY_CONNECTED:
    return weight.T[np.newaxis, np.newaxis]
  return weight.transpose(1, 2, 3, 0)


def average_pool(layer: specs.LayerSpec, inputs: tf.Tensor) -> tf.Tensor:
  """Returns window means; padding is not counted."""
  k_h, k_w = layer.kernel_size
  if (k_h, k_w) == tuple(inputs.shape[1:3]) and not any(layer.padding):
    return tf.reduce_mean(inputs, axis=(1, 2), keepdims=True)
  padded = tf.pad(inputs, _explicit(layer))
  means = tf.nn.avg_pool2d(padded, (k_h, k_w), layer.stride, 'VALID')
  if not any(layer.padding):
    return means
  counts = inside_counts(layer, inputs.shape[1:3])
  return means * tf.constant(k_h * k_w / counts, inputs.dtype)


def inside_counts(
    layer: specs.LayerSpec, image_size: tuple[int, int]
) -> np.ndarray:
  """Returns [1, outH, outW, 1]: elements of each window inside the image."""
  padded = np.pad(np.ones(image_size, np.int64), _explicit(layer)[1:3])
  view = np.lib.stride_tricks.sliding_window_view(padded, layer.kernel_size)
  s_h, s_w = layer.stride
  return view[::s_h, ::s_w].sum(axis=(2, 3))[np.newaxis, :, :, np.newaxis]


def max_pool(layer: specs.LayerSpec, inputs: tf.Tensor) -> tf.Tensor:
  """Returns window maxima; padding never wins."""
  padded = tf.pad(inputs, _explicit(layer), constant_values=inputs.dtype.min)
  return tf.nn.max_pool2d(padded, layer.kernel_size, layer.stride, 'VALID')


def forward(
    network: float_network.FloatNetwork,
    inputs: tf.Tensor,
    adjust: Callable[[specs.LayerSpec, tf.Tensor], tf.Tensor] | None = None,
) -> Iterator[tuple[specs.LayerSpec, tf.Tensor, tf.Tensor]]:
  """Yields (layer, what it computes, its output) in execution order.

  'What it computes' is the value before the activation function.

  Args:
    network: what to run.
    inputs: float [N, H, W, C].
    adjust: (layer, what it computes) -> what goes on instead, or None.
  """
  spec = network.spec
  values = {spec.input: inputs}
  for layer in spec.layers:
    own = [values[name] for name in layer.inputs]
    if layer.op is specs.Op.ADD:
      before = own[0] + own[1]
    elif layer.op is specs.Op.AVERAGE_POOL_2D:
      before = average_pool(layer, own[0])
    elif layer.op is specs.Op.MAX_POOL_2D:
      before = max_pool(layer, own[0])
    else:
      weight = kernel_layout(layer.op, network.weights[layer.weight])
      before = linear(layer, own[0], weight) + network.biases[layer.name]
    if adjust is not None:
      before = adjust(layer, before)
    after = before
    if not spec.tensor(layer.output).signed:
      after = tf.nn.relu(after)
    if layer.output in network.ceilings:
      after = tf.minimum(after, network.ceilings[layer.output])
    values[layer.output] = after
    yield layer, before, after


def logits(
    network: float_network.FloatNetwork,
    inputs: np.ndarray,
    batch_size: int = 250,
) -> np.ndarray:
  """Returns float32 [N, H, W, C] of the network's output tensor.

  Args:
    network: what to run.
    inputs: float32 [N, H, W, C], as `datasets.to_input` makes them.
    batch_size: images at a time; the last batch may be smaller.
  """

  @tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
  def run(batch):
    results = {
        layer.output: after for layer, _, after in forward(network, batch)
    }
    return results[network.spec.output]

  return np.concatenate(
      [
          run(inputs[start : start + batch_size]).numpy()
          for start in range(0, len(inputs), batch_size)
      ]
  )


def _explicit(layer: specs.LayerSpec) -> list[list[int]]:
  top, left, bottom, right = layer.padding
  return [[0, 0], [top, bottom], [left, right], [0, 0]]


def _pad(layer: specs.LayerSpec, inputs: tf.Tensor) -> tuple[tf.Tensor, str]:
  """Returns inputs and the 'VALID' or 'SAME' that yield the layer's padding.

  Explicit padding is not left to the convolutions: depthwise aborts the process
  for some (TensorFlow 2.21, kernel 4, padding 2 and 3), and 'SAME' is faster.
  """
  if not any(layer.padding):
    return inputs, 'VALID'
  (k_h, k_w), (s_h, s_w) = layer.kernel_size, layer.stride
  top, bottom = same_padding(inputs.shape[1], k_h, s_h)
  left, right = same_padding(inputs.shape[2], k_w, s_w)
  if layer.padding == (top, left, bottom, right):
    return inputs, 'SAME'
  return tf.pad(inputs, _explicit(layer)), 'VALID'


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
  """Returns TensorFlow's 'same' padding (before, after) along one axis.

  The output has ceil(size / stride) elements; an odd element goes after, so
  that a stride of 2 pads asymmetrically.
  """
  outputs = -(-size // stride)
  total = max((outputs - 1) * stride + kernel - size, 0)
  return total // 2, total - total // 2
