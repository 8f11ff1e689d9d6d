"""GraphDraft: a FloatNetwork while it is being put together.

A float graph names things that an integer network does not have: BatchNorm,
activation functions, padding as a layer. They are folded into the layer or the
tensor before them, so both can change until `build` freezes them. Two rules
keep that safe: a tensor that a layer has read changes no more, and a `Value`
that was taken before a change cannot be read after it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq import float_network
from tfmpq import specs

_NO_PADDING = (0, 0, 0, 0)


@dataclasses.dataclass
class DraftTensor:
  """An activation that may still change.

  Attributes:
    name: unique name.
    shape: (height, width, channels).
    signed: whether it can be below zero.
    ceiling: upper bound of its activation function, or None.
    producer: the layer that writes it; None for the network input.
    version: number of changes so far.
    readers: names of what has read it; it may change as long as there are none.
  """

  name: str
  shape: tuple[int, int, int]
  signed: bool
  ceiling: float | None = None
  producer: DraftLayer | None = None
  version: int = 0
  readers: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class DraftLayer:
  """A layer with its weights; weights in the layout of specs.TensorSpec."""

  name: str
  op: specs.Op
  inputs: tuple[DraftTensor, ...]
  weight: np.ndarray | None
  bias: np.ndarray | None
  kernel_size: tuple[int, int]
  stride: tuple[int, int]
  padding: tuple[int, int, int, int]
  output: DraftTensor | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
  """What a layer of the float graph yields: a tensor as of one version.

  Attributes:
    tensor: the activation.
    version: of the tensor, when this value was taken.
    padding: zeros (top, left, bottom, right) to be put around it by its
      readers.
    flattened: whether its height and width were merged into the channels.
    is_probability: whether a softmax was left out after it.
  """

  tensor: DraftTensor
  version: int
  padding: tuple[int, int, int, int] = _NO_PADDING
  flattened: bool = False
  is_probability: bool = False

  @property
  def plain(self) -> bool:
    """True if the value is the tensor itself and nothing more."""
    return not (any(self.padding) or self.flattened or self.is_probability)


class GraphDraft:
  """Collects layers in execution order."""

  def __init__(self, name: str):
    self._name = name
    self._layers: list[DraftLayer] = []
    self._input: DraftTensor | None = None

  def add_input(self, name: str, shape: tuple[int, int, int]) -> Value:
    """Returns the network input; signed, as `real = (pixel - 128) / 128`."""
    if self._input is not None:
      raise ValueError(
          f"expected one input, received '{self._input.name}' and '{name}'"
      )
    self._input = DraftTensor(name, shape, signed=True)
    return Value(self._input, version=0)

  def add_layer(
      self,
      name: str,
      op: specs.Op,
      inputs: tuple[Value, ...],
      *,
      channels: int | None = None,
      weight: np.ndarray | None = None,
      bias: np.ndarray | None = None,
      kernel_size: tuple[int, int] = (1, 1),
      stride: tuple[int, int] = (1, 1),
      padding: tuple[int, int, int, int] = _NO_PADDING,
  ) -> Value:
    """Appends a layer, whose output tensor has its name; returns its output.

    Args:
      name: unique name.
      op: what is computed.
      inputs: values, whose own padding the caller has dealt with.
      channels: of the output; None for the input's.
      weight: in the layout of specs.TensorSpec, or None.
      bias: [C_out]; None for zeros.
      kernel_size: (height, width).
      stride: (vertical, horizontal).
      padding: (top, left, bottom, right).
    """
    tensors = tuple(self.read(value, name) for value in inputs)
    height, width, in_channels = tensors[0].shape
    top, left, bottom, right = padding
    shape = (
        specs.output_size(height, kernel_size[0], stride[0], top, bottom),
        specs.output_size(width, kernel_size[1], stride[1], left, right),
        channels or in_channels,
    )
    if min(shape) < 1:
      raise ValueError(
          f"layer '{name}': the kernel {kernel_size} does not fit into its "
          f'input of {tensors[0].shape} with padding {padding}'
      )
    if weight is not None:
      weight = np.asarray(weight, np.float64)
      bias = (
          np.zeros(shape[2]) if bias is None else np.asarray(bias, np.float64)
      )
    layer = DraftLayer(
        name, op, tensors, weight, bias, kernel_size, stride, padding
    )
    # Sums, averages and maxima of values that are never negative are not
    # negative either; a weighted sum can be.
    signed = weight is not None or any(t.signed for t in tensors)
    layer.output = DraftTensor(name, shape, signed, producer=layer)
    self._layers.append(layer)
    return Value(layer.output, version=0)

  def read(self, value: Value, reader: str) -> DraftTensor:
    """Returns the tensor of a value for good: it cannot change any more."""
    tensor = value.tensor
    if value.version != tensor.version:
      raise ValueError(
          f"layer '{reader}' reads what layer '{tensor.name}' computes before "
          'the BatchNorm or activation function that follows it; supported is '
          'one activation function per layer, whose result all readers read'
      )
    tensor.readers.append(reader)
    return tensor

  def changeable(self, value: Value, reader: str) -> DraftTensor:
    """Returns the tensor of a value for a change; `changed` must follow."""
    tensor = value.tensor
    if value.version != tensor.version or tensor.readers:
      raise ValueError(
          f"layer '{reader}' cannot be merged into layer '{tensor.name}', "
          'because another layer reads the value between them '
          f'({tensor.readers}); supported is one activation function per '
          'layer, whose result all readers read'
      )
    return tensor

  def changed(self, tensor: DraftTensor) -> Value:
    """Counts a change and returns the tensor's new value."""
    tensor.version += 1
    return Value(tensor, tensor.version)

  def scale_and_shift(
      self, value: Value, reader: str, factor: np.ndarray, shift: np.ndarray
  ) -> Value:
    """Folds `factor * x + shift` per channel into the layer before it."""
    tensor = self.changeable(value, reader)
    layer = tensor.producer
    if layer.op is specs.Op.DEPTHWISE_CONV_2D:
      layer.weight = layer.weight * factor  # [kH, kW, C]
    else:
      layer.weight = (layer.weight.T * factor).T  # [C_out, ...]
    layer.bias = layer.bias * factor + shift
    return self.changed(tensor)

  def build(self, output: Value) -> float_network.FloatNetwork:
    """Returns the finished network that ends at `output`."""
    last = self.read(output, 'network output')
    if last.producer is None:
      raise ValueError(f"network '{self._name}': no layer computes anything")
    # The network output has 8 bits; if it shares them, the owner has.
    while last.producer and last.producer.op is specs.Op.MAX_POOL_2D:
      last = last.producer.inputs[0]
    spec = specs.NetworkSpec(
        name=self._name,
        tensors=tuple(self._tensors(eight_bits={self._input.name, last.name})),
        layers=tuple(_layer_spec(layer) for layer in self._layers),
        input=self._input.name,
        output=output.tensor.name,
    )
    weighted = [layer for layer in self._layers if layer.weight is not None]
    return float_network.FloatNetwork(
        spec=spec,
        weights={
            _weight_name(layer): layer.weight.astype(np.float32)
            for layer in weighted
        },
        biases={
            layer.name: layer.bias.astype(np.float32) for layer in weighted
        },
        ceilings={
            layer.output.name: layer.output.ceiling
            for layer in self._layers
            if layer.output.ceiling is not None
        },
    )

  def _tensors(self, eight_bits: set[str]):
    activations = [self._input] + [layer.output for layer in self._layers]
    for tensor in activations:
      layer = tensor.producer
      if layer is not None and layer.weight is not None:
        yield specs.TensorSpec(
            _weight_name(layer), specs.TensorKind.WEIGHT, layer.weight.shape
        )
      shares = layer is not None and layer.op is specs.Op.MAX_POOL_2D
      yield specs.TensorSpec(
          name=tensor.name,
          kind=specs.TensorKind.ACTIVATION,
          shape=tensor.shape,
          signed=tensor.signed,
          fixed_bits=8 if tensor.name in eight_bits else None,
          bits_of=layer.inputs[0].name if shares else None,
      )


def _weight_name(layer: DraftLayer) -> str:
  return f'{layer.name}/weight'


def _layer_spec(layer: DraftLayer) -> specs.LayerSpec:
  return specs.LayerSpec(
      name=layer.name,
      op=layer.op,
      inputs=tuple(t.name for t in layer.inputs),
      output=layer.output.name,
      weight=None if layer.weight is None else _weight_name(layer),
      kernel_size=layer.kernel_size,
      stride=layer.stride,
      padding=layer.padding,
  )
