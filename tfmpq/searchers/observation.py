"""What the actor sees: layer, tensor, and what is left of the budget."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq.specs import LayerSpec
from tfmpq.specs import NetworkSpec
from tfmpq.specs import Op
from tfmpq.specs import TensorKind
from tfmpq.specs import TensorSpec


@dataclasses.dataclass(frozen=True)
class Observation:
  """What the actor sees before a decision; every value is in [0, 1].

  The first group (HAQ's, and what our constraint needs) depends only on the
  network. Each of its columns is min-max normalized over the decisions, once;
  a column without spread is 0. The second group depends on the decisions so
  far.

  Attributes:
    is_depthwise: 1 for a depthwise convolution.
    has_weight: 1 for a layer with weights.
    is_weight: 1 if a weight tensor is decided, 0 for an activation.
    input_channels: of the layer.
    output_channels: of the layer.
    stride: of the layer, vertical.
    kernel_size: elements of the layer's window.
    input_area: height * width of the layer's input.
    decision: position in the episode.
    log_elements: logarithm of the tensor's size.
    flash_share: the tensor's share of all weight elements; 0: activation.
    live_elements: most activation elements alive at once during the tensor's
      lifetime: the tensor binds the RAM budget where this is large. 0 for a
      weight.
    lifetime: layers from the one that writes the activation to its last
      reader. 0 for a weight.
    previous_action: the last decision's action as executed; 1 at first.
    ram_left: bytes of RAM left with all undecided tensors at their smallest
      width, as a share of what separates all at their smallest from all at
      their largest; 1: at least that much.
    flash_left: the same for FLASH.
    largest_width: largest width that keeps the budget reachable, as its
      position among the widths.
    is_next: one value per decision: 1 for the one to be taken.
    decided: one value per decision: (position among the widths + 1) / number
      of widths once it has been taken, 0 before. They make the process
      Markovian, and the last decisions see the whole policy.
  """

  is_depthwise: float
  has_weight: float
  is_weight: float
  input_channels: float
  output_channels: float
  stride: float
  kernel_size: float
  input_area: float
  decision: float
  log_elements: float
  flash_share: float
  live_elements: float
  lifetime: float
  previous_action: float
  ram_left: float
  flash_left: float
  largest_width: float
  is_next: tuple[float, ...]
  decided: tuple[float, ...]

  def to_array(self) -> np.ndarray:
    """Returns all values in the order of the fields, float32 [F]."""
    scalars = [getattr(self, name) for name in SCALAR_FIELDS]
    return np.array([*scalars, *self.is_next, *self.decided], np.float32)

  @classmethod
  def from_array(cls, array: np.ndarray) -> Observation:
    """The inverse of `to_array`."""
    num_scalars = len(SCALAR_FIELDS)
    values = map(float, array[:num_scalars])
    scalars = dict(zip(SCALAR_FIELDS, values, strict=True))
    is_next, decided = np.split(array[num_scalars:], 2)
    return cls(
        **scalars,
        is_next=tuple(map(float, is_next)),
        decided=tuple(map(float, decided)),
    )


_DECISION_FIELDS = ('is_next', 'decided')
_DYNAMIC_FIELDS = ('previous_action', 'ram_left', 'flash_left', 'largest_width')
SCALAR_FIELDS = tuple(
    field.name
    for field in dataclasses.fields(Observation)
    if field.name not in _DECISION_FIELDS
)
STATIC_FIELDS = tuple(n for n in SCALAR_FIELDS if n not in _DYNAMIC_FIELDS)


def static_observations(
    network: NetworkSpec, tensors: tuple[TensorSpec, ...]
) -> np.ndarray:
  """Returns the columns of STATIC_FIELDS, normalized, [num_decisions, S].

  Args:
    network: the network.
    tensors: those that are decided, in order.
  """
  live, last_use = _liveness(network)
  layer_of = {}
  for index, layer in enumerate(network.layers):
    for name in (layer.weight, layer.output):
      layer_of[name] = (index, layer)
  rows = []
  for position, tensor in enumerate(tensors):
    index, layer = layer_of[tensor.name]
    row = _layer_columns(network, layer)
    row |= _tensor_columns(network, tensor, index, live, last_use)
    row['decision'] = position
    rows.append([row[name] for name in STATIC_FIELDS])
  table = np.array(rows, np.float64)
  low, high = table.min(axis=0), table.max(axis=0)
  spread = np.where(high > low, high - low, 1.0)
  return ((table - low) / spread).astype(np.float32)


def _layer_columns(network: NetworkSpec, layer: LayerSpec) -> dict[str, float]:
  height, width, channels = network.tensor(layer.inputs[0]).shape
  return {
      'is_depthwise': layer.op is Op.DEPTHWISE_CONV_2D,
      'has_weight': layer.weight is not None,
      'input_channels': channels,
      'output_channels': network.tensor(layer.output).shape[2],
      'stride': layer.stride[0],
      'kernel_size': layer.kernel_size[0] * layer.kernel_size[1],
      'input_area': height * width,
  }


def _tensor_columns(
    network: NetworkSpec,
    tensor: TensorSpec,
    index: int,
    live: list[int],
    last_use: dict[str, int],
) -> dict[str, float]:
  is_weight = tensor.kind is TensorKind.WEIGHT
  num_weights = sum(t.num_elements for t in network.weights)
  end = index if is_weight else last_use[tensor.name]
  return {
      'is_weight': is_weight,
      'log_elements': np.log(tensor.num_elements),
      'flash_share': tensor.num_elements / num_weights if is_weight else 0,
      'live_elements': 0 if is_weight else max(live[index : end + 1]),
      'lifetime': end - index,
  }


def _liveness(network: NetworkSpec) -> tuple[list[int], dict[str, int]]:
  """Returns activation elements alive in each layer, and last uses.

  An activation is alive from the layer that writes it to its last reader;
  the last use of one that shares its bits counts for their owner.
  """
  first, last = {network.input: 0}, {}
  for index, layer in enumerate(network.layers):
    first[layer.output] = index
    for name in (*layer.inputs, layer.output):
      last[name] = index
  live = [0] * len(network.layers)
  for name, start in first.items():
    for index in range(start, last[name] + 1):
      live[index] += network.tensor(name).num_elements
  for name, end in list(last.items()):
    owner = network.bits_owner(name)
    last[owner] = max(last[owner], end)
  return live, last


def share_left(budget: int | None, needed: int, span: int) -> float:
  """Returns the bytes left of a budget as a share of `span`, 0..1.

  Args:
    budget: bytes; None: no limit.
    needed: bytes with all undecided tensors at their smallest width.
    span: bytes between all searched tensors at their smallest and at their
      largest width.
  """
  if budget is None:
    return 1.0
  left = max(0, budget - needed)
  return 1.0 if left >= span else left / span
