"""Keras model -> FloatNetwork. After this nobody looks at Keras topology again.

BatchNorm is folded into the layer before it, an activation function becomes a
property of the tensor it yields, 'same' padding and ZeroPadding2D become the
explicit padding of the layer that reads the tensor, dropout disappears, and a
final softmax is left out, because integer networks end at the logits.

Names follow the Keras layers: layer 'conv_1' writes the activation 'conv_1'
and reads the weight 'conv_1/weight'.
"""

from __future__ import annotations

from collections.abc import Callable

from absl import logging
import tf_keras as keras

from tfmpq import float_network
from tfmpq import graph_draft
from tfmpq import keras_layers
from tfmpq import specs

_layers = keras.layers
_Value = graph_draft.Value


def fold(model: keras.Model) -> float_network.FloatNetwork:
  """Returns the network of a Sequential or functional model.

  `FloatNetwork` computes what `model.predict` computes, up to float32
  rounding, except for a final softmax, which is left out.

  Args:
    model: a built model with one input `[N, H, W, C]` or `[N, C]` and one
      output.

  Raises:
    ValueError: something in the model is not supported; the message names the
      layer, its class, and what is supported.
  """
  return _Folder(model).fold()


class _Folder:
  """Walks a model once, from its input to its output."""

  def __init__(self, model: keras.Model):
    self._model = model
    self._draft = graph_draft.GraphDraft(model.name)
    self._values: dict[str, _Value] = {}  # Keras layer name -> its output

  def fold(self) -> float_network.FloatNetwork:
    """Returns the folded network."""
    sources, output = keras_layers.topology(self._model)
    if isinstance(self._model, keras.Sequential):
      self._add_input(self._model.input_names[0], self._model.input_shape)
    for layer in self._model.layers:
      if isinstance(layer, _layers.InputLayer):
        self._add_input(layer.name, layer.input_shape[0])
        continue
      handler = _HANDLERS.get(type(layer))
      if handler is None:
        raise keras_layers.unsupported(
            layer, f'supported layers: {_supported_names()}'
        )
      if len(sources[layer.name]) != (2 if handler is _Folder._add else 1):
        raise keras_layers.unsupported(
            layer,
            'supported: two inputs for Add, one for every other layer, received'
            f' {sources[layer.name]}',
        )
      inputs = tuple(self._values[name] for name in sources[layer.name])
      if any(value.is_probability for value in inputs):
        raise keras_layers.unsupported(
            layer, 'a softmax can only be the last layer'
        )
      self._values[layer.name] = handler(self, layer, *inputs)
    value = self._values[output]
    if any(value.padding) or value.flattened:
      raise ValueError(
          f"layer '{output}' only pads or flattens and cannot be the last "
          'layer; end the model at the layer before it'
      )
    return self._draft.build(value)

  def _add_input(self, name: str, batch_shape: tuple[int | None, ...]):
    shape = batch_shape[1:]
    if len(shape) not in (1, 3) or None in shape:
      raise ValueError(
          f"input '{name}': expected a fixed shape (height, width, channels) "
          f'or (channels,), received {shape}; build the model with an '
          'input_shape'
      )
    height, width, channels = shape if len(shape) == 3 else (1, 1, *shape)
    self._values[name] = self._draft.add_input(name, (height, width, channels))

  # One method per kind of Keras layer, each: (layer, *inputs) -> output.

  def _conv2d(self, layer, value: _Value) -> _Value:
    kernel = layer.get_weights()[0]  # [kH, kW, C_in, C_out]
    if layer.groups != 1:
      raise keras_layers.unsupported(
          layer, f'groups must be 1, received {layer.groups}'
      )
    value = self._weighted(
        layer,
        value,
        specs.Op.CONV_2D,
        kernel.transpose(3, 0, 1, 2),
        keras_layers.bias(layer),
        keras_layers.geometry(layer, layer.kernel_size, layer.strides, value),
    )
    return self._activate(layer, layer.activation, value)

  def _depthwise(self, layer, value: _Value) -> _Value:
    value = self._weighted(
        layer,
        value,
        specs.Op.DEPTHWISE_CONV_2D,
        keras_layers.depthwise_weight(layer),
        keras_layers.bias(layer),
        keras_layers.geometry(layer, layer.kernel_size, layer.strides, value),
    )
    return self._activate(layer, layer.activation, value)

  def _separable(self, layer, value: _Value) -> _Value:
    """Splits SeparableConv2D; nothing lies between its two halves."""
    pointwise = layer.get_weights()[1]  # [1, 1, C_in, C_out]
    value = self._weighted(
        layer,
        value,
        specs.Op.DEPTHWISE_CONV_2D,
        keras_layers.depthwise_weight(layer),
        None,
        keras_layers.geometry(layer, layer.kernel_size, layer.strides, value),
        name=f'{layer.name}_depthwise',
    )
    value = self._weighted(
        layer,
        value,
        specs.Op.CONV_2D,
        pointwise.transpose(3, 0, 1, 2),
        keras_layers.bias(layer),
        {},
        name=f'{layer.name}_pointwise',
    )
    return self._activate(layer, layer.activation, value)

  def _dense(self, layer, value: _Value) -> _Value:
    """A dense layer is a conv2d where its input has more than one pixel."""
    kernel = layer.get_weights()[0].T  # [C_out, inputs]
    height, width, channels = value.tensor.shape
    op, kernel_size = specs.Op.CONV_2D, (1, 1)
    if value.flattened:
      kernel_size = (height, width)
      kernel = kernel.reshape(-1, height, width, channels)
      value = graph_draft.Value(value.tensor, value.version)
    elif height * width == 1:
      op = specs.Op.FULLY_CONNECTED
    else:
      kernel = kernel.reshape(-1, 1, 1, channels)
    geometry = {'kernel_size': kernel_size}
    value = self._weighted(
        layer, value, op, kernel, keras_layers.bias(layer), geometry
    )
    return self._activate(layer, layer.activation, value)

  def _weighted(
      self, layer, value, op, weight, bias, geometry, name=None
  ) -> _Value:
    """Adds a layer with weights; `geometry` includes the value's padding."""
    if value.flattened or (any(value.padding) and 'padding' not in geometry):
      raise keras_layers.unsupported(
          layer, 'its input was flattened or padded before it'
      )
    depthwise = op is specs.Op.DEPTHWISE_CONV_2D
    return self._draft.add_layer(
        name or layer.name,
        op,
        (value,),
        channels=weight.shape[2] if depthwise else weight.shape[0],
        weight=weight,
        bias=bias,
        **geometry,
    )

  def _batch_norm(self, layer, value: _Value) -> _Value:
    producer = value.tensor.producer
    rank = len(layer.input_shape)
    if list(layer.axis) not in ([rank - 1], [-1]):
      raise keras_layers.unsupported(
          layer, f'axis must be the last, received {layer.axis}'
      )
    if not value.plain or producer is None or producer.weight is None:
      raise keras_layers.unsupported(
          layer,
          'BatchNorm must follow a convolution or dense layer directly, '
          'without activation, add, pooling or padding between them',
      )
    if not value.tensor.signed:
      raise keras_layers.unsupported(
          layer, 'BatchNorm after an activation function cannot be folded'
      )
    factor, shift = keras_layers.batch_norm_constants(layer)
    return self._draft.scale_and_shift(value, layer.name, factor, shift)

  def _relu(self, layer, value: _Value) -> _Value:
    if layer.negative_slope or layer.threshold:
      raise keras_layers.unsupported(
          layer, 'supported: negative_slope=0, threshold=0, any max_value'
      )
    ceiling = None if layer.max_value is None else float(layer.max_value)
    return self._rectify(layer, ceiling, value)

  def _activation(self, layer, value: _Value) -> _Value:
    return self._activate(layer, layer.activation, value)

  def _softmax(self, layer, value: _Value) -> _Value:
    return self._activate(layer, keras.activations.softmax, value)

  def _activate(self, layer, function, value: _Value) -> _Value:
    """Applies an activation function by its name."""
    name = getattr(function, '__name__', type(function).__name__)
    if name == 'linear':
      return value
    if name == 'relu':
      return self._rectify(layer, None, value)
    if name == 'relu6':
      return self._rectify(layer, 6.0, value)
    if name != 'softmax':
      raise keras_layers.unsupported(
          layer,
          f"activation '{name}'; supported: linear, relu, relu6, and softmax "
          'as the last layer',
      )
    logging.info(
        "layer '%s': softmax left out, the integer network ends at the logits",
        layer.name,
    )
    return graph_draft.Value(value.tensor, value.version, is_probability=True)

  def _rectify(self, layer, ceiling: float | None, value: _Value) -> _Value:
    """Makes the tensor unsigned, with an upper bound where there is one."""
    tensor = value.tensor
    if not tensor.signed and (
        ceiling is None
        or (tensor.ceiling is not None and ceiling >= tensor.ceiling)
    ):
      return value  # It changes nothing.
    if not value.plain or tensor.producer is None:
      raise keras_layers.unsupported(
          layer, 'an activation function must follow a layer that computes'
      )
    if tensor.producer.op is specs.Op.MAX_POOL_2D:
      # max(relu(x)) = relu(max(x)), and the two tensors share their codes.
      below = tensor.producer.inputs[0]
      if below.readers != [tensor.producer.name]:
        raise keras_layers.unsupported(layer, f"put it before '{tensor.name}'")
      below.readers.clear()
      inner = graph_draft.Value(below, below.version)
      inner = self._rectify(layer, ceiling, inner)
      self._draft.read(inner, tensor.producer.name)
    tensor = self._draft.changeable(value, layer.name)
    tensor.signed, tensor.ceiling = False, ceiling
    return self._draft.changed(tensor)

  def _zero_padding(self, layer, value: _Value) -> _Value:
    if value.flattened:
      raise keras_layers.unsupported(layer, 'its input was flattened')
    (top, bottom), (left, right) = layer.padding
    added = (top, left, bottom, right)
    padding = tuple(a + b for a, b in zip(value.padding, added, strict=True))
    return graph_draft.Value(value.tensor, value.version, padding)

  def _add(self, layer, first: _Value, second: _Value) -> _Value:
    if not (first.plain and second.plain):
      raise keras_layers.unsupported(
          layer, 'its inputs must not be padded or flattened'
      )
    shapes = (first.tensor.shape, second.tensor.shape)
    if shapes[0] != shapes[1]:
      raise keras_layers.unsupported(
          layer, f'inputs of one shape, received {shapes}'
      )
    return self._draft.add_layer(layer.name, specs.Op.ADD, (first, second))

  def _pool(self, layer, value: _Value) -> _Value:
    is_max = isinstance(layer, _layers.MaxPooling2D)
    # A window over zeros around a tensor that is never negative has the
    # maximum of the window without them.
    if value.flattened or (
        any(value.padding) and (not is_max or value.tensor.signed)
    ):
      raise keras_layers.unsupported(
          layer,
          "use padding='same', which ignores what lies outside, instead of "
          'zeros around its input',
      )
    return self._draft.add_layer(
        layer.name,
        specs.Op.MAX_POOL_2D if is_max else specs.Op.AVERAGE_POOL_2D,
        (value,),
        **keras_layers.geometry(layer, layer.pool_size, layer.strides, value),
    )

  def _global_pool(self, layer, value: _Value) -> _Value:
    if not value.plain:
      raise keras_layers.unsupported(
          layer, 'its input must not be padded or flattened'
      )
    is_max = isinstance(layer, _layers.GlobalMaxPooling2D)
    return self._draft.add_layer(
        layer.name,
        specs.Op.MAX_POOL_2D if is_max else specs.Op.AVERAGE_POOL_2D,
        (value,),
        kernel_size=value.tensor.shape[:2],
    )

  def _reshape(self, layer, value: _Value) -> _Value:
    """Flatten and Reshape: only the two that move no value."""
    height, width, channels = value.tensor.shape
    shape = tuple(d for d in layer.output_shape[1:] if d != 1)
    if any(value.padding):
      raise keras_layers.unsupported(
          layer, 'its input was padded; put the padding after'
      )
    if height * width == 1 and shape in ((channels,), ()):
      return value
    if layer.output_shape[1:] == value.tensor.shape and not value.flattened:
      return value
    if shape == (height * width * channels,):
      return graph_draft.Value(value.tensor, value.version, flattened=True)
    raise keras_layers.unsupported(
        layer,
        f'reshaping {value.tensor.shape} to {layer.output_shape[1:]}; '
        'supported: to a vector before a dense layer, and (1, 1, C) to (C,) '
        'and back',
    )

  def _identity(self, unused_layer, value: _Value) -> _Value:
    return value


_HANDLERS: dict[type, Callable[..., _Value]] = {
    _layers.Conv2D: _Folder._conv2d,
    _layers.DepthwiseConv2D: _Folder._depthwise,
    _layers.SeparableConv2D: _Folder._separable,
    _layers.Dense: _Folder._dense,
    _layers.BatchNormalization: _Folder._batch_norm,
    _layers.ReLU: _Folder._relu,
    _layers.Activation: _Folder._activation,
    _layers.Softmax: _Folder._softmax,
    _layers.ZeroPadding2D: _Folder._zero_padding,
    _layers.Add: _Folder._add,
    _layers.AveragePooling2D: _Folder._pool,
    _layers.MaxPooling2D: _Folder._pool,
    _layers.GlobalAveragePooling2D: _Folder._global_pool,
    _layers.GlobalMaxPooling2D: _Folder._global_pool,
    _layers.Flatten: _Folder._reshape,
    _layers.Reshape: _Folder._reshape,
    _layers.Dropout: _Folder._identity,
    _layers.SpatialDropout2D: _Folder._identity,
}


def _supported_names() -> str:
  return ', '.join(sorted(kind.__name__ for kind in _HANDLERS))
