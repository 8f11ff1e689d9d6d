"""PyTorch state dicts -> FloatNetworks: names, layouts, BatchNorm, padding.

A state dict says neither how layers are connected nor how a convolution pads:
both come from the network of that name here and from what is known of the
program that trained it (`StateDictFormat`).

  layout                    PyTorch               here
  convolution               [C_out, C_in, kH, kW] [C_out, kH, kW, C_in]
  depthwise convolution     [C, 1, kH, kW]        [kH, kW, C]
  dense                     [C_out, C_in]         [C_out, C_in]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses

import numpy as np

from tfmpq import float_ends
from tfmpq import float_network
from tfmpq import network_tables
from tfmpq import specs

_BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var')
# A counter that training needs.
_IGNORED = '.num_batches_tracked'
# How many names a message lists.
_NUM_NAMED = 5

# Layer here -> (prefix of its weights, prefix of its BatchNorm).
_Sources = dict[str, tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class StateDictFormat:
  """What the program that trained a network is known to do.

  Attributes:
    table: the blocks of the network.
    sources: blocks of the network -> where the tensors of each layer are, but
      for the last one.
    classifier: prefix of the last layer.
    epsilon: of BatchNorm.
    symmetric: whether convolutions pad by half of the kernel on every side;
      otherwise as TensorFlow's 'same'. They differ where a stride is 2.
    encoding: how the network reads pixels.
  """

  table: network_tables.InvertedResiduals
  sources: Callable[[list[network_tables.Block]], _Sources]
  classifier: str
  epsilon: float
  symmetric: bool
  encoding: float_ends.InputEncoding


def number_of_classes(
    arrays: Mapping[str, np.ndarray],
    state_format: StateDictFormat,
    width: float,
) -> int:
  """Returns the outputs of the last layer.

  Args:
    arrays: name -> tensor, in PyTorch's layout.
    state_format: of the arrays.
    width: channel multiplier of the network.

  Raises:
    ValueError: names are missing or left over.
  """
  blocks = network_tables.blocks(state_format.table, width)
  expected = set()
  for source, batch_norm in state_format.sources(blocks).values():
    expected.add(f'{source}.weight')
    expected.update(f'{batch_norm}.{name}' for name in _BATCH_NORM)
  last = f'{state_format.classifier}.weight'
  expected.update([last, f'{state_format.classifier}.bias'])
  found = {name for name in arrays if not name.endswith(_IGNORED)}
  missing, unknown = expected - found, found - expected
  if missing or unknown:
    raise ValueError(
        f'expected {len(expected)} tensors, received {len(found)}; missing: '
        f'{_some(missing)}; unexpected: {_some(unknown)}. Is --model the '
        'network of the file?'
    )
  if arrays[last].ndim != 2:
    raise ValueError(
        f"'{last}' has shape {arrays[last].shape}, expected [classes, channels]"
    )
  return len(arrays[last])


def to_network(
    arrays: Mapping[str, np.ndarray],
    state_format: StateDictFormat,
    network: float_network.FloatNetwork,
    width: float,
) -> float_network.FloatNetwork:
  """Returns `network` with the weights and the padding of a state dict.

  Args:
    arrays: what `number_of_classes` has accepted.
    state_format: of the arrays.
    network: as `keras_graph` folds it; its weights do not matter.
    width: channel multiplier of the network.

  Raises:
    ValueError: a shape is another.
  """
  sources = state_format.sources(
      network_tables.blocks(state_format.table, width)
  )
  last = network.spec.producer(network.spec.output).name
  sources[last] = (state_format.classifier, '')
  weights, biases = {}, {}
  for layer in network.spec.layers:
    if layer.weight is not None:
      shape = network.weights[layer.weight].shape
      weight, bias = _folded(
          arrays, *sources[layer.name], layer.op, shape, state_format.epsilon
      )
      weights[layer.weight] = weight.astype(np.float32)
      biases[layer.name] = bias.astype(np.float32)
  spec = network.spec
  if state_format.symmetric:
    layers = tuple(_symmetric(layer) for layer in spec.layers)
    spec = dataclasses.replace(spec, layers=layers)
  return dataclasses.replace(network, spec=spec, weights=weights, biases=biases)


def _folded(
    arrays: Mapping[str, np.ndarray],
    source: str,
    batch_norm: str,
    op: specs.Op,
    shape: tuple[int, ...],
    epsilon: float,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns float64 (weight of `shape`, bias [C_out]) with BatchNorm in it."""
  depthwise = op is specs.Op.DEPTHWISE_CONV_2D
  channels = shape[-1] if depthwise else shape[0]
  weight = _in_our_layout(arrays[f'{source}.weight'], op)
  if weight is None or weight.shape != shape:
    raise ValueError(
        f"'{source}.weight' has shape {arrays[f'{source}.weight'].shape}, "
        f'expected that of {op.value} {shape} in the layout of PyTorch; is '
        '--width right?'
    )
  tensors = (
      {name: arrays[f'{batch_norm}.{name}'] for name in _BATCH_NORM}
      if batch_norm
      else {'bias': arrays[f'{source}.bias']}
  )
  for name, tensor in tensors.items():
    if tensor.shape != (channels,):
      raise ValueError(
          f"'{batch_norm or source}.{name}' has shape {tensor.shape}, expected "
          f'({channels},); is --width right?'
      )
  doubles = {name: a.astype(np.float64) for name, a in tensors.items()}
  if not batch_norm:
    return weight.astype(np.float64), doubles['bias']
  factor = doubles['weight'] / np.sqrt(doubles['running_var'] + epsilon)
  bias = doubles['bias'] - doubles['running_mean'] * factor
  if depthwise:
    return weight * factor, bias
  return (weight.T * factor).T, bias


def _in_our_layout(weight: np.ndarray, op: specs.Op) -> np.ndarray | None:
  """Returns a weight in the layout of `specs`; None if its rank is another."""
  if op is specs.Op.FULLY_CONNECTED:
    return weight
  if weight.ndim != 4:
    return None
  if op is specs.Op.CONV_2D:
    return weight.transpose(0, 2, 3, 1)
  return weight[:, 0].transpose(1, 2, 0) if weight.shape[1] == 1 else None


def _symmetric(layer: specs.LayerSpec) -> specs.LayerSpec:
  """Returns the layer with half of its kernel as padding on every side."""
  if layer.weight is None:
    return layer
  vertical, horizontal = (size // 2 for size in layer.kernel_size)
  return dataclasses.replace(
      layer, padding=(vertical, horizontal, vertical, horizontal)
  )


def _some(names) -> str:
  shown = ', '.join(sorted(names)[:_NUM_NAMED]) or 'none'
  more = len(names) - _NUM_NAMED
  return shown + (f' and {more} more' if more > 0 else '')


def _torchvision_mobilenet_v2(blocks: list[network_tables.Block]) -> _Sources:
  """Prefixes of torchvision.models.mobilenet_v2."""
  found = {'conv_stem': ('features.0.0', 'features.0.1')}
  for index, block in enumerate(blocks, start=1):
    parts = ['dw'] if block.expansion == 1 else ['expand', 'dw']
    prefix = f'features.{index}.conv'
    for position, part in enumerate(parts):
      found[f'{block.name}_{part}'] = (
          f'{prefix}.{position}.0',
          f'{prefix}.{position}.1',
      )
    found[f'{block.name}_project'] = (
        f'{prefix}.{len(parts)}',
        f'{prefix}.{len(parts) + 1}',
    )
  last = f'features.{len(blocks) + 1}'
  found['conv_head'] = (f'{last}.0', f'{last}.1')
  return found


def _efficientnet_lite(blocks: list[network_tables.Block]) -> _Sources:
  """Prefixes of the EfficientNets that were ported from TensorFlow."""
  found = {'conv_stem': ('_conv_stem', '_bn0')}
  for index, block in enumerate(blocks):
    prefix = f'_blocks.{index}'
    if block.expansion != 1:
      found[f'{block.name}_expand'] = (
          f'{prefix}._expand_conv',
          f'{prefix}._bn0',
      )
    found[f'{block.name}_dw'] = (f'{prefix}._depthwise_conv', f'{prefix}._bn1')
    found[f'{block.name}_project'] = (
        f'{prefix}._project_conv',
        f'{prefix}._bn2',
    )
  found['conv_head'] = ('_conv_head', '_bn1')
  return found


# By the name of the network.
FORMATS = {
    'mobilenet_v2': StateDictFormat(
        network_tables.MOBILENET_V2,
        _torchvision_mobilenet_v2,
        'classifier.1',
        epsilon=1e-5,
        symmetric=True,
        encoding=float_ends.normalization(
            mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)
        ),
    ),
    'efficientnet_lite0': StateDictFormat(
        network_tables.EFFICIENTNET_LITE0,
        _efficientnet_lite,
        '_fc',
        epsilon=1e-3,
        symmetric=False,
        encoding=float_ends.InputEncoding(1 / 128, 127.0),
    ),
}
