"""Random single layers with their results by reference_ops.

Plain cases have a fitted rescaling, so that outputs spread over their codes.
Extreme cases go to the limits of the contract: lowest and highest codes,
accumulators at the end of int32, every shift, multipliers 0 and 2^31 - 1.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import specs

_INT32_MAX = 2**31 - 1
_MAX_CHANNELS = 33
_EXTREME_MULTIPLIERS = (0, 1, 2**30, _INT32_MAX)
# What a case stores as the zero point of all weights where there is one per
# channel: a kernel that reads it computes wrong numbers.
NOT_A_ZERO_POINT = 77

Random = np.random.RandomState


@dataclasses.dataclass(frozen=True)
class Case:
  """One layer, its input codes and what reference_ops makes of them.

  Attributes:
    layer: op and geometry; the names in it mean nothing.
    bits: (input, weight or second input or 0, output).
    zero_points: (input, second input or 0, output).
    shifts: (shift, pre_shift).
    weight_zero_point: of all weights; NOT_A_ZERO_POINT if `parameters` holds
      one per channel.
    inputs: code arrays [H, W, C], one or two.
    weight: codes, or None.
    parameters: the layer's parameters constant, bytes.
    output: code array [H, W, C].
  """

  layer: specs.LayerSpec
  bits: tuple[int, int, int]
  zero_points: tuple[int, int, int]
  shifts: tuple[int, int]
  weight_zero_point: int
  inputs: tuple[np.ndarray, ...]
  weight: np.ndarray | None
  parameters: bytes
  output: np.ndarray


def parameter_bytes(
    bias: np.ndarray, multipliers: np.ndarray, zero_points: np.ndarray | None
) -> bytes:
  """Returns a layer's parameters: {bias, multiplier} per channel, then z_w."""
  pairs = np.stack([bias, multipliers], axis=1)  # [C_out, 2]
  tail = b'' if zero_points is None else zero_points.astype(np.int8).tobytes()
  return pairs.astype('<i4').tobytes() + tail + bytes(-len(tail) % 4)


def codes(
    rng: Random, shape: tuple[int, ...], limits: tuple[int, int], extreme: bool
) -> np.ndarray:
  """Returns random int64 codes; extreme ones are all at an end of the range."""
  lowest, highest = limits
  if not extreme:
    return rng.randint(lowest, highest + 1, shape)
  ends = [(lowest, lowest), (highest, highest), (lowest, highest)]
  return rng.choice(ends[rng.randint(len(ends))], shape)


def activation_codes(
    rng: Random, shape: tuple[int, int, int], bits: int, extreme: bool
) -> np.ndarray:
  """Returns codes [H, W, C] of an activation."""
  limits = packing.code_range(bits)
  return codes(rng, shape, limits, extreme).astype(packing.code_dtype(bits))


def weight_codes(
    rng: Random, shape: tuple[int, ...], bits: int, extreme: bool
) -> np.ndarray:
  """Returns weight codes; those of 8 bits are never -128."""
  limits = (-127, 127) if bits == 8 else packing.code_range(bits)
  return codes(rng, shape, limits, extreme).astype(packing.code_dtype(bits))


def quant_params(
    rng: Random, bits: int, extreme: bool
) -> quantization.QuantParams:
  """Returns a random scale and, if extreme, any zero point at all."""
  lowest, highest = packing.code_range(bits)
  zero_point = quantization.activation_zero_point(bits, bool(rng.randint(2)))
  if extreme:
    zero_point = rng.choice([lowest, highest, rng.randint(lowest, highest + 1)])
  scale = float(np.ldexp(rng.uniform(1, 2), rng.randint(-6, 2)))
  return quantization.QuantParams(bits, scale, int(zero_point))


def window_layer(
    rng: Random, op: specs.Op, image_size: tuple[int, int] | None = None
) -> tuple[specs.LayerSpec, tuple[int, int]]:
  """Returns a layer and the (height, width) of its input.

  Kernel sizes are 1..5, strides 1..3, each side's padding is drawn by itself.

  Args:
    rng: the source of everything that is not given.
    op: conv2d, depthwise_conv2d or a pool.
    image_size: a window of that size without padding (a global pool).
  """
  weighted = op in specs.WEIGHTED_OPS
  kernel = image_size or (int(rng.randint(1, 6)), int(rng.randint(1, 6)))
  padding = [0, 0, 0, 0]
  if image_size is None and rng.randint(3):
    padding = [int(rng.randint(kernel[side % 2])) for side in range(4)]
  size = [0, 0]
  for axis in range(2):
    smallest = max(1, kernel[axis] - padding[axis] - padding[axis + 2])
    size[axis] = image_size[axis] if image_size else smallest
    if image_size is None and rng.randint(3):
      size[axis] += int(rng.randint(6))
  layer = specs.LayerSpec(
      name='layer',
      op=op,
      inputs=('input',),
      output='output',
      weight='weight' if weighted else None,
      kernel_size=kernel,
      stride=(int(rng.randint(1, 4)), int(rng.randint(1, 4))),
      padding=tuple(padding),
  )
  return layer, (size[0], size[1])


def largest_shift(output: quantization.QuantParams) -> int:
  """Returns the largest shift that check_rescale allows for any sum."""
  for shift in range(31, 0, -1):
    offset = (output.zero_point << shift) + (1 << (shift - 1))
    if abs(offset) <= 2**30:
      return shift
  raise AssertionError('a shift of 1 always fits')


def extreme_rescale(
    rng: Random, bound: int, output: quantization.QuantParams
) -> quantization.Rescale:
  """Returns shifts at the ends of what `bound` and the output allow."""
  highest = largest_shift(output)
  largest_pre_shift = min(31, 31 - max(bound, 1).bit_length())
  shift = rng.choice([1, highest, rng.randint(1, highest + 1)])
  pre_shift = rng.choice([0, largest_pre_shift])
  return quantization.Rescale(int(shift), int(pre_shift))


def extreme_multipliers(rng: Random, count: int) -> np.ndarray:
  """Returns int32 [count]: limits of the range and logarithmic between."""
  drawn = rng.randint(2**31, size=count, dtype=np.int64) >> rng.randint(
      31, size=count
  )
  limits = rng.choice(_EXTREME_MULTIPLIERS, count)
  return np.where(rng.randint(2, size=count), drawn, limits).astype(np.int32)


def fitted_rescale(
    rng: Random, accumulators: np.ndarray, output: quantization.QuantParams
) -> tuple[np.ndarray, quantization.Rescale]:
  """Returns a rescaling that spreads accumulators [..., C] over the codes."""
  lowest, highest = packing.code_range(output.bits)
  largest = np.abs(accumulators).max() + 1
  spread = rng.uniform(0.2, 1.0, accumulators.shape[-1])
  return quantization.fixed_point(spread * (highest - lowest) / largest)


def weighted_case(
    rng: Random,
    op: specs.Op,
    bits: tuple[int, int, int],
    extreme: bool,
    channels: tuple[int, int] | None = None,
) -> Case:
  """Returns a conv2d, depthwise_conv2d or fully_connected.

  Args:
    rng: the source of everything that is not given.
    op: which of them.
    bits: of input, weight and output.
    extreme: see the module's docstring.
    channels: of input and output, random if not given.
  """
  c_in, c_out = channels or rng.randint(1, _MAX_CHANNELS + 1, 2).tolist()
  layer, size = window_layer(rng, op)
  if op is specs.Op.FULLY_CONNECTED:
    layer, size = dataclasses.replace(
        layer, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)
    ), (1, 1)
  return layer_case(rng, layer, size, (c_in, c_out), bits, extreme)


def layer_case(
    rng: Random,
    layer: specs.LayerSpec,
    size: tuple[int, int],
    channels: tuple[int, int],
    bits: tuple[int, int, int],
    extreme: bool,
) -> Case:
  """Returns a case of a given layer with a weight.

  Args:
    rng: the source of codes and parameters.
    layer: op and geometry.
    size: (height, width) of the input.
    channels: of input and output; as for `weighted_case`.
    bits, extreme: as for `weighted_case`.
  """
  c_in, c_out = channels
  c_out = c_in if layer.op is specs.Op.DEPTHWISE_CONV_2D else c_out
  shape = {
      specs.Op.CONV_2D: (c_out, *layer.kernel_size, c_in),
      specs.Op.DEPTHWISE_CONV_2D: (*layer.kernel_size, c_in),
      specs.Op.FULLY_CONNECTED: (c_out, c_in),
  }[layer.op]
  inputs = activation_codes(rng, (*size, c_in), bits[0], extreme)
  weight = weight_codes(rng, shape, bits[1], extreme)
  params = quant_params(rng, bits[0], extreme)
  output = quant_params(rng, bits[2], extreme)
  symmetric = 0 if bits[1] == 8 else 2 ** (bits[1] - 1)
  per_channel = bits[1] != 8 and bool(rng.randint(2))
  zero_points = np.full(c_out, symmetric, np.int8)
  if per_channel:
    limits = (-128, 127) if extreme else packing.code_range(bits[1])
    zero_points = codes(rng, (c_out,), limits, extreme).astype(np.int8)
  constants = _weighted_constants(
      rng, layer, inputs, params, output, weight, zero_points, extreme
  )
  accumulators = reference_ops.accumulate(
      inputs[np.newaxis], layer, constants, params.zero_point
  )
  return Case(
      layer=layer,
      bits=bits,
      zero_points=(params.zero_point, 0, output.zero_point),
      shifts=(constants.rescale.shift, constants.rescale.pre_shift),
      weight_zero_point=NOT_A_ZERO_POINT if per_channel else symmetric,
      inputs=(inputs,),
      weight=weight,
      parameters=parameter_bytes(
          constants.bias,
          constants.multipliers,
          zero_points if per_channel else None,
      ),
      output=quantization.requantize(
          accumulators, constants.multipliers, constants.rescale, output
      )[0],
  )


def _weighted_constants(
    rng, layer, inputs, params, output, weight, zero_points, extreme
) -> quantized_network.WeightedLayer:
  """Returns the layer with biases and a rescaling that overflow nowhere."""
  count = len(zero_points)
  unbiased = quantized_network.WeightedLayer(
      weight,
      zero_points,
      np.zeros(count, np.int32),
      np.zeros(count, np.int32),
      quantization.Rescale(1),
  )
  bound = quantized_network.accumulator_bound(unbiased, count, params.bits)
  if extreme:
    rescale = extreme_rescale(rng, bound, output)
    multipliers = extreme_multipliers(rng, count)
    # The largest bias with which nothing can leave int32.
    room = (_INT32_MAX >> rescale.pre_shift) - bound
    bias = room * rng.choice([-1, 0, 1], count)
  else:
    accumulators = reference_ops.accumulate(
        inputs[np.newaxis], layer, unbiased, params.zero_point
    )
    middle = (accumulators.min() + accumulators.max()) // 2
    noise = int(np.ptp(accumulators)) // 4 + 1
    bias = rng.randint(-noise, noise + 1, count) - middle
    multipliers, rescale = fitted_rescale(rng, accumulators + bias, output)
  constants = dataclasses.replace(
      unbiased,
      bias=bias.astype(np.int32),
      multipliers=multipliers,
      rescale=rescale,
  )
  quantization.check_rescale(
      quantized_network.accumulator_bound(constants, count, params.bits),
      output,
      rescale,
  )
  return constants


def add_case(rng: Random, bits: tuple[int, int, int], extreme: bool) -> Case:
  """Returns an add; bits are of first input, second input and output."""
  shape = (*rng.randint(1, 7, 2).tolist(), int(rng.randint(1, 34)))
  first, second, output = (quant_params(rng, b, extreme) for b in bits)
  inputs = tuple(activation_codes(rng, shape, b, extreme) for b in bits[:2])
  if extreme:
    rescale = _extreme_add_rescale(rng, first, second)
  else:
    reach = sum(p.scale * 2**p.bits for p in (first, second))
    scale = float(rng.uniform(0.3, 1)) * reach / 2**output.bits
    output = dataclasses.replace(output, scale=scale)
    rescale = quantization.add_rescale(first, second, output)
  return Case(
      layer=specs.LayerSpec('layer', specs.Op.ADD, ('a', 'b'), 'output'),
      bits=bits,
      zero_points=(first.zero_point, second.zero_point, output.zero_point),
      shifts=(rescale.shift, 0),
      weight_zero_point=0,
      inputs=inputs,
      weight=None,
      parameters=np.array(rescale.multipliers, '<i4').tobytes(),
      output=reference_ops.add(*inputs, (first, second), output, rescale),
  )


def _extreme_add_rescale(rng, first, second) -> quantization.AddRescale:
  """Returns multipliers whose sum just stays inside int32."""
  shift = int(rng.choice([1, 31, rng.randint(1, 32)]))
  room = _INT32_MAX - (1 << (shift - 1))
  spans = []
  for params in (first, second):
    lowest, highest = packing.code_range(params.bits)
    spans.append(max(params.zero_point - lowest, highest - params.zero_point))
  share = rng.choice([0, 1, rng.uniform()])
  multiplier = int(room * share) // spans[0]
  rest = (room - multiplier * spans[0]) // spans[1]
  return quantization.AddRescale((multiplier, rest), shift)


def average_pool_case(
    rng: Random,
    bits: tuple[int, int, int],
    extreme: bool,
    image_size: tuple[int, int] | None = None,
) -> Case:
  """Returns an average pool; image_size as for window_layer."""
  layer, size = window_layer(rng, specs.Op.AVERAGE_POOL_2D, image_size)
  shape = (*size, int(rng.randint(1, _MAX_CHANNELS + 1)))
  inputs = activation_codes(rng, shape, bits[0], extreme)
  params, output = (quant_params(rng, bits[i], extreme) for i in (0, 2))
  taps = math.prod(layer.kernel_size)
  counts = np.arange(1, taps + 1) if any(layer.padding) else np.array([taps])
  if extreme:
    rescale = extreme_rescale(rng, taps * 255, output)
    multipliers = extreme_multipliers(rng, len(counts))
  else:
    ratio = (2.0**output.bits - 1) / (2.0**params.bits - 1)
    multipliers, rescale = quantization.fixed_point(ratio / counts)
  quantization.check_rescale(taps * 255, output, rescale)
  constants = quantized_network.PoolLayer(multipliers, rescale)
  return Case(
      layer=layer,
      bits=bits,
      zero_points=(params.zero_point, 0, output.zero_point),
      shifts=(rescale.shift, rescale.pre_shift),
      weight_zero_point=0,
      inputs=(inputs,),
      weight=None,
      parameters=multipliers.astype('<i4').tobytes(),
      output=reference_ops.average_pool(
          inputs[np.newaxis], layer, constants, params, output
      )[0],
  )


def max_pool_case(
    rng: Random, bits: tuple[int, int, int], extreme: bool
) -> Case:
  """Returns a max pool, whose input and output have the same bits."""
  layer, size = window_layer(rng, specs.Op.MAX_POOL_2D)
  shape = (*size, int(rng.randint(1, _MAX_CHANNELS + 1)))
  inputs = activation_codes(rng, shape, bits[0], extreme)
  return Case(
      layer=layer,
      bits=bits,
      zero_points=(0, 0, 0),
      shifts=(0, 0),
      weight_zero_point=0,
      inputs=(inputs,),
      weight=None,
      parameters=b'',
      output=reference_ops.max_pool(inputs[np.newaxis], layer)[0],
  )
