"""A .tflite of builtin operators -> float Keras model.

Constants are dequantized. Activations become real numbers again: what is left
of their quantization is where it bounds them, because networks that were
trained with quantization rely on it. A tensor that cannot be negative is a
ReLU's, with the largest code as its upper bound; the bounds of a tensor of
either sign are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tf_keras as keras

from tfmpq import float_ends
from tfmpq import tflite_graph

_layers = keras.layers
_schema = tflite_graph.schema
_GLOBAL_POOLS = {
    'AVERAGE_POOL_2D': _layers.GlobalAveragePooling2D,
    'MAX_POOL_2D': _layers.GlobalMaxPooling2D,
}
_PADDINGS = {_schema.Padding.SAME: 'same', _schema.Padding.VALID: 'valid'}
# Fused activation function -> (lowest, highest) value.
_BOUNDS = {
    _schema.ActivationFunctionType.NONE: (-np.inf, np.inf),
    _schema.ActivationFunctionType.RELU: (0.0, np.inf),
    _schema.ActivationFunctionType.RELU6: (0.0, 6.0),
}
# int8 code = pixel - 128.
_INT8_OFFSET = 128


def build(
    graph: tflite_graph.Graph,
    image_size: tuple[int, int] | None = None,
) -> tuple[keras.Model, float_ends.InputEncoding | None]:
  """Returns (the model, how it reads pixels).

  Layers are called after the operators: 'conv_0', 'depthwise_1', with the
  position in the file. The encoding is None for a model with float32 input,
  which does not say what it expects.

  Args:
    graph: what the file says.
    image_size: (height, width) of the input if not those in the file. A pool
      over the whole of its input stays one.

  Raises:
    ValueError: an operator or tensor is not supported; the message names it
      and says what is.
  """
  return _Builder(graph, image_size).build()


class _Builder:
  """Calls one Keras layer after the other."""

  def __init__(
      self, graph: tflite_graph.Graph, image_size: tuple[int, int] | None
  ):
    self._graph = graph
    self._image_size = image_size
    self._values: dict[int, keras.KerasTensor] = {}  # by tensor index
    self._operator: tflite_graph.Operator

  def build(self):
    """Returns the model and the encoding of its input."""
    graph = self._graph
    tensor = graph.tensors[graph.input]
    encoding = _input_encoding(tensor)
    if self._image_size == tuple(tensor.shape[1:3]):
      self._image_size = None
    shape = (*(self._image_size or tensor.shape[1:3]), tensor.shape[3])
    inputs = keras.Input(shape, name='input')
    self._values[graph.input] = inputs
    for operator in graph.operators:
      handler = _HANDLERS.get(operator.kind)
      if handler is None:
        raise ValueError(
            f'operator {operator.index} ({operator.kind}) is not supported; '
            f'supported: {", ".join(sorted(_HANDLERS))}'
        )
      self._operator = operator
      try:
        output = handler(self, operator)
      except ValueError as error:
        raise ValueError(
            f'operator {operator.index} ({operator.kind}), output '
            f"'{graph.tensors[operator.outputs[0]].name}': {error}"
        ) from error
      self._values[operator.outputs[0]] = output
    if graph.output not in self._values:
      raise ValueError(f'no operator writes the output, tensor {graph.output}')
    return (
        keras.Model(inputs, self._values[graph.output], name=graph.name),
        encoding,
    )

  # One method per kind of operator, each: operator -> Keras tensor.

  def _conv2d(self, operator):
    value, weight = self._value(0), self._constant(1)  # [C_out, kH, kW, C_in]
    if weight.shape[3] != value.shape[-1]:
      raise ValueError(
          f'expected {value.shape[-1]} input channels in the weight, received '
          f'{weight.shape[3]}: grouped convolutions are not supported'
      )
    layer = _layers.Conv2D(
        weight.shape[0],
        weight.shape[1:3],
        name=f'conv_{operator.index}',
        **self._geometry(),
    )
    output = layer(value)
    layer.set_weights([weight.transpose(1, 2, 3, 0), self._bias()])
    return self._activated(output)

  def _depthwise(self, operator):
    value, weight = self._value(0), self._constant(1)  # [1, kH, kW, C]
    if weight.shape[3] != value.shape[-1]:
      raise ValueError(
          'the depth multiplier must be 1, received '
          f'{weight.shape[3] / value.shape[-1]:g}'
      )
    layer = _layers.DepthwiseConv2D(
        weight.shape[1:3],
        name=f'depthwise_{operator.index}',
        **self._geometry(),
    )
    output = layer(value)
    layer.set_weights([weight[0, ..., np.newaxis], self._bias()])
    return self._activated(output)

  def _fully_connected(self, operator):
    value, weight = self._value(0), self._constant(1)  # [C_out, inputs]
    if np.prod(value.shape[1:]) != weight.shape[1]:
      raise ValueError(
          f'expected a weight for {np.prod(value.shape[1:])} inputs, received '
          f'{weight.shape}'
      )
    if len(value.shape) > 2:
      value = _layers.Flatten()(value)
    layer = _layers.Dense(weight.shape[0], name=f'dense_{operator.index}')
    output = layer(value)
    layer.set_weights([weight.T, self._bias()])
    return self._activated(output)

  def _add(self, operator):
    return self._activated(
        _layers.Add(name=f'add_{operator.index}')(
            [self._value(0), self._value(1)]
        )
    )

  def _pool(self, operator):
    is_max = operator.kind == 'MAX_POOL_2D'
    kind = _layers.MaxPooling2D if is_max else _layers.AveragePooling2D
    options = operator.options
    window = (options.filterHeight, options.filterWidth)
    if self._image_size and window == self._shape_in_file(0)[1:3]:
      if options.padding != _schema.Padding.VALID:
        raise ValueError('a pool that pads keeps it to one image size')
      kind = _GLOBAL_POOLS[operator.kind]
      layer = kind(keepdims=True, name=f'pool_{operator.index}')
      return self._activated(layer(self._value(0)), bounded=False)
    layer = kind(
        window,
        (options.strideH, options.strideW),
        _PADDINGS[options.padding],
        name=f'pool_{operator.index}',
    )
    # A pool cannot leave the range of its input.
    return self._activated(layer(self._value(0)), bounded=False)

  def _mean(self, operator):
    axes = self._graph.tensors[operator.inputs[1]].integers().ravel()
    value = self._value(0)
    if len(value.shape) != 4 or sorted(a % 4 for a in axes) != [1, 2]:
      raise ValueError(
          'expected the mean over height and width of [N, H, W, C], received '
          f'axes {axes.tolist()} of {list(value.shape)}'
      )
    return _layers.GlobalAveragePooling2D(
        keepdims=bool(operator.option('keepDims')),
        name=f'pool_{operator.index}',
    )(value)

  def _pad(self, operator):
    pads = self._graph.tensors[operator.inputs[1]].integers()
    if pads.shape != (4, 2) or pads[0].any() or pads[3].any():
      raise ValueError(
          'expected padding of height and width, received ' f'{pads.tolist()}'
      )
    return _layers.ZeroPadding2D(pads[1:3].tolist())(self._value(0))

  def _reshape(self, operator):
    shape = self._graph.tensors[operator.outputs[0]].shape
    return _layers.Reshape(shape[1:])(self._value(0))

  def _relu(self, operator):
    ceiling = 6.0 if operator.kind == 'RELU6' else None
    return _layers.ReLU(ceiling)(self._value(0))

  def _softmax(self, unused_operator):
    return _layers.Softmax()(self._value(0))

  def _identity(self, unused_operator):
    return self._value(0)

  def _value(self, position: int):
    """Returns an input of the operator that is an activation."""
    index = self._operator.inputs[position]
    if index not in self._values:
      name = self._graph.tensors[index].name if index >= 0 else 'none'
      raise ValueError(
          f"input {position}, tensor '{name}', must be computed by an operator "
          'before it; constants are not supported there'
      )
    return self._values[index]

  def _shape_in_file(self, position: int) -> tuple[int, ...]:
    """Returns the shape of an input of the operator, before any resizing."""
    index = self._operator.inputs[position]
    return tuple(self._graph.tensors[index].shape)

  def _constant(self, position: int) -> np.ndarray:
    """Returns an input of the operator that is a constant, float64."""
    return self._graph.tensors[self._operator.inputs[position]].values()

  def _bias(self) -> np.ndarray:
    """Returns [C_out]; zeros if the operator has none."""
    tensors, inputs = self._graph.tensors, self._operator.inputs
    if len(inputs) < 3 or inputs[2] < 0:
      weight = tensors[inputs[1]]
      depthwise = self._operator.kind == 'DEPTHWISE_CONV_2D'
      return np.zeros(weight.shape[3 if depthwise else 0])
    bias = tensors[inputs[2]]
    if bias.scales is None and bias.dtype is np.int32:
      # The scale of an accumulator is implied.
      source, weight = tensors[inputs[0]], tensors[inputs[1]]
      if source.scales is not None and weight.scales is not None:
        return bias.data * (source.scales * weight.scales)
    return bias.values()

  def _geometry(self) -> dict:
    options = self._operator.options
    dilation = (options.dilationHFactor, options.dilationWFactor)
    if dilation != (1, 1):
      raise ValueError(f'dilation must be 1, received {dilation}')
    return {
        'strides': (options.strideH, options.strideW),
        'padding': _PADDINGS[options.padding],
    }

  def _activated(self, value, bounded: bool = True):
    """Returns the output within the operator's bounds.

    Args:
      value: what the operator computes.
      bounded: whether the range of the output's codes bounds it, too.
    """
    function = self._operator.option('fusedActivationFunction')
    if function not in _BOUNDS:
      raise ValueError(
          f'fused activation function {function} is not supported; supported: '
          'none, RELU, RELU6'
      )
    lowest, highest = _BOUNDS[function]
    if bounded:
      output = self._graph.tensors[self._operator.outputs[0]]
      lowest = max(lowest, output.range()[0])
      highest = min(highest, output.range()[1])
    if lowest < 0:
      return value
    return _layers.ReLU(
        None if highest == np.inf else highest,
        name=f'relu_{self._operator.index}',
    )(value)


_HANDLERS: dict[str, Callable] = {
    'ADD': _Builder._add,
    'AVERAGE_POOL_2D': _Builder._pool,
    'CONV_2D': _Builder._conv2d,
    'DEPTHWISE_CONV_2D': _Builder._depthwise,
    'DEQUANTIZE': _Builder._identity,
    'FULLY_CONNECTED': _Builder._fully_connected,
    'MAX_POOL_2D': _Builder._pool,
    'MEAN': _Builder._mean,
    'PAD': _Builder._pad,
    'QUANTIZE': _Builder._identity,
    'RELU': _Builder._relu,
    'RELU6': _Builder._relu,
    'RESHAPE': _Builder._reshape,
    'SOFTMAX': _Builder._softmax,
    'SQUEEZE': _Builder._reshape,
}


def _input_encoding(
    tensor: tflite_graph.Tensor,
) -> float_ends.InputEncoding | None:
  if len(tensor.shape) != 4:
    raise ValueError(
        f"input '{tensor.name}': expected [1, height, width, channels], "
        f'received {list(tensor.shape)}'
    )
  if tensor.dtype is np.float32:
    return None
  if tensor.dtype not in (np.uint8, np.int8) or tensor.scales is None:
    raise ValueError(
        f"input '{tensor.name}': expected quantized UINT8 or INT8, or FLOAT32, "
        f'received {tensor.type_name}'
    )
  offset = int(tensor.zero_points[0])
  if tensor.dtype is np.int8:
    offset += _INT8_OFFSET
  return float_ends.InputEncoding(float(tensor.scales[0]), float(offset))
