"""QuantizedNetwork -> model.c and model.h: plain C99 without an interpreter.

model.c holds constant objects, one static arena and one function that calls
the kernels of tflm_ext/kernels one after the other; each layer calls exactly
the variant for its widths, so that a linker keeps no other. There is no heap
and nothing is copied out of flash. The `target` says for which instruction set:
it decides which kernels are called, in which layout they read their weights,
and how much scratch memory the arena holds for them (`kernel_targets`).

The constant objects of a layer:

    params              geometry, zero points, shifts (kernels/types.h)
    weight              packed codes, in the layout of the layer's kernel
    channels            {bias', multiplier} per output channel
    weight_zero_points  int8 per output channel, where there are such
    multipliers         int32, of an average pool

Each is aligned to 4 bytes, and its size counts rounded up to a multiple of 4:
`flash_bytes` is what the linker's section takes. The byte layouts are those of
tflm_ext/README.md.
"""

from collections.abc import Mapping
import dataclasses
import re
from typing import NamedTuple

import numpy as np

from tfmpq import c_text
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import packing
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import weight_layouts

DEFAULT_PREFIX = 'model'
ARENA_ALIGNMENT = 16
_PORTABLE = kernel_targets.Target.PORTABLE

# sizeof, rounded up to 4; model.c checks them at compile time.
_CONV_PARAMS_BYTES = 24
_ADD_PARAMS_BYTES = 20
_POOL_PARAMS_BYTES = 24
_CHANNEL_BYTES = 8
_STRUCT_BYTES = {
    'tfmpq_conv_params': _CONV_PARAMS_BYTES,
    'tfmpq_add_params': _ADD_PARAMS_BYTES,
    'tfmpq_pool_params': _POOL_PARAMS_BYTES,
    'tfmpq_channel': _CHANNEL_BYTES,
}


class ConstantObject(NamedTuple):
  """One constant of model.c.

  Attributes:
    layer: name of the layer that reads it.
    kind: params, weight, channels, weight_zero_points or multipliers.
    num_bytes: what it takes in flash, a multiple of 4.
  """

  layer: str
  kind: str
  num_bytes: int


@dataclasses.dataclass(frozen=True)
class CSource:
  """The text of the two files; `header_name` is what the source includes."""

  source: str
  header: str
  header_name: str


def constant_objects(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    per_channel_zero_points: bool,
    target: kernel_targets.Target = _PORTABLE,
) -> list[ConstantObject]:
  """Returns every constant of model.c, in the order in which they stand there.

  Needs no weights: a search calls it for thousands of policies.
  """
  bits = dict(policy.entries)
  shapes = {tensor.name: tensor.shape for tensor in spec.tensors}
  kernels = kernel_targets.NetworkKernels(spec, target).choose(bits)
  objects = []
  for layer, kernel in zip(spec.layers, kernels, strict=True):
    name = layer.name
    if layer.weight is not None:
      weight_bits = bits[layer.weight]
      channels = shapes[layer.output][2]
      weight = weight_layouts.packed_bytes(
          layer.op,
          shapes[layer.weight],
          weight_bits,
          kernel.layout,
          kernel.input_bits,
      )
      objects += [
          ConstantObject(name, 'params', _CONV_PARAMS_BYTES),
          ConstantObject(name, 'weight', _padded(weight)),
          ConstantObject(name, 'channels', _CHANNEL_BYTES * channels),
      ]
      if per_channel_zero_points and weight_bits != 8:
        objects.append(
            ConstantObject(name, 'weight_zero_points', _padded(channels))
        )
    elif layer.op is specs.Op.ADD:
      objects.append(ConstantObject(name, 'params', _ADD_PARAMS_BYTES))
    else:
      objects.append(ConstantObject(name, 'params', _POOL_PARAMS_BYTES))
      if layer.op is specs.Op.AVERAGE_POOL_2D:
        num_bytes = 4 * _num_multipliers(layer)
        objects.append(ConstantObject(name, 'multipliers', num_bytes))
  return objects


def flash_bytes(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    per_channel_zero_points: bool,
    target: kernel_targets.Target = _PORTABLE,
) -> int:
  """Returns the bytes of all constants of model.c (code not counted)."""
  objects = constant_objects(spec, policy, per_channel_zero_points, target)
  return sum(item.num_bytes for item in objects)


def write(
    network: quantized_network.QuantizedNetwork,
    offsets: Mapping[str, int],
    arena_bytes: int,
    prefix: str = DEFAULT_PREFIX,
    target: kernel_targets.Target = _PORTABLE,
) -> CSource:
  """Returns model.c and model.h.

  Args:
    network: what to write.
    offsets: memory plan for that target (memory_planner.arena_plan): name of
      an activation or of scratch memory -> byte in the arena, a multiple of 16.
    arena_bytes: size of the arena.
    prefix: C identifier with which every external name begins; the files
      belong into <prefix>.c and <prefix>.h.
    target: instruction set; the code links only with the kernels for it.

  Raises:
    ValueError: a buffer lies outside the arena or has no offset, a
      dimension does not fit its field of the parameters, input or output is
      not 8 bits wide, or the prefix is no identifier.
  """
  if not re.fullmatch(r'[A-Za-z][A-Za-z0-9_]*', prefix):
    raise ValueError(f'prefix must be a C identifier, received {prefix!r}')
  _check_ends(network)
  model = _model(network, offsets, arena_bytes, prefix, target)
  _check_plan(model)
  objects = constant_objects(
      network.spec, network.policy, network.per_channel_zero_points, target
  )
  layers = {
      layer.name: c_text.layer_comment(model, layer)
      for layer in network.spec.layers
  }
  for item in objects:
    layers[item.layer] += _definition(model, item)
  const_bytes = sum(item.num_bytes for item in objects)
  return CSource(
      source=c_text.source(
          model,
          const_bytes,
          _STRUCT_BYTES,
          '\n'.join(layers.values()),
          ''.join(_call(model, layer) for layer in network.spec.layers),
      ),
      header=c_text.header(model, const_bytes),
      header_name=f'{prefix}.h',
  )


def _padded(num_bytes: int) -> int:
  return (num_bytes + 3) // 4 * 4


def _num_multipliers(layer: specs.LayerSpec) -> int:
  k_h, k_w = layer.kernel_size
  return k_h * k_w if any(layer.padding) else 1


def _model(network, offsets, arena_bytes, prefix, target) -> c_text.Model:
  spec = network.spec
  kernels = kernel_targets.NetworkKernels(spec, target).choose(
      network.policy.as_dict()
  )
  return c_text.Model(
      network,
      offsets,
      arena_bytes,
      prefix,
      _identifiers(spec),
      target,
      {x.name: k for x, k in zip(spec.layers, kernels, strict=True)},
  )


def _check_plan(model: c_text.Model) -> None:
  needed = {}
  for tensor in model.network.spec.activations:
    bits = model.network.params[tensor.name].bits
    height, width, channels = tensor.shape
    needed[tensor.name] = packing.activation_bytes(
        (height, width, channels), bits
    )
  for layer, kernel in model.kernels.items():
    if kernel.scratch_bytes:
      needed[memory_planner.scratch_name(layer)] = kernel.scratch_bytes
  for name, num_bytes in needed.items():
    offset = model.offsets.get(name)
    if offset is None:
      raise ValueError(
          f"the memory plan has no buffer '{name}'; is it that of "
          f'{model.target.value}?'
      )
    if (
        offset % ARENA_ALIGNMENT
        or not 0 <= offset <= model.arena_bytes - num_bytes
    ):
      raise ValueError(
          f"buffer '{name}' ({num_bytes} bytes): expected an offset that is a "
          f'multiple of {ARENA_ALIGNMENT} and leaves it inside an arena of '
          f'{model.arena_bytes} bytes, received {offset}'
      )


def _check_ends(network) -> None:
  for name in (network.spec.input, network.spec.output):
    bits = network.params[name].bits
    if bits != 8:
      raise ValueError(
          f"network input and output have 8 bits, '{name}' has {bits}"
      )


def _identifiers(spec: specs.NetworkSpec) -> dict[str, str]:
  """Returns layer name -> C identifier, unique in the file."""
  identifiers: dict[str, str] = {}
  for layer in spec.layers:
    base = re.sub(r'[^A-Za-z0-9]+', '_', layer.name).strip('_') or 'layer'
    base = f'layer_{base}' if base[0].isdigit() else base
    candidate, count = base, 2
    while candidate in identifiers.values():
      candidate, count = f'{base}_{count}', count + 1
    identifiers[layer.name] = candidate
  return identifiers


def _definition(model: c_text.Model, item: ConstantObject) -> str:
  """Returns the C definition of one constant."""
  network = model.network
  layer = model.layer(item.layer)
  constants = network.constants[item.layer]
  name = f'{model.identifiers[item.layer]}_{item.kind}'
  if item.kind == 'params':
    struct, fields = _params(model, layer)
    return c_text.struct_definition(name, struct, fields, layer.name)
  if isinstance(constants, quantized_network.PoolLayer):
    return c_text.array_definition(name, 'int32_t', constants.multipliers)
  assert isinstance(constants, quantized_network.WeightedLayer)
  if item.kind == 'channels':
    pairs = np.stack([constants.bias, constants.multipliers], axis=1)
    return c_text.pairs_definition(name, 'tfmpq_channel', pairs)
  if item.kind == 'weight':
    data = np.frombuffer(_packed_weight(model, layer), np.uint8)
    return c_text.array_definition(name, 'uint8_t', _pad(data, item.num_bytes))
  data = _pad(constants.weight_zero_points, item.num_bytes)
  return c_text.array_definition(name, 'int8_t', data)


def _packed_weight(model: c_text.Model, layer: specs.LayerSpec) -> bytes:
  """Returns the packed codes of a layer's weight, in its kernel's layout."""
  network, kernel = model.network, model.kernels[layer.name]
  return weight_layouts.pack(
      layer.op,
      network.constants[layer.name].weight_codes,
      network.policy.bits(network.spec, layer.weight),
      kernel.layout,
      kernel.input_bits,
  )


def _pad(data: np.ndarray, num_bytes: int) -> np.ndarray:
  return np.pad(data, (0, num_bytes - len(data)))


def _params(model, layer) -> tuple[str, dict[str, int]]:
  """Returns the name of a layer's parameter struct and its fields."""
  network = model.network
  if layer.op is specs.Op.ADD:
    return 'tfmpq_add_params', _add_params(network, layer)
  tensors = {t.name: t.shape for t in network.spec.activations}
  shape, out_shape = tensors[layer.inputs[0]], tensors[layer.output]
  fields = _window_params(network, layer, shape, out_shape)
  constants = network.constants[layer.name]
  if constants is not None:
    # A max pool rescales nothing; its kernel does not read the shifts.
    fields['shift'] = constants.rescale.shift
    fields['pre_shift'] = constants.rescale.pre_shift
  if layer.weight is None:
    fields['channels'] = shape[2]
    fields['num_multipliers'] = _num_multipliers(layer) if constants else 0
    return 'tfmpq_pool_params', fields
  bits = network.policy.bits(network.spec, layer.weight)
  fields['input_channels'] = shape[2]
  fields['output_channels'] = out_shape[2]
  fields['weight_zero_point'] = 0 if bits == 8 else 2 ** (bits - 1)
  fields['layout'] = model.kernels[layer.name].layout
  return 'tfmpq_conv_params', fields


def _add_params(network, layer) -> dict[str, int]:
  height, width, channels = network.spec.tensor(layer.output).shape
  first, second = (network.params[name] for name in layer.inputs)
  constants = network.constants[layer.name]
  return {
      'num_pixels': height * width,
      'channels': channels,
      'multiplier_a': constants.multipliers[0],
      'multiplier_b': constants.multipliers[1],
      'zero_point_a': first.zero_point,
      'zero_point_b': second.zero_point,
      'output_zero_point': network.params[layer.output].zero_point,
      'shift': constants.shift,
  }


def _window_params(network, layer, shape, out_shape) -> dict[str, int]:
  """Returns the fields that convolutions and pools have in common."""
  return {
      'input_height': shape[0],
      'input_width': shape[1],
      'output_height': out_shape[0],
      'output_width': out_shape[1],
      'kernel_height': layer.kernel_size[0],
      'kernel_width': layer.kernel_size[1],
      'stride_height': layer.stride[0],
      'stride_width': layer.stride[1],
      'pad_top': layer.padding[0],
      'pad_left': layer.padding[1],
      'input_zero_point': network.params[layer.inputs[0]].zero_point,
      'output_zero_point': network.params[layer.output].zero_point,
  }


def _call(model: c_text.Model, layer: specs.LayerSpec) -> str:
  """Returns the C statement that runs a layer."""
  network = model.network
  name = model.identifiers[layer.name]
  widths = [network.params[tensor].bits for tensor in layer.inputs]
  out_bits = network.params[layer.output].bits
  inputs = [model.address(tensor) for tensor in layer.inputs]
  output = model.address(layer.output)
  arguments = [f'&{name}_params', *inputs]
  if layer.weight is not None:
    bits = network.policy.bits(network.spec, layer.weight)
    suffix = f'a{widths[0]}_w{bits}_o{out_bits}'
    stored = network.per_channel_zero_points and bits != 8
    zero_points = f'{name}_weight_zero_points' if stored else 'NULL'
    arguments += [f'{name}_weight', f'{name}_channels', zero_points]
    arguments += [output, model.scratch(layer.name)]
  elif layer.op is specs.Op.ADD:
    suffix = f'a{widths[0]}_a{widths[1]}_o{out_bits}'
    arguments.append(output)
  elif layer.op is specs.Op.AVERAGE_POOL_2D:
    suffix = f'a{widths[0]}_o{out_bits}'
    arguments += [f'{name}_multipliers', output]
  else:
    suffix = f'a{widths[0]}'
    arguments.append(output)
  suffix += model.kernels[layer.name].suffix
  return c_text.call(f'tfmpq_{layer.op.value}_{suffix}', arguments)
