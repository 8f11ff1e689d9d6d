"""QuantizedNetwork -> .tflite with builtin ops only, for a stock TFLM.

TFLM's own kernels take int8 activations, and weights of 8 bits or of 4 bits
(INT4, two to a byte over the whole tensor), symmetric, one scale per output
channel. What else the contract allows is refused here, all of it in one
message. 4-bit weights of depthwise convolutions are written as INT8: of
MobileNetV1 0.25 at 96x96 that costs 5,584 of 144,864 bytes, saves 7.3 of 41.8 M
instructions on a Cortex-M4, and on a Cortex-M55 it is the one that computes
right, because GCC 12.2 miscompiles the predicates in CMSIS-NN's kernel for
INT4. What stands for what:

    conv2d, fully_connected   CONV_2D (its FULLY_CONNECTED refuses INT4 weights
                              with scales per channel; a 1x1 CONV_2D is the
                              same kernel and one op less to link)
    depthwise_conv2d          DEPTHWISE_CONV_2D
    add                       ADD
    max_pool                  MAX_POOL_2D
    average_pool              MEAN over the whole image; else, without padding,
                              DEPTHWISE_CONV_2D with weights of one code, for
                              AVERAGE_POOL_2D cannot rescale; that one where
                              output and input share their parameters

Padding that is neither SAME nor VALID becomes a PAD of its own. Which ops there
are follows from the NetworkSpec alone, so that `flash_bytes` needs no weights.

The builtin kernels round differently from the contract, see
`tflite_builtin_reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools

import numpy as np

from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import tflite_builtin_shapes
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflite_writer

WEIGHT_BITS = (4, 8)
ACTIVATION_BITS = 8
_INT4_OPS = (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED)
_ONES_CODE = 1  # of the weights of a depthwise convolution that averages
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_ADD_LEFT_SHIFT = 20  # of the inputs of ADD before they are scaled
_IMAGE_AXES = (1, 2)  # height and width of [N, H, W, C]


def write(network: quantized_network.QuantizedNetwork) -> bytes:
  """Returns the content of the .tflite; equal networks give equal bytes.

  Args:
    network: 8-bit activations; weights of 8 bits, or of 4 bits and symmetric.

  Raises:
    ValueError: builtin ops cannot compute the network; the message lists every
      tensor and layer in the way, and what to do.
  """
  tensors = _unsupported_widths(network.spec, network.policy)
  if tensors:
    raise ValueError(
        '--tflite_ops=builtin needs activations of 8 bits and weights of 8 or '
        f'4 bits, received {"; ".join(tensors)}. Search with '
        '--search_tensors=weights --search_bits=4,8, or export with '
        '--tflite_ops=custom'
    )
  layers = _asymmetric_layers(network)
  if layers:
    raise ValueError(
        '--tflite_ops=builtin needs symmetric 4-bit weights, but codes of the '
        f'layers {layers} lie outside zero point -8..+7. Train them with '
        '--weight_zero_points=shared, or export with --tflite_ops=custom'
    )
  return tflite_layout.serialize(_Builder(network).model())


def runs(spec: specs.NetworkSpec, policy: specs.QuantizationPolicy) -> bool:
  """Whether builtin ops have kernels for all widths of a policy."""
  return not _unsupported_widths(spec, policy)


def flash_bytes(
    spec: specs.NetworkSpec, policy: specs.QuantizationPolicy
) -> int:
  """Returns the size of the .tflite of any network with that spec and policy.

  Widths without a builtin kernel count as the next one that has one: a memory
  model asks for the smallest widths, whether or not a search may choose them.
  """
  policy.check(spec)
  return tflite_layout.file_bytes(
      _fixed_bytes(spec) + _weights_bytes(spec, policy)
  )


@functools.lru_cache(maxsize=4)
def _fixed_bytes(spec: specs.NetworkSpec) -> int:
  """Returns the body of the file without the weights."""
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8)
  network = tflite_writer.zero_network(
      spec, policy, per_channel_zero_points=False, multiplier=1
  )
  body = tflite_layout.body_bytes(_Builder(network).model())
  return body - _weights_bytes(spec, policy)


def _weights_bytes(
    spec: specs.NetworkSpec, policy: specs.QuantizationPolicy
) -> int:
  """Returns what all weights take in the file."""
  bits, total = policy.as_dict(), 0
  for layer in spec.layers:
    if layer.weight is not None:
      num_elements = spec.tensor(layer.weight).num_elements
      stored_bits = _stored_bits(layer, bits[layer.weight])
      total += tflite_layout.constant_bytes(-(-num_elements * stored_bits // 8))
  return total


def _stored_bits(layer: specs.LayerSpec, bits: int) -> int:
  """Returns the width of a weight in the file: 4 (INT4) or 8."""
  return 4 if bits <= 4 and layer.op in _INT4_OPS else 8


def _unsupported_widths(
    spec: specs.NetworkSpec, policy: specs.QuantizationPolicy
) -> list[str]:
  """Returns the tensors whose width no builtin kernel takes, in words."""
  bits = policy.as_dict()
  return [
      f"{tensor.kind.value} '{tensor.name}' {bits[tensor.name]} bits"
      for tensor in spec.policy_tensors
      if bits[tensor.name]
      not in (
          WEIGHT_BITS
          if tensor.kind is specs.TensorKind.WEIGHT
          else (ACTIVATION_BITS,)
      )
  ]


def _asymmetric_layers(
    network: quantized_network.QuantizedNetwork,
) -> list[str]:
  """Returns the layers with a 4-bit weight that is no int4 once centred."""
  return [
      layer.name
      for layer in network.spec.layers
      if layer.weight is not None
      and network.policy.bits(network.spec, layer.weight) == 4
      and not (
          -8 <= _centred_rows(network, layer).min()
          and _centred_rows(network, layer).max() <= 7
      )
  ]


def _centred_rows(
    network: quantized_network.QuantizedNetwork, layer: specs.LayerSpec
) -> np.ndarray:
  """Returns int64 [C_out, taps] of `code - zero point`."""
  constants = network.constants[layer.name]
  channels = network.spec.tensor(layer.output).shape[2]
  rows = quantized_network.channel_major(constants.weight_codes, channels)
  return rows.astype(np.int64) - constants.weight_zero_points[:, np.newaxis]


class _Builder:
  """Collects tensors and operators, layer by layer.

  Activations come first, in the order in which they are written, then
  constants: those whose size does not depend on the policy before the weights,
  as `flash_bytes` needs it.
  """

  def __init__(self, network: quantized_network.QuantizedNetwork):
    self._network = network
    self._spec = network.spec
    self._activations: list[tflite_file.Tensor] = []
    self._index: dict[str, int] = {}  # activation name -> tensor index
    self._constants: list[tflite_file.Tensor] = []
    self._weights: list[tflite_file.Tensor] = []
    # Inputs are indices of activations, or constants, which have none yet.
    self._operators: list[
        tuple[str, list[int | tflite_file.Tensor], int, Mapping[str, int]]
    ] = []

  def model(self) -> tflite_file.Model:
    """Returns the content of the file."""
    self._add_activation(self._spec.input)
    for layer in self._spec.layers:
      try:
        self._add_layer(layer)
      except ValueError as e:
        raise ValueError(f"layer '{layer.name}' ({layer.op.value}): {e}") from e
    tensors = [*self._activations, *self._constants, *self._weights]
    position = {id(tensor): i for i, tensor in enumerate(tensors)}
    operators = [
        tflite_file.Operator(
            custom_code='',
            inputs=tuple(
                i if isinstance(i, int) else position[id(i)] for i in inputs
            ),
            outputs=(output,),
            builtin=name,
            fields=fields,
        )
        for name, inputs, output, fields in self._operators
    ]
    return tflite_file.Model(
        name=self._spec.name,
        tensors=tuple(tensors),
        operators=tuple(operators),
        inputs=(self._index[self._spec.input],),
        outputs=(self._index[self._spec.output],),
        metadata={},
    )

  def _add_activation(
      self, name: str, shape: tuple[int, int, int] | None = None
  ) -> int:
    """Adds an activation, or its padded copy of another shape, unnamed."""
    params = self._network.params[name]
    height, width, channels = shape or self._spec.tensor(name).shape
    self._activations.append(
        tflite_file.Tensor(
            shape=(1, height, width, channels),
            dtype='int8',
            name='' if shape else name,
            quantization=tflite_file.Quantization(
                _float32(params.scale), params.zero_point
            ),
        )
    )
    index = len(self._activations) - 1
    if not shape:
      self._index[name] = index
    return index

  def _add_constant(self, values: np.ndarray) -> tflite_file.Tensor:
    """Adds an int32 constant whose size the policy does not change."""
    tensor = tflite_file.Tensor(
        shape=values.shape, dtype='int32', data=values.astype('<i4').tobytes()
    )
    self._constants.append(tensor)
    return tensor

  def _add_layer(self, layer: specs.LayerSpec) -> None:
    inputs: list[int | tflite_file.Tensor] = [
        self._index[name] for name in layer.inputs
    ]
    kind = tflite_builtin_shapes.builtin_name(self._spec, layer)
    fields: dict[str, int] = {}
    if kind == 'ADD':
      self._check_add(layer)
    elif kind == 'MEAN':
      inputs.append(self._add_constant(np.array(_IMAGE_AXES)))
      fields = {'KeepDims': 1}
    else:
      window = tflite_builtin_shapes.window(self._spec, layer)
      if any(window.padded):
        inputs = [self._add_pad(layer, window)]
      s_h, s_w = layer.stride
      fields = {'Padding': window.mode, 'StrideW': s_w, 'StrideH': s_h}
    if kind in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
      inputs += self._weight_and_bias(layer)
      if kind == 'DEPTHWISE_CONV_2D':
        fields['DepthMultiplier'] = 1
    elif kind in ('AVERAGE_POOL_2D', 'MAX_POOL_2D'):
      k_h, k_w = layer.kernel_size
      fields |= {'FilterWidth': k_w, 'FilterHeight': k_h}
      self._check_same_params(layer)
    output = self._add_activation(layer.output)
    self._operators.append((kind, inputs, output, fields))

  def _add_pad(
      self, layer: specs.LayerSpec, window: tflite_builtin_shapes.Window
  ) -> int:
    """Pads the input of a layer; returns the padded activation."""
    (source,) = layer.inputs
    params = self._network.params[source]
    if layer.op is specs.Op.MAX_POOL_2D and params.zero_point != -128:
      raise ValueError(
          f'padding {layer.padding} of a signed input: PAD fills in zeros, '
          'which could be a maximum. Use padding as TensorFlow calls it: same '
          'or valid'
      )
    top, left, bottom, right = window.padded
    amounts = self._add_constant(
        np.array([[0, 0], [top, bottom], [left, right], [0, 0]])
    )
    height, width, channels = self._spec.tensor(source).shape
    padded = self._add_activation(
        source, (height + top + bottom, width + left + right, channels)
    )
    self._operators.append(('PAD', [self._index[source], amounts], padded, {}))
    return padded

  def _check_add(self, layer: specs.LayerSpec) -> None:
    """Raises ValueError where ADD has no multiplier below 1."""
    largest = max(self._network.params[name].scale for name in layer.inputs)
    output = self._network.params[layer.output].scale
    if 2 * largest >= output * 2**_ADD_LEFT_SHIFT:
      raise ValueError(
          f'an input scale of {largest} is too large for an output scale of '
          f'{output}'
      )

  def _check_same_params(self, layer: specs.LayerSpec) -> None:
    params = self._network.params
    before, after = params[layer.inputs[0]], params[layer.output]
    if layer.op is specs.Op.AVERAGE_POOL_2D and before != after:
      raise ValueError(
          f'padding {layer.padding}: AVERAGE_POOL_2D cannot rescale from '
          f'{before} to {after}, and no other builtin op leaves padding out of '
          'an average. Use an average pool without padding'
      )

  def _weight_and_bias(
      self, layer: specs.LayerSpec
  ) -> list[tflite_file.Tensor]:
    """Adds weight and bias; returns both."""
    network = self._network
    channels = self._spec.tensor(layer.output).shape[2]
    source = network.params[layer.inputs[0]]
    output = network.params[layer.output]
    constants = network.constants[layer.name]
    shape: tuple[int, ...]
    if layer.weight is None:  # an average pool
      k_h, k_w = layer.kernel_size
      rows = np.full((channels, k_h * k_w), _ONES_CODE)
      bias = np.zeros(channels, np.int64)
      bits, shape = 8, (k_h, k_w, channels)
    else:
      rows = _centred_rows(network, layer)
      bias = constants.bias + source.zero_point * rows.sum(axis=1)
      bits = _stored_bits(layer, network.policy.bits(self._spec, layer.weight))
      shape = self._spec.tensor(layer.weight).shape
    if np.abs(bias).max() >= 2**31:
      raise ValueError(f'a bias of {np.abs(bias).max()} steps is no int32')
    ratios = _rescaling_ratios(constants, channels)
    # A channel whose multiplier is 0 keeps it: so small a scale becomes 0.
    scales = tuple(
        _float32(ratio * output.scale / source.scale or _SMALLEST_SCALE)
        for ratio in ratios
    )
    dims, axis = _weight_dims(shape)
    weight = tflite_file.Tensor(
        shape=dims,
        dtype='int8' if bits == 8 else 'int4',
        data=_weight_data(quantized_network.weight_shaped(rows, shape), bits),
        quantization=tflite_file.Quantization(
            scales[0], 0, scales if channels > 1 else (), axis
        ),
    )
    self._weights.append(weight)
    return [weight, self._add_constant(bias)]


def _rescaling_ratios(constants, channels: int) -> np.ndarray:
  """Returns float64 [C_out]: real value of one accumulator step over s_out."""
  rescale: quantization.Rescale = constants.rescale
  exponent = rescale.pre_shift - 32 - rescale.shift
  ratios = constants.multipliers.astype(np.float64) * 2.0**exponent
  return np.broadcast_to(ratios, (channels,))


def _weight_dims(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
  """Returns the shape of a weight in the file, and its axis of channels."""
  if len(shape) == 3:  # depthwise [kH, kW, C]
    return (1, *shape), 3
  if len(shape) == 2:  # fully connected [C_out, C_in]
    return (shape[0], 1, 1, shape[1]), 0
  return shape, 0


def _weight_data(codes: np.ndarray, bits: int) -> bytes:
  """Returns int8, or int4 two to a byte over the whole tensor."""
  flat = codes.reshape(-1)
  if bits == 8:
    return flat.astype(np.int8).tobytes()
  nibbles = np.append(flat, [0] * (flat.size % 2)).astype(np.uint8) & 15
  return (nibbles[0::2] | nibbles[1::2] << 4).tobytes()


def _float32(value: float) -> float:
  """Returns the nearest float32; ValueError if that is no normal number."""
  limits = np.finfo(np.float32)
  if not limits.tiny <= value <= limits.max:
    raise ValueError(f'scale {value} is no normal float32')
  return float(np.float32(value))
