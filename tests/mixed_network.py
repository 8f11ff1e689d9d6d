"""A small network with every op and mixed widths, for tests of exporters.

Its constants are random but sensible: rescaling is fitted so that outputs
spread over their codes instead of saturating.
"""

import numpy as np

from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import specs

_PROBE_IMAGES = 8
INPUT_SHAPE = (11, 9, 3)


def activation(name, shape, **kwargs) -> specs.TensorSpec:
  """Returns an activation (height, width, channels)."""
  return specs.TensorSpec(name, specs.TensorKind.ACTIVATION, shape, **kwargs)


def _weight(name, shape):
  return specs.TensorSpec(name, specs.TensorKind.WEIGHT, shape)


def network_spec() -> specs.NetworkSpec:
  """Returns ten layers with odd channel counts, padding and a residual add."""
  op = specs.Op
  layer = specs.LayerSpec
  return specs.NetworkSpec(
      name='mixed',
      tensors=(
          activation('input', INPUT_SHAPE, signed=True, fixed_bits=8),
          activation('a1', (6, 5, 5)),
          activation('a2', (6, 5, 5)),
          activation('a3', (6, 5, 7), signed=True),
          activation('a4', (6, 5, 7), signed=True),
          activation('a5', (6, 5, 7)),
          activation('a6', (3, 3, 7), bits_of='a5'),
          activation('a7', (3, 3, 7)),
          activation('a8', (2, 2, 9)),
          activation('a9', (1, 1, 9)),
          activation('logits', (1, 1, 10), signed=True, fixed_bits=8),
          _weight('w1', (5, 3, 3, 3)),
          _weight('w2', (3, 3, 5)),
          _weight('w3', (7, 1, 1, 5)),
          _weight('w4', (7, 1, 1, 5)),
          _weight('w8', (9, 2, 2, 7)),
          _weight('w10', (10, 9)),
      ),
      layers=(
          layer(
              'conv/1:a',
              op.CONV_2D,
              ('input',),
              'a1',
              'w1',
              (3, 3),
              (2, 2),
              (1, 1, 1, 1),
          ),
          layer(
              'depthwise_2',
              op.DEPTHWISE_CONV_2D,
              ('a1',),
              'a2',
              'w2',
              (3, 3),
              (1, 1),
              (1, 1, 1, 1),
          ),
          layer('pointwise_3', op.CONV_2D, ('a2',), 'a3', 'w3'),
          layer('pointwise 3', op.CONV_2D, ('a1',), 'a4', 'w4'),
          layer('add_5', op.ADD, ('a3', 'a4'), 'a5'),
          layer(
              'max_pool_6',
              op.MAX_POOL_2D,
              ('a5',),
              'a6',
              None,
              (2, 2),
              (2, 2),
              (0, 0, 0, 1),
          ),
          layer(
              'average_pool_7',
              op.AVERAGE_POOL_2D,
              ('a6',),
              'a7',
              None,
              (2, 2),
              (1, 1),
              (1, 0, 0, 1),
          ),
          layer('8_conv', op.CONV_2D, ('a7',), 'a8', 'w8', (2, 2)),
          layer('pool_9', op.AVERAGE_POOL_2D, ('a8',), 'a9', None, (2, 2)),
          layer('dense_10', op.FULLY_CONNECTED, ('a9',), 'logits', 'w10'),
      ),
      input='input',
      output='logits',
  )


def random_policy(
    spec: specs.NetworkSpec, rng: np.random.Generator
) -> specs.QuantizationPolicy:
  """Returns a policy whose free tensors have random widths."""
  return specs.QuantizationPolicy.of(
      {
          t.name: t.fixed_bits or int(rng.choice(specs.BIT_WIDTHS))
          for t in spec.policy_tensors
      }
  )


def random_codes(
    shape: tuple[int, ...], num_images: int, rng: np.random.Generator
) -> np.ndarray:
  """Returns int8 codes [num_images, H, W, C] over the whole range."""
  return rng.integers(-128, 128, (num_images, *shape)).astype(np.int8)


def random_network(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    per_channel_zero_points: bool,
    rng: np.random.Generator,
) -> quantized_network.QuantizedNetwork:
  """Returns a network with random weights under a policy."""
  params = {}
  for tensor in spec.activations:
    bits = policy.bits(spec, tensor.name)
    owner = spec.tensor(spec.bits_owner(tensor.name))
    params[tensor.name] = quantization.activation_params(
        bits, owner.signed, clip=1.0
    )
  alive = {
      spec.input: random_codes(
          spec.tensor(spec.input).shape, _PROBE_IMAGES, rng
      )
  }
  constants = {}
  for layer in spec.layers:
    output = params[layer.output]
    if layer.op is specs.Op.ADD:
      constants[layer.name] = quantization.add_rescale(
          *(params[name] for name in layer.inputs), output
      )
    elif layer.op is specs.Op.MAX_POOL_2D:
      constants[layer.name] = None
    elif layer.op is specs.Op.AVERAGE_POOL_2D:
      constants[layer.name] = _pool_constants(
          layer, params[layer.inputs[0]], output
      )
    else:
      constants[layer.name] = _weighted_constants(
          spec,
          layer,
          policy.bits(spec, layer.weight),
          per_channel_zero_points,
          params,
          alive[layer.inputs[0]],
          rng,
      )
    inputs = tuple(alive[name] for name in layer.inputs)
    alive[layer.output] = _run(layer, inputs, params, constants[layer.name])
  return quantized_network.QuantizedNetwork(
      spec, policy, params, constants, per_channel_zero_points
  )


def mixed_network(
    seed: int, per_channel_zero_points: bool = True
) -> quantized_network.QuantizedNetwork:
  """Returns `network_spec()` with widths and weights drawn from `seed`."""
  rng = np.random.default_rng(seed)
  spec = network_spec()
  policy = random_policy(spec, rng)
  return random_network(spec, policy, per_channel_zero_points, rng)


def _pool_constants(layer, source, output) -> quantized_network.PoolLayer:
  k_h, k_w = layer.kernel_size
  counts = np.arange(1, k_h * k_w + 1) if any(layer.padding) else [k_h * k_w]
  ratios = source.scale / (np.asarray(counts, np.float64) * output.scale)
  multipliers, rescale = quantization.fixed_point(ratios)
  return quantized_network.PoolLayer(multipliers, rescale)


def _weighted_constants(
    spec, layer, bits, per_channel_zero_points, params, codes, rng
) -> quantized_network.WeightedLayer:
  """Returns random constants that spread the outputs over their codes."""
  channels = spec.tensor(layer.output).shape[2]
  lowest, highest = (-127, 127) if bits == 8 else packing.code_range(bits)
  shape = spec.tensor(layer.weight).shape
  weight_codes = rng.integers(lowest, highest + 1, shape)
  zero_points = np.full(channels, 0 if bits == 8 else 2 ** (bits - 1), np.int8)
  if bits != 8 and per_channel_zero_points:
    zero_points = rng.integers(0, highest + 1, channels).astype(np.int8)
  layer_constants = quantized_network.WeightedLayer(
      weight_codes=weight_codes.astype(packing.code_dtype(bits)),
      weight_zero_points=zero_points,
      bias=np.zeros(channels, np.int32),
      multipliers=np.ones(channels, np.int32),
      rescale=quantization.Rescale(1),
  )
  source, output = params[layer.inputs[0]], params[layer.output]
  sums = reference_ops.accumulate(
      codes, layer, layer_constants, source.zero_point
  )
  deviations = sums.std(axis=(0, 1, 2)) + 1  # [C_out]
  span = np.subtract(*packing.code_range(output.bits)[::-1])
  # The middle of the codes lies at the mean for signed outputs, and one
  # deviation above it for the output of a ReLU.
  means = sums.mean(axis=(0, 1, 2))
  low = means if spec.tensor(layer.output).signed else means - deviations
  ratios = span / (4 * deviations) * rng.uniform(0.7, 1.0, channels)
  multipliers, rescale = quantization.fixed_point(ratios)
  return quantized_network.WeightedLayer(
      weight_codes=layer_constants.weight_codes,
      weight_zero_points=zero_points,
      bias=np.floor(-low).astype(np.int32),
      multipliers=multipliers,
      rescale=rescale,
  )


def _run(layer, inputs, params, constants) -> np.ndarray:
  """Returns the codes that a layer gives, before the network exists."""
  source = tuple(params[name] for name in layer.inputs)
  output = params[layer.output]
  if layer.op is specs.Op.ADD:
    return reference_ops.add(*inputs, source, output, constants)
  if layer.op is specs.Op.MAX_POOL_2D:
    return reference_ops.max_pool(inputs[0], layer)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    return reference_ops.average_pool(
        inputs[0], layer, constants, source[0], output
    )
  sums = reference_ops.accumulate(
      inputs[0], layer, constants, source[0].zero_point
  )
  return quantization.requantize(
      sums, constants.multipliers, constants.rescale, output
  )
