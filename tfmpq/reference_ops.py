"""NumPy integer ops: the normative, bit-exact meaning of every layer.

The C kernels, the .tflite and every exported program must produce these bytes.
Activations are code arrays [N, H, W, C] (int8 at 8 bits, uint8 at 4 and 2).
Sums are taken in float64 through BLAS where that is exact: every product and
partial sum is an integer far below 2^53.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs


def windows(
    codes: np.ndarray, layer: specs.LayerSpec, padding_code: int
) -> np.ndarray:
  """Returns [N, outH, outW, kH, kW, C], padding taps holding `padding_code`."""
  top, left, bottom, right = layer.padding
  padded = np.pad(
      codes,
      ((0, 0), (top, bottom), (left, right), (0, 0)),
      constant_values=padding_code,
  )
  view = np.lib.stride_tricks.sliding_window_view(
      padded, layer.kernel_size, axis=(1, 2)
  )  # [N, H, W, C, kH, kW]
  s_h, s_w = layer.stride
  return view[:, ::s_h, ::s_w].transpose(0, 1, 2, 4, 5, 3)


def accumulate(
    codes: np.ndarray,
    layer: specs.LayerSpec,
    constants: quantized_network.WeightedLayer,
    input_zero_point: int,
) -> np.ndarray:
  """Returns int64 accumulators [N, outH, outW, C_out] of a weighted layer.

  acc = bias' + sum(x * u) - z_w * sum(x), where padding taps of x hold the
  input zero point.
  """
  taps = windows(codes, layer, input_zero_point).astype(np.float64)
  weights = constants.weight_codes.astype(np.float64)
  if layer.op is specs.Op.DEPTHWISE_CONV_2D:
    products = sums = np.zeros(())
    for i, j in np.ndindex(*layer.kernel_size):
      products = products + taps[:, :, :, i, j] * weights[i, j]
      sums = sums + taps[:, :, :, i, j]  # [N, H, W, C]
  else:
    flat = taps.reshape(*taps.shape[:3], -1)  # [N, H, W, kH*kW*C_in]
    products = flat @ weights.reshape(len(weights), -1).T
    sums = flat.sum(axis=-1, keepdims=True)  # [N, H, W, 1]
  total = products - constants.weight_zero_points.astype(np.float64) * sums
  return total.astype(np.int64) + constants.bias


def add(
    first: np.ndarray,
    second: np.ndarray,
    params: tuple[quantization.QuantParams, ...],
    output: quantization.QuantParams,
    rescale: quantization.AddRescale,
) -> np.ndarray:
  """Returns y = clamp(z_o + (((a-z_a)*m_a + (b-z_b)*m_b + 2^(s-1)) >> s))."""
  total = (1 << (rescale.shift - 1)) + sum(
      (codes.astype(np.int64) - p.zero_point) * multiplier
      for codes, p, multiplier in zip(
          (first, second), params, rescale.multipliers, strict=True
      )
  )
  lowest, highest = packing.code_range(output.bits)
  shifted = (total >> rescale.shift) + output.zero_point
  return np.clip(shifted, lowest, highest).astype(
      packing.code_dtype(output.bits)
  )


def average_pool(
    codes: np.ndarray,
    layer: specs.LayerSpec,
    constants: quantized_network.PoolLayer,
    input_params: quantization.QuantParams,
    output: quantization.QuantParams,
) -> np.ndarray:
  """Returns requantized window sums of `x - z_in`; padding is not counted."""
  centred = codes.astype(np.int64) - input_params.zero_point
  sums = windows(centred, layer, 0).sum(axis=(3, 4))  # [N, H, W, C]
  if len(constants.multipliers) == 1:
    multipliers = constants.multipliers
  else:
    inside = np.ones((1, *codes.shape[1:3], 1), np.int64)
    counts = windows(inside, layer, 0).sum(axis=(3, 4))  # [1, H, W, 1]
    multipliers = constants.multipliers[counts - 1]
  return quantization.requantize(sums, multipliers, constants.rescale, output)


def max_pool(codes: np.ndarray, layer: specs.LayerSpec) -> np.ndarray:
  """Returns the largest code of each window; padding never wins."""
  lowest = np.iinfo(codes.dtype).min
  return windows(codes, layer, lowest).max(axis=(3, 4))


def run_layer(
    network: quantized_network.QuantizedNetwork,
    layer: specs.LayerSpec,
    inputs: tuple[np.ndarray, ...],
) -> np.ndarray:
  """Returns the output codes of one layer for the codes of its inputs."""
  # Which kind of constants follows from the op; QuantizedNetwork checks it.
  constants: Any = network.constants[layer.name]
  params = tuple(network.params[name] for name in layer.inputs)
  output = network.params[layer.output]
  if layer.op is specs.Op.ADD:
    first, second = inputs
    return add(first, second, params, output, constants)
  if layer.op is specs.Op.MAX_POOL_2D:
    return max_pool(inputs[0], layer)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    return average_pool(inputs[0], layer, constants, params[0], output)
  accumulators = accumulate(inputs[0], layer, constants, params[0].zero_point)
  return quantization.requantize(
      accumulators, constants.multipliers, constants.rescale, output
  )


def run_layers(
    network: quantized_network.QuantizedNetwork, codes: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields (tensor name, codes) of the input and then of every layer's output.

  Args:
    network: what to run.
    codes: int8 [N, H, W, C] codes of the network input.

  Raises:
    ValueError: the codes have another shape or type than the network input.
  """
  expected = network.spec.tensor(network.spec.input).shape
  if codes.dtype != np.int8 or codes.shape[1:] != expected:
    raise ValueError(
        f'network input must be int8 codes [N, {expected}], received '
        f'{codes.dtype}{list(codes.shape)}'
    )
  alive = {network.spec.input: codes}
  yield network.spec.input, codes
  last_reader = {
      name: layer.name for layer in network.spec.layers for name in layer.inputs
  }
  for layer in network.spec.layers:
    inputs = tuple(alive[name] for name in layer.inputs)
    alive[layer.output] = run_layer(network, layer, inputs)
    yield layer.output, alive[layer.output]
    for name in set(layer.inputs):
      if last_reader[name] == layer.name:
        del alive[name]


def run(
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
    batch_size: int = 256,
) -> np.ndarray:
  """Returns int8 output codes [N, H, W, C] of the network's output tensor."""
  outputs = []
  for start in range(0, len(codes), batch_size):
    batch = codes[start : start + batch_size]
    outputs += [
        result
        for name, result in run_layers(network, batch)
        if name == network.spec.output
    ]
  return np.concatenate(outputs)
