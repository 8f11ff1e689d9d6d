"""NumPy integer meaning of a .tflite with builtin ops (tflite_builtin).

Runs the file alone, as TFLM's kernels do, bit by bit. They scale an
accumulator by a multiplier of 31 bits and a power of two, and round after each
of the two (`multiply_by_quantized_multiplier`), where the contract of this
project rounds once: outputs differ by one code at most where the inputs are
equal. Sources: tensorflow/lite/kernels/internal in tflite-micro, common.cc,
quantization_util.cc and reference/.
"""

from __future__ import annotations

from collections.abc import Iterator
import math

import numpy as np

from tfmpq import tflite_builtin_shapes
from tfmpq import tflite_file

_ADD_LEFT_SHIFT = 20
_LOWEST, _HIGHEST = -128, 127


def quantize_multiplier(value: float) -> tuple[int, int]:
  """Returns (multiplier, shift): value = multiplier * 2^(shift - 31).

  The multiplier has 31 bits, or is 0 for values below 2^-32.
  """
  if value == 0:
    return 0, 0
  fraction, shift = math.frexp(value)
  multiplier = math.floor(fraction * 2**31 + 0.5)
  if multiplier == 2**31:
    multiplier //= 2
    shift += 1
  return (0, 0) if shift < -31 else (multiplier, shift)


def multiply_by_quantized_multiplier(
    values: np.ndarray,
    multipliers: np.ndarray | int,
    shifts: np.ndarray | int,
) -> np.ndarray:
  """Returns values * multiplier * 2^(shift - 31), rounded twice.

  Args:
    values: int64 in the int32 range, even after a left shift.
    multipliers: of 31 bits, of the shape of values' last axis or scalar.
    shifts: the same; positive ones shift left before the product.
  """
  multipliers = np.asarray(multipliers, np.int64)
  shifts = np.asarray(shifts, np.int64)
  product = (values << np.maximum(shifts, 0)) * multipliers
  # Halves up; then halves away from zero.
  high = (product + (1 << 30)) >> 31
  right = np.maximum(-shifts, 0)
  mask = (np.int64(1) << right) - 1
  remainder = high & mask
  threshold = (mask >> 1) + (high < 0)
  return (high >> right) + (remainder > threshold)


def run_operators(
    model: tflite_file.Model, codes: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
  """Yields (tensor index, codes) of the input, then of every op's output.

  Args:
    model: a parsed .tflite.
    codes: int8 [N, H, W, C] codes of the network input.

  Raises:
    ValueError: the codes do not fit the input, or the file holds what this
      reference does not know.
  """
  (source,) = model.inputs
  expected = model.tensors[source].shape[1:]
  if codes.dtype != np.int8 or codes.shape[1:] != expected:
    raise ValueError(
        f'network input must be int8 codes [N, {expected}], received '
        f'{codes.dtype}{list(codes.shape)}'
    )
  alive = {source: codes}
  yield source, codes
  last_reader = {
      index: i for i, o in enumerate(model.operators) for index in o.inputs
  }
  for i, operator in enumerate(model.operators):
    (output,) = operator.outputs
    alive[output] = run_operator(model, operator, alive)
    yield output, alive[output]
    for index in [n for n in alive if last_reader.get(n) == i]:
      del alive[index]


def run(model: tflite_file.Model, codes: np.ndarray) -> np.ndarray:
  """Returns int8 codes [N, H, W, C] of the network's output tensor."""
  for index, values in run_operators(model, codes):
    if index in model.outputs:
      result = values
  return result


def run_operator(
    model: tflite_file.Model,
    operator: tflite_file.Operator,
    activations: dict[int, np.ndarray],
) -> np.ndarray:
  """Returns the output codes of one op.

  Args:
    model: the file.
    operator: of the file.
    activations: tensor index -> int8 codes [N, H, W, C], of its inputs.
  """
  functions = {
      'ADD': _add,
      'AVERAGE_POOL_2D': _average_pool,
      'CONV_2D': _convolution,
      'DEPTHWISE_CONV_2D': _convolution,
      'MAX_POOL_2D': _max_pool,
      'MEAN': _mean,
      'PAD': _pad,
  }
  if operator.builtin not in functions:
    raise ValueError(
        f"no builtin op: '{operator.builtin or operator.custom_code}'"
    )
  fields = operator.fields
  if fields.get('FusedActivationFunction') or (
      {fields.get('DilationWFactor', 1), fields.get('DilationHFactor', 1)}
      != {1}
  ):
    raise ValueError(
        f'{operator.builtin}: expected no fused activation and no dilation, '
        f'received {dict(fields)}'
    )
  tensors = [model.tensors[i] for i in operator.inputs]
  inputs = [
      activations[i]
      for i, tensor in zip(operator.inputs, tensors, strict=True)
      if tensor.data is None
  ]
  output = model.tensors[operator.outputs[0]]
  return functions[operator.builtin](operator, tensors, output, inputs)


def _clamped(values: np.ndarray, zero_point: int) -> np.ndarray:
  return np.clip(values + zero_point, _LOWEST, _HIGHEST).astype(np.int8)


def _params(tensor: tflite_file.Tensor) -> tflite_file.Quantization:
  if tensor.quantization is None:
    raise ValueError(f"tensor '{tensor.name}' has no scale")
  return tensor.quantization


def _windows(codes, kernel, operator, output, outside) -> np.ndarray:
  """Returns a view [N, outH, outW, kH, kW, C].

  Args:
    codes: [N, H, W, C].
    kernel: (height, width).
    operator: its stride and padding.
    output: tensor, for the size.
    outside: what padding holds.
  """
  strides = (operator.fields['StrideH'], operator.fields['StrideW'])
  pads = []
  for size, taps, stride, outputs in zip(
      codes.shape[1:3], kernel, strides, output.shape[1:3], strict=True
  ):
    before = 0
    if operator.fields['Padding'] == tflite_builtin_shapes.SAME:
      before, _ = tflite_builtin_shapes.same_padding(size, taps, stride)
    after = (outputs - 1) * stride + taps - size - before
    pads.append((before, max(after, 0)))
  padded = np.pad(codes, ((0, 0), *pads, (0, 0)), constant_values=outside)
  view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
  view = view[:, :: strides[0], :: strides[1]]
  view = view[:, : output.shape[1], : output.shape[2]]
  return view.transpose(0, 1, 2, 4, 5, 3)


_OUTSIDE = -(2**15)  # no code is as small


def _convolution(operator, tensors, output, inputs) -> np.ndarray:
  source, weight, bias = tensors
  # Sums of integers far below 2^53 are exact in float64.
  codes = inputs[0].astype(np.float64) - _params(source).zero_point
  weights = tflite_file.constant_array(weight).astype(np.float64)
  kernel = weights.shape[1:3]
  taps = _windows(codes, kernel, operator, output, outside=0)
  if operator.builtin == 'DEPTHWISE_CONV_2D':
    sums = np.zeros(())
    for i, j in np.ndindex(*kernel):
      sums = sums + taps[:, :, :, i, j] * weights[0, i, j]
  else:
    flat = taps.reshape(*taps.shape[:3], -1)
    sums = flat @ weights.reshape(len(weights), -1).T
  sums = sums.astype(np.int64) + tflite_file.constant_array(bias)
  scales = _params(weight).channel_scales or (_params(weight).scale,)
  factor = _params(source).scale
  pairs = [
      quantize_multiplier(factor * scale / _params(output).scale)
      for scale in scales
  ]
  multipliers, shifts = np.array(pairs).T
  scaled = multiply_by_quantized_multiplier(sums, multipliers, shifts)
  return _clamped(scaled, _params(output).zero_point)


def _add(operator, tensors, output, inputs) -> np.ndarray:
  del operator
  twice_largest = 2 * max(_params(tensor).scale for tensor in tensors)
  total = np.zeros((), np.int64)
  for tensor, codes in zip(tensors, inputs, strict=True):
    centred = codes.astype(np.int64) - _params(tensor).zero_point
    pair = quantize_multiplier(_params(tensor).scale / twice_largest)
    total = total + multiply_by_quantized_multiplier(
        centred << _ADD_LEFT_SHIFT, *pair
    )
  pair = quantize_multiplier(
      twice_largest / (2**_ADD_LEFT_SHIFT * _params(output).scale)
  )
  scaled = multiply_by_quantized_multiplier(total, *pair)
  return _clamped(scaled, _params(output).zero_point)


def _mean(operator, tensors, output, inputs) -> np.ndarray:
  """Means over height and width: the count is folded into the multiplier."""
  del operator
  source, axes = tensors
  if tflite_file.constant_array(axes).tolist() != [1, 2]:
    raise ValueError('MEAN: expected the axes of height and width')
  count = int(np.prod(source.shape[1:3]))
  sums = inputs[0].astype(np.int64).sum(axis=(1, 2), keepdims=True)
  multiplier, shift = quantize_multiplier(
      _params(source).scale / _params(output).scale
  )
  left = min(count.bit_length() - 1, 32, 31 + shift)
  scaled = multiply_by_quantized_multiplier(
      sums - _params(source).zero_point * count,
      (multiplier << left) // count,
      shift - left,
  )
  return _clamped(scaled, _params(output).zero_point)


def _average_pool(operator, tensors, output, inputs) -> np.ndarray:
  """Rounds the mean of the codes themselves, halves away from code 0."""
  del tensors
  kernel = (operator.fields['FilterHeight'], operator.fields['FilterWidth'])
  codes = inputs[0].astype(np.int64)
  taps = _windows(codes, kernel, operator, output, _OUTSIDE)
  inside = taps != _OUTSIDE
  sums = np.where(inside, taps, 0).sum(axis=(3, 4))
  counts = inside.sum(axis=(3, 4))
  magnitudes = (np.abs(sums) + counts // 2) // counts
  return _clamped(np.sign(sums) * magnitudes, 0)


def _max_pool(operator, tensors, output, inputs) -> np.ndarray:
  del tensors
  kernel = (operator.fields['FilterHeight'], operator.fields['FilterWidth'])
  codes = inputs[0].astype(np.int64)
  taps = _windows(codes, kernel, operator, output, _OUTSIDE)
  return _clamped(taps.max(axis=(3, 4)), 0)


def _pad(operator, tensors, output, inputs) -> np.ndarray:
  del operator
  amounts = tflite_file.constant_array(tensors[1])[1:]  # the batch has none
  zero_point = _params(output).zero_point
  return np.pad(
      inputs[0], ((0, 0), *amounts.tolist()), constant_values=zero_point
  )
