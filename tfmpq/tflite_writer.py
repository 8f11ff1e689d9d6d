"""QuantizedNetwork -> .tflite with custom ops, for TensorFlow Lite Micro.

One subgraph. Tensors: the network input, then each layer's output, then each
layer's constants. What they and the options hold is specified in
tflm_ext/README.md. Every byte is flash, so that

- only activations have names. A layer is called after its output and its
  weight '<layer>/weight', as `keras_graph` does; where a network uses other
  names, they are stored with the parameters and the weight (a max pool has
  neither: the reader calls it after its output);
- input and output carry scale and zero point in the standard field, for stock
  tools; the scales of the packed tensors between them, which nothing needs at
  run time, follow each other as float32 in the metadata 'TfmpqScales'. Their
  zero points are in the options.

The memory plan goes into the metadata 'OfflineMemoryAllocation', which TFLM's
allocator obeys.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
import itertools

import numpy as np

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflite_options
from tfmpq import weight_layouts

_PLAN_VERSION = 1
_PLAN_ONLINE = -1  # TFLM places what has this offset; constants need no place


def write(
    network: quantized_network.QuantizedNetwork,
    plan: memory_planner.Plan,
    target: kernel_targets.Target = kernel_targets.Target.PORTABLE,
) -> bytes:
  """Returns the content of the .tflite; equal networks give equal bytes.

  Args:
    network: what to write.
    plan: where activations lie in the arena, one offset for each. Scratch
      memory is not planned: ops ask the interpreter for it.
    target: instruction set whose kernels are to read the weights fast.

  Raises:
    ValueError: the plan is not valid for the network, input or output have
      not 8 bits, a scale is no float32, two names would be the same, or a
      layer could overflow with other weights.
  """
  buffers = memory_planner.activation_buffers(
      network.spec, network.policy, in_place=True, target=target
  )
  activations = {tensor.name for tensor in network.spec.activations}
  plan.check([b for b in buffers if b.name in activations])
  quantized_network.check_for_any_weights(network)
  return tflite_layout.serialize(_model(network, plan.offsets, target))


def flash_bytes(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    per_channel_zero_points: bool,
    target: kernel_targets.Target = kernel_targets.Target.PORTABLE,
) -> int:
  """Returns the size of the .tflite of any network with that spec and policy.

  Each weight adds its own term (see `tflite_layout`), in which the width of the
  layer's input matters only as far as the weight's layout depends on it; so
  real files are written only once per spec. That is cached, because a search
  asks for thousands of policies.
  """
  policy.check(spec)
  fixed, by_weight = _size_terms(spec, per_channel_zero_points, target)
  bits = policy.as_dict()
  return tflite_layout.file_bytes(
      fixed
      + sum(
          terms[bits[weight], bits[source]]
          for (weight, source), terms in by_weight.items()
      )
  )


# (weight, activation with the input's width) -> widths of both -> bytes.
_Terms = Mapping[tuple[str, str], Mapping[tuple[int, int], int]]


@functools.lru_cache(maxsize=4)
def _size_terms(
    spec: specs.NetworkSpec,
    per_channel_zero_points: bool,
    target: kernel_targets.Target,
) -> tuple[int, _Terms]:
  """Returns (bytes whatever the policy, bytes of weights)."""
  by_weight: dict[tuple[str, str], dict[tuple[int, int], int]] = {}
  fixed = 0
  for widths in itertools.product(specs.BIT_WIDTHS, repeat=2):
    policy = specs.QuantizationPolicy.uniform(spec, *widths)
    network = zero_network(spec, policy, per_channel_zero_points)
    model = _model(network, {t.name: 0 for t in spec.activations}, target)
    fixed = tflite_layout.body_bytes(model)
    for layer, operator in zip(spec.layers, model.operators, strict=True):
      if layer.weight is None:
        continue
      _, weight, parameters = (model.tensors[i] for i in operator.inputs)
      term = tflite_layout.options_bytes(len(operator.options)) + sum(
          tflite_layout.constant_bytes(len(tensor.data))
          for tensor in (weight, parameters)
      )
      source = spec.bits_owner(layer.inputs[0])
      bits = policy.bits(spec, layer.weight), policy.bits(spec, source)
      by_weight.setdefault((layer.weight, source), {})[bits] = term
      fixed -= term
  return fixed, by_weight


def zero_network(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    per_channel_zero_points: bool,
    multiplier: int = 0,
) -> quantized_network.QuantizedNetwork:
  """Returns a valid network, to be measured: all its weights are zero.

  Args:
    spec: of the network.
    policy: of the network.
    per_channel_zero_points: see QuantizedNetwork.
    multiplier: of every channel of every layer.
  """
  params = {}
  for tensor in spec.activations:
    bits = policy.bits(spec, tensor.name)
    lowest, _ = packing.code_range(bits)
    params[tensor.name] = quantization.QuantParams(bits, 1.0, lowest)
  return quantized_network.QuantizedNetwork(
      spec=spec,
      policy=policy,
      params=params,
      constants={
          layer.name: _zero_constants(spec, policy, layer, multiplier)
          for layer in spec.layers
      },
      per_channel_zero_points=per_channel_zero_points,
  )


def _zero_constants(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    layer: specs.LayerSpec,
    multiplier: int,
) -> quantized_network.LayerConstants:
  if layer.op is specs.Op.MAX_POOL_2D:
    return None
  if layer.op is specs.Op.ADD:
    return quantization.AddRescale((multiplier, multiplier), 1)
  rescale = quantization.Rescale(shift=1)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    k_h, k_w = layer.kernel_size
    count = k_h * k_w if any(layer.padding) else 1
    return quantized_network.PoolLayer(
        np.full(count, multiplier, np.int32), rescale
    )
  bits = policy.bits(spec, layer.weight)
  channels = spec.tensor(layer.output).shape[2]
  shape = spec.tensor(layer.weight).shape
  zero_point = 0 if bits == 8 else 2 ** (bits - 1)
  return quantized_network.WeightedLayer(
      weight_codes=np.zeros(shape, packing.code_dtype(bits)),
      weight_zero_points=np.full(channels, zero_point, np.int8),
      bias=np.zeros(channels, np.int32),
      multipliers=np.full(channels, multiplier, np.int32),
      rescale=rescale,
  )


def _model(
    network: quantized_network.QuantizedNetwork,
    offsets: Mapping[str, int],
    target: kernel_targets.Target,
) -> tflite_file.Model:
  """Returns the content of the file."""
  spec = network.spec
  kernels = kernel_targets.NetworkKernels(spec, target).choose(
      network.policy.as_dict()
  )
  _check_names(spec)
  activations = (spec.input, *(layer.output for layer in spec.layers))
  index = {name: i for i, name in enumerate(activations)}
  tensors = [_activation(network, name) for name in activations]
  operators = []
  for layer, kernel in zip(spec.layers, kernels, strict=True):
    constants = _constant_tensors(network, layer, kernel)
    inputs = [index[name] for name in layer.inputs]
    inputs += range(len(tensors), len(tensors) + len(constants))
    tensors += constants
    operators.append(
        tflite_file.Operator(
            custom_code=tflite_options.CUSTOM_CODES[layer.op],
            inputs=tuple(inputs),
            outputs=(index[layer.output],),
            options=tflite_options.encode(
                layer.op, _options(network, layer, kernel.layout)
            ),
        )
    )
  places = [offsets[name] for name in activations]
  places += [_PLAN_ONLINE] * (len(tensors) - len(activations))
  header = [_PLAN_VERSION, 0, len(tensors)]  # 0: the only subgraph
  metadata = {
      tflite_options.OFFLINE_PLAN: np.array(header + places, '<i4').tobytes()
  }
  scales = [
      network.params[n].scale for n in activations if not _is_end(spec, n)
  ]
  if scales:
    metadata[tflite_options.SCALES] = np.array(scales, '<f4').tobytes()
  return tflite_file.Model(
      name=spec.name,
      tensors=tuple(tensors),
      operators=tuple(operators),
      inputs=(index[spec.input],),
      outputs=(index[spec.output],),
      metadata=metadata,
  )


def _is_end(spec: specs.NetworkSpec, name: str) -> bool:
  return name in (spec.input, spec.output)


def _check_names(spec: specs.NetworkSpec) -> None:
  """Raises ValueError if the reader would give two layers the same name."""
  seen: set[str] = set()
  for layer in spec.layers:
    stored = layer.op is not specs.Op.MAX_POOL_2D
    name = layer.name if stored else layer.output
    if name in seen:
      raise ValueError(
          f"layer '{layer.name}' would be called '{name}' in the .tflite, like "
          'another layer; give each max pool the name of its output'
      )
    seen.add(name)


def _activation(
    network: quantized_network.QuantizedNetwork, name: str
) -> tflite_file.Tensor:
  height, width, channels = network.spec.tensor(name).shape
  params = network.params[name]
  float32_limits = np.finfo(np.float32)
  if not float32_limits.tiny <= params.scale <= float32_limits.max:
    raise ValueError(
        f"activation '{name}': scale {params.scale} is no normal float32"
    )
  quantization_field = None
  if _is_end(network.spec, name):
    if params.bits != 8:
      raise ValueError(
          f"network input and output have 8 bits, '{name}' has {params.bits}"
      )
    quantization_field = tflite_file.Quantization(
        params.scale, params.zero_point
    )
  return tflite_file.Tensor(
      shape=(1, height, width, packing.packed_bytes(channels, params.bits)),
      dtype='int8',
      name=name,
      quantization=quantization_field,
  )


def _constant_tensors(
    network: quantized_network.QuantizedNetwork,
    layer: specs.LayerSpec,
    kernel: kernel_targets.Kernel,
) -> list[tflite_file.Tensor]:
  """Returns the weight, if there is one, and the parameters, if any."""
  tensors = []
  if layer.weight is not None:
    codes = network.constants[layer.name].weight_codes
    bits = network.policy.bits(network.spec, layer.weight)
    data = weight_layouts.pack(
        layer.op, codes, bits, kernel.layout, kernel.input_bits
    )
    default = f'{layer.name}/weight'
    tensors.append(
        tflite_file.Tensor(
            shape=tflite_options.weight_shape(
                layer.op, codes.shape, kernel.layout, len(data)
            ),
            dtype='int8',
            name='' if layer.weight == default else layer.weight,
            data=data,
        )
    )
  if layer.op is not specs.Op.MAX_POOL_2D:
    data = _parameters(network, layer)
    tensors.append(
        tflite_file.Tensor(
            shape=(len(data) // 4,),
            dtype='int32',
            name='' if layer.name == layer.output else layer.name,
            data=data,
        )
    )
  return tensors


def _parameters(
    network: quantized_network.QuantizedNetwork, layer: specs.LayerSpec
) -> bytes:
  """Returns a layer's parameters (tflm_ext/README.md)."""
  constants = network.constants[layer.name]
  if not isinstance(constants, quantized_network.WeightedLayer):
    multipliers = np.asarray(constants.multipliers, np.int64)
    if multipliers.min() < -(2**31) or multipliers.max() >= 2**31:
      raise ValueError(
          f"layer '{layer.name}': multipliers {constants.multipliers} are no "
          'int32'
      )
    return multipliers.astype('<i4').tobytes()
  pairs = np.stack([constants.bias, constants.multipliers], axis=1)
  data = pairs.astype('<i4').tobytes()  # [C_out, 2]
  bits = network.policy.bits(network.spec, layer.weight)
  if network.per_channel_zero_points and bits != 8:
    data += constants.weight_zero_points.tobytes()
    data += bytes(-len(data) % 4)
  return data


def _options(
    network: quantized_network.QuantizedNetwork,
    layer: specs.LayerSpec,
    layout: int,
) -> dict[str, int | None]:
  """Returns every option of a layer, defaults included."""
  spec, params = network.spec, network.params
  first, output = params[layer.inputs[0]], params[layer.output]
  constants = network.constants[layer.name]
  options: dict[str, int | None] = {
      'a_bits': first.bits,
      'c_in': spec.tensor(layer.inputs[0]).shape[2],
  }
  if layer.op not in (specs.Op.ADD, specs.Op.FULLY_CONNECTED):
    window = layer.kernel_size + layer.stride + layer.padding
    options |= dict(zip(tflite_options.WINDOW_KEYS, window, strict=True))
  if layer.op is specs.Op.MAX_POOL_2D:
    return options
  options |= {
      'o_bits': output.bits,
      'z_in': first.zero_point,
      'z_out': output.zero_point,
  }
  if layer.op is specs.Op.ADD:
    second = params[layer.inputs[1]]
    options |= {'b_bits': second.bits, 'z_b': second.zero_point}
    return options | {'shift': constants.shift}
  options |= dataclasses.asdict(constants.rescale)
  if layer.weight is not None:
    options |= _weight_options(network, layer, layout)
  return options


def _weight_options(
    network: quantized_network.QuantizedNetwork,
    layer: specs.LayerSpec,
    layout: int,
) -> dict[str, int | None]:
  bits = network.policy.bits(network.spec, layer.weight)
  stored_once = bits != 8 and not network.per_channel_zero_points
  options = {
      'w_bits': bits,
      'z_w': 2 ** (bits - 1) if stored_once else None,
      'layout': layout,
  }
  if layer.op is not specs.Op.DEPTHWISE_CONV_2D:
    options['c_out'] = network.spec.tensor(layer.output).shape[2]
  return options
