"""QuantizedNetwork: everything that an integer-only network consists of.

A QuantizedNetwork is what training and lowering produce and what every
exporter reads: a NetworkSpec, the policy, the parameters of every activation
and, per layer, codes and integer constants. `save` writes it to one .npz file
whose bytes depend on nothing but its content.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import io
import json
import pathlib
import zipfile

import numpy as np

from tfmpq import packing
from tfmpq import quantization
from tfmpq import specs

_FORMAT_VERSION = 1
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedLayer:
  """Integer constants of a conv2d, depthwise_conv2d or fully_connected.

  Attributes:
    weight_codes: int8 (8 bits) or uint8 (4, 2 bits), the weight's shape.
    weight_zero_points: int8 [C_out]; all 0 at 8 bits.
    bias: int32 [C_out]; holds the bias and the input zero point:
      `bias' = bias - z_in * sum(w - z_w)`.
    multipliers: int32 [C_out], 0 <= m < 2^31.
    rescale: shifts of the layer.
  """

  weight_codes: np.ndarray
  weight_zero_points: np.ndarray
  bias: np.ndarray
  multipliers: np.ndarray
  rescale: quantization.Rescale


@dataclasses.dataclass(frozen=True, eq=False)
class PoolLayer:
  """Integer constants of an average pool.

  Attributes:
    multipliers: int32 [1] without padding; with padding [kH * kW], where
      entry n - 1 belongs to windows of which n elements lie inside the image
      (padding is not counted).
    rescale: shifts of the layer.
  """

  multipliers: np.ndarray
  rescale: quantization.Rescale


# An add needs quantization.AddRescale, a max pool nothing (None).
LayerConstants = WeightedLayer | PoolLayer | quantization.AddRescale | None


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizedNetwork:
  """A network ready for integer execution and for export.

  Attributes:
    spec: tensors and layers.
    policy: bits of every tensor.
    params: activation name -> QuantParams, for every activation.
    constants: layer name -> LayerConstants, for every layer.
    per_channel_zero_points: whether 4- and 2-bit weights have a zero point
      per output channel (one stored byte each) or the one symmetric zero
      point 2^(bits-1) for all channels, which is stored once per layer.
  """

  spec: specs.NetworkSpec
  policy: specs.QuantizationPolicy
  params: Mapping[str, quantization.QuantParams]
  constants: Mapping[str, LayerConstants]
  per_channel_zero_points: bool

  def __post_init__(self):
    self.policy.check(self.spec)
    for tensor in self.spec.activations:
      bits = self.policy.bits(self.spec, tensor.name)
      if self.params[tensor.name].bits != bits:
        raise ValueError(
            f"activation '{tensor.name}' has parameters for "
            f'{self.params[tensor.name].bits} bits, the policy says {bits}'
        )
      owner = self.spec.bits_owner(tensor.name)
      if self.params[tensor.name] != self.params[owner]:
        raise ValueError(
            f"activation '{tensor.name}' must have the parameters of "
            f"'{owner}', whose bits it shares"
        )
    for layer in self.spec.layers:
      _check_layer(self, layer)


def accumulator_bound(
    constants: WeightedLayer, num_channels: int, input_bits: int
) -> int:
  """Returns the largest magnitude a partial sum of an accumulator can have.

  Covers every order of summation of `bias' + sum(x * u) - z_w * sum(x)`: all
  terms of one sign together.

  Args:
    constants: the layer.
    num_channels: output channels.
    input_bits: width of the input activation.
  """
  lowest, highest = packing.code_range(input_bits)
  per_channel = channel_major(constants.weight_codes, num_channels)
  magnitude = np.abs(per_channel.astype(np.int64)).sum(axis=1)
  taps = per_channel.shape[1]
  zero_points = np.abs(constants.weight_zero_points.astype(np.int64)) * taps
  bias = np.abs(constants.bias.astype(np.int64))
  largest_code = max(-lowest, highest)
  return int((bias + (magnitude + zero_points) * largest_code).max())


def check_for_any_weights(network: QuantizedNetwork) -> None:
  """Raises ValueError if a layer could overflow with other weights.

  The ops for TFLite Micro check sums before they run, and do not read weights
  for that: with the largest codes in place of a layer's weights, no
  accumulator may leave int32, either. (tflm_ext/README.md gives the formula.)
  """
  for layer in network.spec.layers:
    constants = network.constants[layer.name]
    if not isinstance(constants, WeightedLayer):
      continue
    bits = network.policy.bits(network.spec, layer.weight)
    worst = dataclasses.replace(
        constants,
        weight_codes=np.full_like(
            constants.weight_codes, -128 if bits == 8 else 2**bits - 1
        ),
    )
    bound = accumulator_bound(
        worst,
        network.spec.tensor(layer.output).shape[2],
        network.params[layer.inputs[0]].bits,
    )
    try:
      quantization.check_rescale(
          bound, network.params[layer.output], constants.rescale
      )
    except ValueError as e:
      raise ValueError(
          f"layer '{layer.name}', whatever its weights are: {e}"
      ) from e


def channel_major(codes: np.ndarray, num_channels: int) -> np.ndarray:
  """Returns weights as [C_out, taps], whatever the op.

  Depthwise weights [kH, kW, C] are the only ones whose channels come last.
  """
  if codes.ndim == 3:
    return codes.reshape(-1, num_channels).T
  return codes.reshape(num_channels, -1)


def weight_shaped(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Returns [C_out, taps] in a weight's shape; inverse of `channel_major`."""
  if len(shape) == 3:
    return rows.T.reshape(shape)  # depthwise [kH, kW, C]
  return rows.reshape(shape)


def _check_layer(network: QuantizedNetwork, layer: specs.LayerSpec) -> None:
  """Raises ValueError unless the constants suit the layer, free of overflow."""
  constants = network.constants[layer.name]
  expected = {
      specs.Op.ADD: quantization.AddRescale,
      specs.Op.AVERAGE_POOL_2D: PoolLayer,
      specs.Op.MAX_POOL_2D: type(None),
  }.get(layer.op, WeightedLayer)
  if not isinstance(constants, expected):
    raise ValueError(
        f"layer '{layer.name}' ({layer.op.value}) needs {expected.__name__}, "
        f'received {type(constants).__name__}'
    )
  output = network.params[layer.output]
  try:
    if isinstance(constants, WeightedLayer):
      _check_weighted(network, layer, constants)
    elif isinstance(constants, PoolLayer):
      k_h, k_w = layer.kernel_size
      windows = k_h * k_w if any(layer.padding) else 1
      _check_array('multipliers', constants.multipliers, np.int32, (windows,))
      _check_not_negative(constants.multipliers)
      bound = k_h * k_w * 255
      quantization.check_rescale(bound, output, constants.rescale)
    elif isinstance(constants, quantization.AddRescale):
      first, second = (network.params[name] for name in layer.inputs)
      quantization.check_add_rescale(first, second, constants)
    elif output != network.params[layer.inputs[0]]:
      raise ValueError(
          f"'{layer.output}' must have the parameters of '{layer.inputs[0]}': "
          'a maximum is one of the codes of its input'
      )
  except ValueError as e:
    raise ValueError(f"layer '{layer.name}': {e}") from e


def _check_weighted(network, layer, constants: WeightedLayer) -> None:
  weight = network.spec.tensor(layer.weight)
  bits = network.policy.bits(network.spec, layer.weight)
  channels = network.spec.tensor(layer.output).shape[2]
  codes = constants.weight_codes
  _check_array('weight', codes, packing.code_dtype(bits), weight.shape)
  lowest, highest = (-127, 127) if bits == 8 else packing.code_range(bits)
  if codes.min() < lowest or codes.max() > highest:
    raise ValueError(
        f'{bits}-bit weight codes must lie in [{lowest}, {highest}], received '
        f'[{codes.min()}, {codes.max()}]'
    )
  zero_points = constants.weight_zero_points
  _check_array('weight zero points', zero_points, np.int8, (channels,))
  symmetric = 0 if bits == 8 else 2 ** (bits - 1)
  if bits == 8 or not network.per_channel_zero_points:
    if (zero_points != symmetric).any():
      raise ValueError(
          f'weight zero points must all be {symmetric} (8-bit weights, and '
          'networks without zero points per channel, are symmetric)'
      )
  _check_array('bias', constants.bias, np.int32, (channels,))
  _check_array('multipliers', constants.multipliers, np.int32, (channels,))
  _check_not_negative(constants.multipliers)
  input_bits = network.params[layer.inputs[0]].bits
  bound = accumulator_bound(constants, channels, input_bits)
  quantization.check_rescale(
      bound, network.params[layer.output], constants.rescale
  )


def _check_not_negative(multipliers: np.ndarray) -> None:
  if multipliers.min() < 0:
    raise ValueError('multipliers must not be negative')


def _check_array(what: str, array: np.ndarray, dtype, shape) -> None:
  if array.dtype != dtype or array.shape != tuple(shape):
    raise ValueError(
        f'{what} must be {np.dtype(dtype).name}{list(shape)}, received '
        f'{array.dtype}{list(array.shape)}'
    )


def save(network: QuantizedNetwork, path: pathlib.Path) -> None:
  """Writes the network; equal networks give equal bytes."""
  arrays, header = {}, {}
  for name, constants in network.constants.items():
    fields = {} if constants is None else vars(constants)
    scalars = {}
    for field, value in fields.items():
      if isinstance(value, np.ndarray):
        arrays[f'{name}/{field}'] = value
      elif isinstance(value, quantization.Rescale):
        scalars[field] = dataclasses.asdict(value)
      else:
        scalars[field] = value
    header[name] = scalars
  meta = {
      'format_version': _FORMAT_VERSION,
      'spec': json.loads(network.spec.to_json()),
      'policy': network.policy.as_dict(),
      'params': {n: dataclasses.asdict(p) for n, p in network.params.items()},
      'constants': header,
      'per_channel_zero_points': network.per_channel_zero_points,
  }
  text = json.dumps(meta, sort_keys=True).encode()
  arrays['meta'] = np.frombuffer(text, np.uint8)
  write_npz(arrays, path)


def load(path: pathlib.Path) -> QuantizedNetwork:
  """Reads what `save` wrote; ValueError if it is of another format."""
  with np.load(path) as data:
    arrays = {name: data[name] for name in data.files}
  if 'meta' not in arrays:
    raise ValueError(f'{path} is not a quantized network: it has no metadata')
  meta = json.loads(arrays.pop('meta').tobytes())
  if meta['format_version'] != _FORMAT_VERSION:
    raise ValueError(
        f'{path}: expected format version {_FORMAT_VERSION}, received '
        f'{meta["format_version"]}; write it anew with this version of tfmpq'
    )
  spec = specs.NetworkSpec.from_json(json.dumps(meta['spec']))
  return QuantizedNetwork(
      spec=spec,
      policy=specs.QuantizationPolicy.of(meta['policy']),
      params={
          name: quantization.QuantParams(**fields)
          for name, fields in meta['params'].items()
      },
      constants={
          layer.name: _read_constants(
              layer, meta['constants'][layer.name], arrays
          )
          for layer in spec.layers
      },
      per_channel_zero_points=meta['per_channel_zero_points'],
  )


def _read_constants(
    layer: specs.LayerSpec, scalars: dict, arrays: Mapping[str, np.ndarray]
) -> LayerConstants:
  if layer.op is specs.Op.MAX_POOL_2D:
    return None
  if layer.op is specs.Op.ADD:
    first, second = scalars['multipliers']
    return quantization.AddRescale((first, second), scalars['shift'])
  kind = PoolLayer if layer.op is specs.Op.AVERAGE_POOL_2D else WeightedLayer
  own = {
      field.name: arrays[f'{layer.name}/{field.name}']
      for field in dataclasses.fields(kind)
      if field.name != 'rescale'
  }
  return kind(rescale=quantization.Rescale(**scalars['rescale']), **own)


def write_npz(arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> None:
  """Writes a compressed .npz with fixed dates, names in sorted order.

  `numpy.savez` stamps entries with the time of writing, so that equal content
  gives different files.
  """
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name in sorted(arrays):
      buffer = io.BytesIO()
      np.save(buffer, arrays[name], allow_pickle=False)
      entry = zipfile.ZipInfo(f'{name}.npy', _ZIP_DATE)
      entry.compress_type = zipfile.ZIP_DEFLATED
      archive.writestr(entry, buffer.getvalue())
