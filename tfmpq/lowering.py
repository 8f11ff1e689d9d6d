"""CalibratedNetwork -> QuantizedNetwork: from real scales to integers.

Real numbers end here. Scales become a 31-bit multiplier per output channel and
shifts per layer, biases become int32 in units of one accumulator step, with the
input's zero point folded in. What cannot be represented is refused with an
error that names the layer and what to change; nothing is saturated on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfmpq import calibrated_network
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs

_INT32_MAX = 2**31 - 1


def lower(
    network: calibrated_network.CalibratedNetwork,
) -> quantized_network.QuantizedNetwork:
  """Returns the integer network of a calibrated one.

  Raises:
    ValueError: a parameter is missing or not representable in integers; the
      message names the layer and a remedy.
  """
  spec = network.spec
  network.policy.check(spec)
  params = calibrated_network.activation_params(network)
  constants = {}
  for layer in spec.layers:
    try:
      constants[layer.name] = _layer_constants(network, layer, params)
    except ValueError as e:
      raise ValueError(f"layer '{layer.name}' ({layer.op.value}): {e}") from e
  return quantized_network.QuantizedNetwork(
      spec=spec,
      policy=network.policy,
      params=params,
      constants=constants,
      per_channel_zero_points=network.per_channel_zero_points,
  )


def _layer_constants(
    network: calibrated_network.CalibratedNetwork,
    layer: specs.LayerSpec,
    params: Mapping[str, quantization.QuantParams],
) -> quantized_network.LayerConstants:
  inputs = [params[name] for name in layer.inputs]
  output = params[layer.output]
  if layer.op is specs.Op.MAX_POOL_2D:
    return None
  if layer.op is specs.Op.ADD:
    return quantization.add_rescale(inputs[0], inputs[1], output)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    return _pool_layer(layer, inputs[0], output)
  weight = network.weights[layer.weight]
  channels = network.spec.tensor(layer.output).shape[2]
  return _weighted_layer(weight, channels, inputs[0], output)


def _pool_layer(
    layer: specs.LayerSpec,
    source: quantization.QuantParams,
    output: quantization.QuantParams,
) -> quantized_network.PoolLayer:
  """One multiplier, or one per number of elements a window can hold."""
  k_h, k_w = layer.kernel_size
  counts = np.arange(1, k_h * k_w + 1) if any(layer.padding) else k_h * k_w
  ratios = source.scale / (np.atleast_1d(counts) * output.scale)
  multipliers, rescale = quantization.fixed_point(ratios)
  return quantized_network.PoolLayer(multipliers, rescale)


def _weighted_layer(
    weight: calibrated_network.CalibratedWeight,
    channels: int,
    source: quantization.QuantParams,
    output: quantization.QuantParams,
) -> quantized_network.WeightedLayer:
  scales = np.asarray(weight.scales, np.float64)
  if not (np.isfinite(scales).all() and scales.min() > 0):
    raise ValueError(
        'weight scales must be finite and positive, received '
        f'{scales.min()}..{scales.max()}'
    )
  multipliers, rescale = quantization.fixed_point(
      source.scale * scales / output.scale
  )
  return quantized_network.WeightedLayer(
      weight_codes=weight.codes,
      weight_zero_points=weight.zero_points,
      bias=_integer_bias(weight, channels, source),
      multipliers=multipliers,
      rescale=rescale,
  )


def _integer_bias(
    weight: calibrated_network.CalibratedWeight,
    channels: int,
    source: quantization.QuantParams,
) -> np.ndarray:
  """Returns int32 [C_out]: `round(b / (s_in * s_w)) - z_in * sum(u - z_w)`."""
  steps = np.floor(weight.bias / (source.scale * weight.scales) + 0.5)
  rows = quantized_network.channel_major(weight.codes, channels)
  centred = rows.astype(np.int64) - weight.zero_points[:, np.newaxis]
  folded = steps - source.zero_point * centred.sum(axis=1)
  largest = int(np.abs(folded).argmax())
  if (
      not np.abs(folded).max() <= _INT32_MAX
  ):  # also refuses what is not a number
    raise ValueError(
        f'the bias {weight.bias[largest]} of output channel {largest} is '
        f'{folded[largest]:.4g} accumulator steps of '
        f'{source.scale * weight.scales[largest]:.4g} and overflows int32; '
        'the weights of this channel all but vanish: give it a larger scale, '
        'or remove the channel from the float network'
    )
  return folded.astype(np.int32)
