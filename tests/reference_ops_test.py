"""The reference ops against loops in plain Python integers.

The loops follow tflm_ext/README.md sentence by sentence and share no code with
reference_ops: no windows, no matrix products, no NumPy arithmetic.
"""

import itertools

import numpy as np
import pytest

from tests import mixed_network
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import specs

_SEEDS = range(6)


def _taps(layer, shape, y, x):
  """Yields (i, j, row, column) of a window's taps inside the image."""
  for i, j in itertools.product(*map(range, layer.kernel_size)):
    row = y * layer.stride[0] + i - layer.padding[0]
    column = x * layer.stride[1] + j - layer.padding[1]
    if 0 <= row < shape[0] and 0 <= column < shape[1]:
      yield i, j, row, column


def _requantize(acc, multiplier, rescale, output) -> int:
  high = ((acc << rescale.pre_shift) * multiplier) >> 32
  code = (high + (1 << (rescale.shift - 1))) >> rescale.shift
  lowest, highest = packing.code_range(output.bits)
  return min(max(code + output.zero_point, lowest), highest)


def _weighted(network, layer, codes, y, x, c) -> int:
  """Returns one output of a conv2d, depthwise_conv2d or fully_connected."""
  constants = network.constants[layer.name]
  z_in = network.params[layer.inputs[0]].zero_point
  z_w = int(constants.weight_zero_points[c])
  acc = int(constants.bias[c])
  inside = {(i, j): (r, k) for i, j, r, k in _taps(layer, codes.shape, y, x)}
  depthwise = layer.op is specs.Op.DEPTHWISE_CONV_2D
  channels = [c] if depthwise else range(codes.shape[2])
  for i, j in itertools.product(*map(range, layer.kernel_size)):
    for k in channels:
      value = int(codes[(*inside[i, j], k)]) if (i, j) in inside else z_in
      if depthwise:
        weight = constants.weight_codes[i, j, c]
      elif layer.op is specs.Op.CONV_2D:
        weight = constants.weight_codes[c, i, j, k]
      else:
        weight = constants.weight_codes[c, k]
      acc += value * (int(weight) - z_w)
  return _requantize(
      acc,
      int(constants.multipliers[c]),
      constants.rescale,
      network.params[layer.output],
  )


def _average(network, layer, codes, y, x, c) -> int:
  constants = network.constants[layer.name]
  z_in = network.params[layer.inputs[0]].zero_point
  taps = list(_taps(layer, codes.shape, y, x))
  acc = sum(int(codes[row, column, c]) - z_in for _, _, row, column in taps)
  rows = constants.multipliers
  multiplier = int(rows[0] if len(rows) == 1 else rows[len(taps) - 1])
  output = network.params[layer.output]
  return _requantize(acc, multiplier, constants.rescale, output)


def _added(network, layer, first, second, y, x, c) -> int:
  constants = network.constants[layer.name]
  total = 1 << (constants.shift - 1)
  for name, codes, multiplier in zip(
      layer.inputs, (first, second), constants.multipliers, strict=True
  ):
    centred = int(codes[y, x, c]) - network.params[name].zero_point
    total += centred * multiplier
  output = network.params[layer.output]
  lowest, highest = packing.code_range(output.bits)
  code = (total >> constants.shift) + output.zero_point
  return min(max(code, lowest), highest)


def _expected(network, layer, inputs, y, x, c) -> int:
  if layer.op is specs.Op.ADD:
    return _added(network, layer, *inputs, y, x, c)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    return _average(network, layer, inputs[0], y, x, c)
  if layer.op is specs.Op.MAX_POOL_2D:
    return max(
        int(inputs[0][row, column, c])
        for _, _, row, column in _taps(layer, inputs[0].shape, y, x)
    )
  return _weighted(network, layer, inputs[0], y, x, c)


@pytest.mark.parametrize('seed', _SEEDS)
@pytest.mark.parametrize('per_channel', [False, True])
def test_every_layer_equals_a_loop_over_plain_integers(seed, per_channel):
  network = mixed_network.mixed_network(seed, per_channel)
  rng = np.random.default_rng(seed)
  images = rng.integers(-128, 128, (1, *mixed_network.INPUT_SHAPE))
  results = dict(reference_ops.run_layers(network, images.astype(np.int8)))
  for layer in network.spec.layers:
    inputs = [results[name][0] for name in layer.inputs]
    output = results[layer.output][0]
    for y, x, c in np.ndindex(output.shape):
      expected = _expected(network, layer, inputs, y, x, c)
      assert output[y, x, c] == expected, (seed, layer.name, y, x, c)


def test_batches_do_not_change_logits():
  network = mixed_network.mixed_network(3, True)
  rng = np.random.default_rng(3)
  codes = rng.integers(-128, 128, (7, *mixed_network.INPUT_SHAPE))
  codes = codes.astype(np.int8)
  together = reference_ops.run(network, codes)
  np.testing.assert_array_equal(
      together, reference_ops.run(network, codes, batch_size=2)
  )


def test_input_of_another_shape_or_type_is_refused():
  network = mixed_network.mixed_network(0, False)
  with pytest.raises(ValueError, match='must be int8 codes'):
    reference_ops.run(network, np.zeros((1, 3, 3, 3), np.int8))
  wrong = np.zeros((1, *mixed_network.INPUT_SHAPE), np.uint8)
  with pytest.raises(ValueError, match='received uint8'):
    reference_ops.run(network, wrong)


def test_convolution_by_hand():
  # One pixel of two channels, codes 5 and 250 - 256 = -6, zero point -1;
  # 4-bit weights 3 and 12 with zero point 7, that is -4 and 5.
  layer = specs.LayerSpec(
      'c', specs.Op.CONV_2D, ('in',), 'out', 'w', padding=(0, 0, 0, 0)
  )
  z_in = -1
  folded = 10 - z_in * (-4 + 5)
  constants = quantized_network.WeightedLayer(
      np.array([[[[3, 12]]]], np.uint8),
      np.array([7], np.int8),
      np.array([folded], np.int32),
      np.array([1 << 30], np.int32),
      quantization.Rescale(1),
  )
  codes = np.array([[[[5, -6]]]], np.int8)
  acc = reference_ops.accumulate(codes, layer, constants, z_in)
  # (5 + 1) * -4 + (-6 + 1) * 5 + 10 = -39.
  assert acc.tolist() == [[[[-39]]]]
  # -39 / 8 = -4.875 -> -5.
  output = quantization.QuantParams(8, 1.0, 0)
  codes = quantization.requantize(
      acc, constants.multipliers, constants.rescale, output
  )
  assert codes.tolist() == [[[[-5]]]]
