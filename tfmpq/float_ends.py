"""Changes the two ends of a FloatNetwork: what it reads, what it returns.

Every network here reads `real = (pixel - 128) / 128`. One that was trained on
other numbers gets its first layer scaled and shifted so that it computes the
same from these.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq import float_network
from tfmpq import specs

# real = (pixel - 128) / 128; see datasets.to_input.
_OFFSET, _STEPS = 128.0, 128.0
_LAST_PIXEL = 255
_SHIFT_LAYER = 'input_shift'


@dataclasses.dataclass(frozen=True)
class InputEncoding:
  """How a network reads pixels: `real = scale * (pixel - offset)`.

  Attributes:
    scale: one number, or one per input channel.
    offset: likewise.
  """

  scale: float | tuple[float, ...]
  offset: float | tuple[float, ...]


def normalization(
    mean: tuple[float, ...], deviation: tuple[float, ...]
) -> InputEncoding:
  """Returns the encoding `(pixel / 255 - mean) / deviation` per channel."""
  return InputEncoding(
      tuple(1 / (_LAST_PIXEL * number) for number in deviation),
      tuple(_LAST_PIXEL * number for number in mean),
  )


def reading_pixels(
    network: float_network.FloatNetwork,
    encoding: InputEncoding,
    shift: str = 'layer',
) -> float_network.FloatNetwork:
  """Returns the network that reads our inputs instead of its own.

  Args:
    network: reads pixels by `encoding`.
    encoding: see InputEncoding.
    shift: what happens if it has another zero than ours and the first layer
      pads with it. 'layer': a 1x1 depthwise layer in front shifts the zero, and
      nothing changes. 'bias': the first layer takes the shift, as it does
      without padding; no layer is added, and beyond the border pixels are 128.

  Raises:
    ValueError: a layer without weights reads the input, or the encoding is one
      for another number of channels.
  """
  spec = network.spec
  channels = spec.tensor(spec.input).shape[2]
  scale = np.asarray(encoding.scale, np.float64)
  offset = np.asarray(encoding.offset, np.float64)
  for what, numbers in (('scale', scale), ('offset', offset)):
    if numbers.size not in (1, channels):
      raise ValueError(
          f'network {spec.name!r} reads {channels} channels, the {what} of its '
          f'input is {numbers.tolist()}'
      )
  factor = np.broadcast_to(scale * _STEPS, (channels,))
  term = np.broadcast_to(scale * (_OFFSET - offset), (channels,))
  if (factor == 1).all() and (term == 0).all():
    return network
  for layer in spec.layers:
    if spec.input in layer.inputs and layer.weight is None:
      raise ValueError(
          f"layer '{layer.name}' ({layer.op.value}) reads the network input; "
          'expected a convolution or dense layer there, into which the input '
          f'can be folded ({encoding})'
      )
  padded = any(any(layer.padding) for layer in _readers(spec))
  if shift == 'layer' and padded and term.any():
    network = _with_shift_layer(network, term / factor)
    return _folded(network, _SHIFT_LAYER, factor, np.zeros(channels))
  return _folded(network, spec.input, factor, term)


def _readers(spec: specs.NetworkSpec) -> list[specs.LayerSpec]:
  return [layer for layer in spec.layers if spec.input in layer.inputs]


def _folded(
    network: float_network.FloatNetwork,
    source: str,
    factor: np.ndarray,
    shift: np.ndarray,
) -> float_network.FloatNetwork:
  """Puts `factor * x + shift` per channel into the layers that read x."""
  weights, biases = dict(network.weights), dict(network.biases)
  for layer in network.spec.layers:
    if source not in layer.inputs:
      continue
    weight = weights[layer.weight].astype(np.float64)
    # The input channels come last in every layout; see specs.TensorSpec.
    kept = weight.ndim - 1 if layer.op is specs.Op.DEPTHWISE_CONV_2D else 0
    axes = tuple(a for a in range(weight.ndim) if a != kept)
    sums = (weight * shift).sum(axis=axes)
    weights[layer.weight] = (weight * factor).astype(np.float32)
    biases[layer.name] = (biases[layer.name] + sums).astype(np.float32)
  return dataclasses.replace(network, weights=weights, biases=biases)


def _with_shift_layer(
    network: float_network.FloatNetwork, shift: np.ndarray
) -> float_network.FloatNetwork:
  """Puts a 1x1 depthwise layer in front that adds `shift` per channel.

  A layer that pads does so with its own zero, which is not ours. With 8 bits
  and this shift the codes are the pixels themselves, so that nothing is lost.
  """
  spec = network.spec
  height, width, channels = spec.tensor(spec.input).shape
  weight = f'{_SHIFT_LAYER}/weight'
  tensors = (
      specs.TensorSpec(
          weight,
          specs.TensorKind.WEIGHT,
          (1, 1, channels),
          fixed_bits=8,
      ),
      specs.TensorSpec(
          _SHIFT_LAYER,
          specs.TensorKind.ACTIVATION,
          (height, width, channels),
          signed=bool((shift < 1).any()),  # The smallest input is -1.
          fixed_bits=8,
      ),
  )
  layer = specs.LayerSpec(
      _SHIFT_LAYER,
      specs.Op.DEPTHWISE_CONV_2D,
      (spec.input,),
      _SHIFT_LAYER,
      weight,
  )
  rest = tuple(
      dataclasses.replace(
          other,
          inputs=tuple(
              _SHIFT_LAYER if name == spec.input else name
              for name in other.inputs
          ),
      )
      for other in spec.layers
  )
  return dataclasses.replace(
      network,
      spec=dataclasses.replace(
          spec, tensors=(*spec.tensors, *tensors), layers=(layer, *rest)
      ),
      weights={
          **network.weights,
          weight: np.ones((1, 1, channels), np.float32),
      },
      biases={**network.biases, _SHIFT_LAYER: shift.astype(np.float32)},
  )


def without_first_outputs(
    network: float_network.FloatNetwork, count: int
) -> float_network.FloatNetwork:
  """Returns the network without its first `count` logits.

  Raises:
    ValueError: the last layer is no convolution or dense layer, or has not
      that many outputs.
  """
  if count == 0:
    return network
  spec = network.spec
  layer = spec.producer(spec.output)
  shape = spec.tensor(spec.output).shape
  dense = (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED)
  if layer.op not in dense or not 0 < count < shape[2]:
    raise ValueError(
        f"cannot leave out {count} outputs of layer '{layer.name}' "
        f'({layer.op.value}, {shape[2]} outputs); expected a convolution or '
        'dense layer with more'
    )
  shapes = {
      spec.output: (*shape[:2], shape[2] - count),
      layer.weight: (shape[2] - count, *spec.tensor(layer.weight).shape[1:]),
  }
  tensors = tuple(
      dataclasses.replace(tensor, shape=shapes.get(tensor.name, tensor.shape))
      for tensor in spec.tensors
  )
  return dataclasses.replace(
      network,
      spec=dataclasses.replace(spec, tensors=tensors),
      weights={
          **network.weights,
          layer.weight: network.weights[layer.weight][count:],
      },
      biases={
          **network.biases,
          layer.name: network.biases[layer.name][count:],
      },
  )
