""".tflite -> QuantizedNetwork: opens what `tflite_writer` wrote, alone.

Integers come back exactly, so `reference_ops.run` gives the same logits as
the network that was written; scales come back rounded to float32. Three things
are not in the file, because nothing at run time needs them:

- whether a width was fixed for the search: only input and output come back as
  fixed (at 8 bits);
- which tensors were declared signed: one whose zero point is the lowest code
  comes back as unsigned, any other as signed, which is the contract's rule;
- whether zero points per channel were allowed, if all weights have 8 bits: then
  they come back as allowed.

Everything that a file says is checked; errors name the operator and the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses

import numpy as np

from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_options
from tfmpq import weight_layouts


def read(data: bytes) -> quantized_network.QuantizedNetwork:
  """Returns the network in a .tflite.

  Args:
    data: content of the file.

  Raises:
    ValueError: it is no .tflite, or not one with the ops of this project; the
      message says what was expected where.
  """
  model = tflite_file.parse(data)
  for what, indices in (('input', model.inputs), ('output', model.outputs)):
    if len(indices) != 1:
      raise ValueError(f'expected one network {what}, received {len(indices)}')
  return _Reader(model).network()


@dataclasses.dataclass(frozen=True)
class _Activation:
  """What the operators say about an activation.

  Attributes:
    channels: channels before packing.
    bits: width of a code.
    zero_point: code of the real value 0.
    bits_of: name of the activation whose parameters it shares, or None.
  """

  channels: int
  bits: int
  zero_point: int
  bits_of: str | None = None


class _Reader:
  """Collects tensors and layers, operator by operator."""

  def __init__(self, model: tflite_file.Model):
    self._model = model
    self._activations: dict[int, _Activation] = {}  # by tensor index
    self._tensors: list[specs.TensorSpec] = []
    self._layers: list[specs.LayerSpec] = []
    self._weight_bits: dict[str, int] = {}
    self._constants: dict[str, quantized_network.LayerConstants] = {}
    self._zero_points_stored_once: dict[str, bool] = {}  # sub-byte weights

  def network(self) -> quantized_network.QuantizedNetwork:
    """Returns the network of the whole file."""
    self._read_input()
    for i, operator in enumerate(self._model.operators):
      with _where(f"operator {i} ('{operator.custom_code}')"):
        self._read_operator(operator)
    (output,) = self._model.outputs
    if output not in self._activations:
      raise ValueError(
          f'no operator writes the network output, tensor {output}'
      )
    spec = specs.NetworkSpec(
        name=self._model.name,
        tensors=tuple(self._with_fixed_ends()),
        layers=tuple(self._layers),
        input=self._name(self._model.inputs[0]),
        output=self._name(output),
    )
    bits = {self._name(i): a.bits for i, a in self._activations.items()}
    bits |= self._weight_bits
    once = set(self._zero_points_stored_once.values())
    if len(once) > 1:
      raise ValueError(
          "option 'z_w' must be there for all weights of 4 and 2 bits or for "
          f'none, received {self._zero_points_stored_once}'
      )
    return quantized_network.QuantizedNetwork(
        spec=spec,
        policy=specs.QuantizationPolicy.of(
            {t.name: bits[t.name] for t in spec.policy_tensors}
        ),
        params=self._params(),
        constants=self._constants,
        per_channel_zero_points=True not in once,
    )

  def _tensor(self, index: int) -> tflite_file.Tensor:
    if not 0 <= index < len(self._model.tensors):
      raise ValueError(
          f'tensor {index} does not exist, there are {len(self._model.tensors)}'
      )
    return self._model.tensors[index]

  def _name(self, index: int) -> str:
    return self._tensor(index).name or f'tensor_{index}'

  def _read_input(self) -> None:
    (index,) = self._model.inputs
    with _where(f'network input, tensor {index}'):
      tensor = self._tensor(index)
      if tensor.quantization is None:
        raise ValueError('it needs a scale and a zero point')
      self._add_activation(
          index,
          _Activation(
              channels=tensor.shape[-1] if tensor.shape else 0,
              bits=8,
              zero_point=tensor.quantization.zero_point,
          ),
      )

  def _add_activation(self, index: int, activation: _Activation) -> None:
    """Notes an activation when it is written."""
    name, tensor = self._name(index), self._tensor(index)
    if index in self._activations:
      raise ValueError(f"'{name}' is written a second time")
    lowest, highest = packing.code_range(activation.bits)
    if not lowest <= activation.zero_point <= highest:
      raise ValueError(
          f"'{name}': zero point {activation.zero_point} is outside "
          f'[{lowest}, {highest}], the codes of {activation.bits} bits'
      )
    last = packing.packed_bytes(activation.channels, activation.bits)
    if (
        len(tensor.shape) != 4
        or (tensor.shape[0], tensor.shape[3]) != (1, last)
        or tensor.dtype != 'int8'
        or tensor.data is not None
    ):
      raise ValueError(
          f"'{name}': expected an int8 activation [1, height, width, {last}] "
          f'({activation.channels} channels of {activation.bits} bits), '
          f'received {tensor.dtype}{list(tensor.shape)}'
      )
    field = tensor.quantization
    if field is not None and field.zero_point != activation.zero_point:
      raise ValueError(
          f"'{name}': its zero point is {field.zero_point}, option 'z_out' "
          f'says {activation.zero_point}'
      )
    self._activations[index] = activation
    self._tensors.append(
        specs.TensorSpec(
            name=name,
            kind=specs.TensorKind.ACTIVATION,
            shape=(tensor.shape[1], tensor.shape[2], activation.channels),
            signed=activation.zero_point != lowest,
            bits_of=activation.bits_of,
        )
    )

  def _read_operator(self, operator: tflite_file.Operator) -> None:
    op = tflite_options.op_of(operator.custom_code or operator.builtin)
    options = tflite_options.decode(op, operator.options)
    for key in ('a_bits', 'b_bits', 'w_bits', 'o_bits'):
      if key in options:
        specs.check_bits(options[key], f"option '{key}'")
    num_activations = 2 if op is specs.Op.ADD else 1
    num_constants = {specs.Op.MAX_POOL_2D: 0}.get(op, 1)
    num_constants += op in specs.WEIGHTED_OPS
    if (len(operator.inputs), len(operator.outputs)) != (
        num_activations + num_constants,
        1,
    ):
      raise ValueError(
          f'expected {num_activations + num_constants} inputs and one output, '
          f'received {len(operator.inputs)} and {len(operator.outputs)}'
      )
    inputs = operator.inputs[:num_activations]
    constants = operator.inputs[num_activations:]
    self._check_input(inputs[0], options, 'a_bits', 'z_in')
    if num_activations == 2:
      self._check_input(inputs[1], options, 'b_bits', 'z_b')
    (output,) = operator.outputs
    layer = self._layer_spec(op, options, inputs, output, constants)
    with _where(f"layer '{layer.name}'"):
      weight = self._read_weight(layer, options, inputs[0], constants)
      self._add_activation(
          output, self._output_activation(layer, options, inputs[0])
      )
      self._layers.append(layer)
      self._constants[layer.name] = self._read_constants(
          layer, options, weight, constants
      )

  def _check_input(self, index: int, options, bits_key, zero_point_key) -> None:
    """Raises ValueError unless options say what the tensor's writer said."""
    if index not in self._activations:
      raise ValueError(f'no earlier operator writes its input, tensor {index}')
    activation = self._activations[index]
    known = {
        bits_key: activation.bits,
        zero_point_key: activation.zero_point,
        'c_in': activation.channels,
    }
    for key, expected in known.items():
      if options.get(key, expected) != expected:
        raise ValueError(
            f"option '{key}' is {options[key]}, but '{self._name(index)}' has "
            f'{expected}'
        )

  def _output_activation(self, layer, options, source: int) -> _Activation:
    if layer.op is specs.Op.MAX_POOL_2D:
      return dataclasses.replace(
          self._activations[source], bits_of=layer.inputs[0]
      )
    return _Activation(
        channels=options.get('c_out', options['c_in']),
        bits=options['o_bits'],
        zero_point=options['z_out'],
    )

  def _layer_spec(
      self, op: specs.Op, options, inputs, output, constants
  ) -> specs.LayerSpec:
    """Returns the layer; names that are not stored follow from the output's."""
    output_name = self._name(output)
    name, weight = output_name, None
    if constants:
      name = self._tensor(constants[-1]).name or output_name
    if op in specs.WEIGHTED_OPS:
      weight = self._tensor(constants[0]).name or f'{name}/weight'
    return specs.LayerSpec(
        name=name,
        op=op,
        inputs=tuple(self._name(i) for i in inputs),
        output=output_name,
        weight=weight,
        kernel_size=(options.get('k_h', 1), options.get('k_w', 1)),
        stride=(options.get('s_h', 1), options.get('s_w', 1)),
        padding=tuple(
            options.get(key, 0) for key in ('p_t', 'p_l', 'p_b', 'p_r')
        ),
    )

  def _read_weight(
      self, layer: specs.LayerSpec, options, source: int, constants
  ) -> np.ndarray | None:
    """Notes the weight and returns its codes, None for ops without one."""
    if layer.weight is None:
      return None
    layout = options['layout']
    if not weight_layouts.layout_exists(layer.op, layout):
      raise ValueError(
          f"option 'layout': {layer.op.value} has no weight layout {layout}"
      )
    channels, bits = self._activations[source].channels, options['w_bits']
    shape = {
        specs.Op.CONV_2D: (options.get('c_out'), *layer.kernel_size, channels),
        specs.Op.DEPTHWISE_CONV_2D: (*layer.kernel_size, channels),
        specs.Op.FULLY_CONNECTED: (options.get('c_out'), channels),
    }[layer.op]
    if min(shape) < 1:
      raise ValueError(f"option 'c_out' must be positive, received {shape[0]}")
    spec = specs.TensorSpec(layer.weight, specs.TensorKind.WEIGHT, shape)
    input_bits = self._activations[source].bits
    num_bytes = weight_layouts.packed_bytes(
        layer.op, shape, bits, layout, input_bits
    )
    rows = tflite_options.weight_shape(layer.op, shape, layout, num_bytes)
    packed = self._constant(constants[0], 'int8', rows).tobytes()
    codes = weight_layouts.unpack(
        layer.op, packed, bits, layout, input_bits, shape
    )
    self._tensors.append(spec)
    self._weight_bits[layer.weight] = bits
    if bits != 8:
      self._zero_points_stored_once[layer.name] = options['z_w'] is not None
    return codes

  def _constant(self, index: int, dtype: str, shape) -> np.ndarray:
    """Returns a constant tensor, which must have that type and shape."""
    tensor = self._tensor(index)
    if (tensor.dtype, tensor.shape) != (dtype, shape) or tensor.data is None:
      raise ValueError(
          f'tensor {index}: expected a constant {dtype}{list(shape)}, received '
          f'{"an activation" if tensor.data is None else "a constant"} '
          f'{tensor.dtype}{list(tensor.shape)}'
      )
    return tflite_file.constant_array(tensor)

  def _read_constants(
      self, layer: specs.LayerSpec, options, codes, constants
  ) -> quantized_network.LayerConstants:
    if layer.op is specs.Op.MAX_POOL_2D:
      return None
    if layer.op is specs.Op.ADD:
      first, second = self._constant(constants[0], 'int32', (2,)).tolist()
      _check_add_shift(options['shift'])
      return quantization.AddRescale((first, second), options['shift'])
    rescale = quantization.Rescale(options['shift'], options['pre_shift'])
    if layer.op is specs.Op.AVERAGE_POOL_2D:
      k_h, k_w = layer.kernel_size
      count = k_h * k_w if any(layer.padding) else 1
      multipliers = self._constant(constants[0], 'int32', (count,))
      return quantized_network.PoolLayer(multipliers, rescale)
    channels = options.get('c_out', options['c_in'])
    bits, zero_point = options['w_bits'], options['z_w']
    stored = bits != 8 and zero_point is None
    size = 2 * channels + (-(-channels // 4) if stored else 0)
    words = self._constant(constants[1], 'int32', (size,))
    pairs = words[: 2 * channels].reshape(channels, 2)
    if stored:
      zero_points = words[2 * channels :].view(np.int8)[:channels].copy()
    else:
      zero_points = np.full(channels, zero_point or 0, np.int64)
    if (zero_points != zero_points.astype(np.int8)).any():
      raise ValueError(f"option 'z_w' is {zero_point}, which is no int8")
    return quantized_network.WeightedLayer(
        weight_codes=codes,
        weight_zero_points=zero_points.astype(np.int8),
        bias=pairs[:, 0].copy(),
        multipliers=pairs[:, 1].copy(),
        rescale=rescale,
    )

  def _with_fixed_ends(self) -> Iterator[specs.TensorSpec]:
    """Yields the tensors, input and output (or whose bits it shares) fixed."""
    by_name = {t.name: t for t in self._tensors}
    output = by_name[self._name(self._model.outputs[0])]
    while output.bits_of is not None:
      output = by_name[output.bits_of]
    ends = (self._name(self._model.inputs[0]), output.name)
    for tensor in self._tensors:
      yield dataclasses.replace(
          tensor, fixed_bits=8 if tensor.name in ends else None
      )

  def _params(self) -> dict[str, quantization.QuantParams]:
    """Returns the parameters of every activation, scales included."""
    scales = self._scales()
    params = {}
    for i, activation in self._activations.items():
      with _where(f"'{self._name(i)}'"):
        params[self._name(i)] = quantization.QuantParams(
            activation.bits, scales[i], activation.zero_point
        )
    return params

  def _scales(self) -> Mapping[int, float]:
    scales, packed = {}, []
    for index in sorted(self._activations):
      field = self._model.tensors[index].quantization
      if field is None:
        packed.append(index)
      else:
        scales[index] = field.scale
    data = self._model.metadata.get(tflite_options.SCALES, b'')
    if len(data) != 4 * len(packed):
      raise ValueError(
          f"metadata '{tflite_options.SCALES}': expected {len(packed)} float32 "
          f'in {4 * len(packed)} bytes, received {len(data)} bytes'
      )
    values = np.frombuffer(data, '<f4').tolist()
    return scales | dict(zip(packed, values, strict=True))


@contextlib.contextmanager
def _where(place: str) -> Iterator[None]:
  """Puts the place in front of the message of a ValueError."""
  try:
    yield
  except ValueError as error:
    raise ValueError(f'{place}: {error}') from error


def _check_add_shift(shift: int) -> None:
  if not 1 <= shift <= 31:
    raise ValueError(f"option 'shift' must lie in 1..31, received {shift}")
