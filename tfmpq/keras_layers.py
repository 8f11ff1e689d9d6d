"""Reads Keras models and layers: order, geometry, constants; in our layout."""

from __future__ import annotations

import itertools

import numpy as np
import tf_keras as keras

from tfmpq import float_ops
from tfmpq import graph_draft


def unsupported(layer, reason: str) -> ValueError:
  """Returns the error that names the layer, its class and the reason."""
  return ValueError(
      f"layer '{layer.name}' ({type(layer).__name__}) is not supported here: "
      f'{reason}'
  )


def topology(model: keras.Model) -> tuple[dict[str, list[str]], str]:
  """Returns (layer name -> names of its input layers, name of the last layer).

  Raises:
    ValueError: not one input and one output, or a layer is used twice.
  """
  if len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
    raise ValueError(
        f"model '{model.name}': expected a built Sequential or functional "
        'model with one input and one output'
    )
  if isinstance(model, keras.Sequential):
    names = [model.input_names[0]] + [layer.name for layer in model.layers]
    return {n: [before] for before, n in itertools.pairwise(names)}, names[-1]
  config = model.get_config()
  sources = {}
  for entry in config['layers']:
    nodes = entry['inbound_nodes']
    if len(nodes) > 1:
      raise ValueError(
          f"layer '{entry['name']}' ({entry['class_name']}) is used "
          f'{len(nodes)} times; a network for a microcontroller has one copy '
          'of the weights per use, so make a layer of its own for each'
      )
    sources[entry['name']] = [source[0] for source in nodes[0]] if nodes else []
  return sources, config['output_layers'][0][0]


def bias(layer) -> np.ndarray | None:
  """Returns [C_out], or None for a layer without bias."""
  return layer.bias.numpy() if layer.use_bias else None


def depthwise_weight(layer) -> np.ndarray:
  """Returns [kH, kW, C] of a DepthwiseConv2D or SeparableConv2D."""
  kernel = layer.get_weights()[0]  # [kH, kW, C, depth multiplier]
  if kernel.shape[3] != 1:
    raise unsupported(
        layer, f'depth_multiplier must be 1, received {kernel.shape[3]}'
    )
  return kernel[..., 0]


def geometry(layer, kernel_size, stride, value: graph_draft.Value) -> dict:
  """Returns kernel_size, stride and explicit padding for `add_layer`."""
  if layer.data_format != 'channels_last':
    raise unsupported(layer, "data_format must be 'channels_last'")
  if tuple(getattr(layer, 'dilation_rate', (1, 1))) != (1, 1):
    raise unsupported(layer, 'dilation_rate must be 1')
  top, left, bottom, right = value.padding
  if layer.padding == 'same':
    height, width, _ = value.tensor.shape
    before, after = float_ops.same_padding(
        height + top + bottom, kernel_size[0], stride[0]
    )
    top, bottom = top + before, bottom + after
    before, after = float_ops.same_padding(
        width + left + right, kernel_size[1], stride[1]
    )
    left, right = left + before, right + after
  return {
      'kernel_size': tuple(kernel_size),
      'stride': tuple(stride),
      'padding': (top, left, bottom, right),
  }


def batch_norm_constants(layer) -> tuple[np.ndarray, np.ndarray]:
  """Returns (factor, shift) [C] with BatchNorm(x) = factor * x + shift."""
  mean = layer.moving_mean.numpy().astype(np.float64)
  variance = layer.moving_variance.numpy().astype(np.float64)
  factor = 1.0 / np.sqrt(variance + layer.epsilon)
  if layer.scale:
    factor = factor * layer.gamma.numpy()
  shift = -mean * factor
  if layer.center:
    shift = shift + layer.beta.numpy()
  return factor, shift
