"""The nouns of tfmpq: networks, tensors, layers, policies.

Everything here is a frozen dataclass that is validated when it is built, has
no behaviour beyond look-ups, and imports nothing from tfmpq. Shapes of
activations are `(height, width, channels)`, without a batch dimension; a
vector of n values is `(1, 1, n)`.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import difflib
import enum
import json
from typing import Any

BIT_WIDTHS = (2, 4, 8)
# HAQ's range: emulated for comparison, never packed, exported or deployed.
COMPARISON_WIDTHS = tuple(range(1, 9))


class Op(str, enum.Enum):
  """What a layer computes. The value is the name used in files."""

  CONV_2D = 'conv2d'
  DEPTHWISE_CONV_2D = 'depthwise_conv2d'
  FULLY_CONNECTED = 'fully_connected'
  ADD = 'add'
  AVERAGE_POOL_2D = 'average_pool'
  MAX_POOL_2D = 'max_pool'


WEIGHTED_OPS = (Op.CONV_2D, Op.DEPTHWISE_CONV_2D, Op.FULLY_CONNECTED)


class TensorKind(str, enum.Enum):
  """What a tensor holds. The value is the name used in files."""

  ACTIVATION = 'activation'
  WEIGHT = 'weight'


@dataclasses.dataclass(frozen=True)
class TensorSpec:
  """One activation or weight tensor.

  Attributes:
    name: unique in the network.
    kind: activation or weight.
    shape: activation `(height, width, channels)`; conv2d weight
      `(C_out, kH, kW, C_in)`; depthwise weight `(kH, kW, C)`; fully connected
      weight `(C_out, C_in)`.
    signed: activations only: True if values below zero are to be represented
      (linear outputs, adds without ReLU); False for outputs of a ReLU.
    fixed_bits: the only width allowed (network input and output: 8), or None.
    bits_of: name of the activation whose bits and quantization parameters
      this one shares (a max pool's output shares its input's), or None. Such
      a tensor has no policy entry of its own.
  """

  name: str
  kind: TensorKind
  shape: tuple[int, ...]
  signed: bool = False
  fixed_bits: int | None = None
  bits_of: str | None = None

  def __post_init__(self):
    if not self.shape or any(d < 1 for d in self.shape):
      raise ValueError(
          f"tensor '{self.name}': every dimension must be at least 1, "
          f'received {self.shape}'
      )
    if self.kind is TensorKind.ACTIVATION and len(self.shape) != 3:
      raise ValueError(
          f"activation '{self.name}': expected (height, width, channels), "
          f'received {self.shape}'
      )
    if self.fixed_bits is not None:
      check_bits(self.fixed_bits, f"tensor '{self.name}'")

  @property
  def num_elements(self) -> int:
    count = 1
    for dim in self.shape:
      count *= dim
    return count


@dataclasses.dataclass(frozen=True)
class LayerSpec:
  """One operation of a network, in the order of execution.

  Attributes:
    name: unique in the network.
    op: what is computed.
    inputs: names of the input activations (two for add, else one).
    output: name of the output activation.
    weight: name of the weight tensor, or None.
    kernel_size: (height, width) of the window.
    stride: (vertical, horizontal).
    padding: explicit (top, left, bottom, right) elements. Frameworks differ
      in what 'same' means, so it is resolved before a LayerSpec is built.
  """

  name: str
  op: Op
  inputs: tuple[str, ...]
  output: str
  weight: str | None = None
  kernel_size: tuple[int, int] = (1, 1)
  stride: tuple[int, int] = (1, 1)
  padding: tuple[int, int, int, int] = (0, 0, 0, 0)

  def __post_init__(self):
    num_inputs = 2 if self.op is Op.ADD else 1
    if len(self.inputs) != num_inputs:
      raise ValueError(
          f"layer '{self.name}' ({self.op.value}): expected {num_inputs} "
          f'input(s), received {self.inputs}'
      )
    if (self.weight is not None) != (self.op in WEIGHTED_OPS):
      raise ValueError(
          f"layer '{self.name}' ({self.op.value}): a weight tensor belongs to "
          f'{[op.value for op in WEIGHTED_OPS]} only, received {self.weight}'
      )
    if min(self.kernel_size + self.stride) < 1 or min(self.padding) < 0:
      raise ValueError(
          f"layer '{self.name}': kernel size and stride must be at least 1 "
          f'and padding at least 0, received {self.kernel_size}, '
          f'{self.stride}, {self.padding}'
      )
    top, left, bottom, right = self.padding
    k_h, k_w = self.kernel_size
    if max(top, bottom) >= k_h or max(left, right) >= k_w:
      raise ValueError(
          f"layer '{self.name}': padding {self.padding} must be smaller than "
          f'the kernel {self.kernel_size}, or a window holds no input at all'
      )


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
  """A feed-forward network: tensors, and layers in execution order.

  `input` and `output` name the activations at its two ends. Validated at
  construction: unique names, every layer reads what exists before it, shapes
  agree, every weight is used exactly once.
  """

  name: str
  tensors: tuple[TensorSpec, ...]
  layers: tuple[LayerSpec, ...]
  input: str
  output: str

  def __post_init__(self):
    by_name = {t.name: t for t in self.tensors}
    if len(by_name) != len(self.tensors):
      raise ValueError(f"network '{self.name}': tensor names must be unique")
    if len({layer.name for layer in self.layers}) != len(self.layers):
      raise ValueError(f"network '{self.name}': layer names must be unique")
    ready = {self.input}
    for layer in self.layers:
      for name in layer.inputs:
        if name not in ready:
          raise ValueError(
              f"layer '{layer.name}' reads '{name}', which no earlier layer "
              f'of the network produces'
          )
      if layer.output in ready:
        raise ValueError(
            f"layer '{layer.name}' writes '{layer.output}' a second time"
        )
      ready.add(layer.output)
      _check_shapes(layer, by_name)
    if self.output not in ready:
      raise ValueError(f"no layer produces the network output '{self.output}'")
    weights = [layer.weight for layer in self.layers if layer.weight]
    used = sorted(ready) + sorted(weights)
    if sorted(used) != sorted(by_name):
      raise ValueError(
          f"network '{self.name}': tensors {sorted(by_name)} are not the ones "
          f'that the layers use: {sorted(used)}'
      )

  def tensor(self, name: str) -> TensorSpec:
    """Returns the tensor of that name; ValueError names the nearest one."""
    for tensor in self.tensors:
      if tensor.name == name:
        return tensor
    raise ValueError(
        f"network '{self.name}' has no tensor '{name}'"
        + did_you_mean(name, [t.name for t in self.tensors])
    )

  def producer(self, name: str) -> LayerSpec:
    """Returns the layer whose output is that activation."""
    return next(layer for layer in self.layers if layer.output == name)

  def bits_owner(self, name: str) -> str:
    """Returns the tensor in whose policy entry this tensor's bits stand."""
    owner = self.tensor(name).bits_of
    return name if owner is None else self.bits_owner(owner)

  @property
  def activations(self) -> tuple[TensorSpec, ...]:
    return tuple(t for t in self.tensors if t.kind is TensorKind.ACTIVATION)

  @property
  def weights(self) -> tuple[TensorSpec, ...]:
    return tuple(t for t in self.tensors if t.kind is TensorKind.WEIGHT)

  @property
  def policy_tensors(self) -> tuple[TensorSpec, ...]:
    """Tensors with a policy entry of their own, fixed ones included."""
    return tuple(t for t in self.tensors if t.bits_of is None)

  def to_json(self) -> str:
    return json.dumps(dataclasses.asdict(self), indent=2) + '\n'

  @classmethod
  def from_json(cls, text: str) -> NetworkSpec:
    raw = json.loads(text)
    tensors = tuple(
        TensorSpec(
            **{**t, 'kind': TensorKind(t['kind']), 'shape': tuple(t['shape'])}
        )
        for t in raw.pop('tensors')
    )
    layers = tuple(_layer_from_json(layer) for layer in raw.pop('layers'))
    return cls(tensors=tensors, layers=layers, **raw)

  @property
  def num_macs(self) -> int:
    """Multiply-accumulates of one inference, padding taps counted."""
    return sum(layer_macs(self, layer) for layer in self.layers)


def _layer_from_json(raw: Mapping[str, Any]) -> LayerSpec:
  fields: dict[str, Any] = {
      key: tuple(value) if isinstance(value, list) else value
      for key, value in raw.items()
  }
  return LayerSpec(**{**fields, 'op': Op(raw['op'])})


def output_size(
    size: int, kernel: int, stride: int, before: int, after: int
) -> int:
  """Returns the output elements of a window along one axis."""
  return (size + before + after - kernel) // stride + 1


def _check_shapes(layer: LayerSpec, tensors: Mapping[str, TensorSpec]) -> None:
  """Raises ValueError unless the layer's tensors fit each other."""
  names = (*layer.inputs, layer.output) + ((layer.weight,) * bool(layer.weight))
  for name in names:
    if name not in tensors:
      raise ValueError(f"layer '{layer.name}' uses an unknown tensor '{name}'")
  height, width, channels = tensors[layer.inputs[0]].shape
  out_channels = tensors[layer.output].shape[2]
  top, left, bottom, right = layer.padding
  (k_h, k_w), (s_h, s_w) = layer.kernel_size, layer.stride
  expected: dict[str, tuple[int, ...]] = {
      layer.output: (
          output_size(height, k_h, s_h, top, bottom),
          output_size(width, k_w, s_w, left, right),
          out_channels
          if layer.op in (Op.CONV_2D, Op.FULLY_CONNECTED)
          else channels,
      )
  }
  if layer.op is Op.CONV_2D:
    expected[layer.weight] = (out_channels, k_h, k_w, channels)
  elif layer.op is Op.DEPTHWISE_CONV_2D:
    expected[layer.weight] = (k_h, k_w, channels)
  elif layer.op is Op.FULLY_CONNECTED:
    expected[layer.weight] = (out_channels, channels)
    expected[layer.inputs[0]] = (1, 1, channels)
  elif layer.op is Op.ADD:
    expected[layer.inputs[1]] = tensors[layer.inputs[0]].shape
  for name, shape in expected.items():
    if tensors[name].shape != shape:
      raise ValueError(
          f"layer '{layer.name}' ({layer.op.value}): tensor '{name}' must have "
          f'shape {shape}, received {tensors[name].shape}'
      )


def layer_macs(network: NetworkSpec, layer: LayerSpec) -> int:
  """Multiply-accumulates of a layer; 0 for layers without weights."""
  if layer.weight is None:
    return 0
  height, width, _ = network.tensor(layer.output).shape
  return height * width * network.tensor(layer.weight).num_elements


@dataclasses.dataclass(frozen=True)
class QuantizationPolicy:
  """Tensor name -> 2, 4 or 8 bits, to compare 1 to 8; one entry per tensor.

  An activation's bits belong to the tensor, never to the two layers that
  touch it. Equality, hashing and the JSON form do not depend on the order in
  which entries were given.
  """

  entries: tuple[tuple[str, int], ...]

  def __post_init__(self):
    for name, bits in self.entries:
      check_bits(bits, f"tensor '{name}'", COMPARISON_WIDTHS)
    if len({name for name, _ in self.entries}) != len(self.entries):
      raise ValueError('a policy holds one entry per tensor')
    object.__setattr__(self, 'entries', tuple(sorted(self.entries)))

  @classmethod
  def of(cls, bits_by_tensor: Mapping[str, int]) -> QuantizationPolicy:
    return cls(tuple(bits_by_tensor.items()))

  @classmethod
  def uniform(
      cls, network: NetworkSpec, weight_bits: int, activation_bits: int
  ) -> QuantizationPolicy:
    """Every tensor at one width of its kind; fixed tensors keep theirs."""
    by_kind = {
        TensorKind.WEIGHT: weight_bits,
        TensorKind.ACTIVATION: activation_bits,
    }
    return cls.of(
        {
            t.name: t.fixed_bits or by_kind[t.kind]
            for t in network.policy_tensors
        }
    )

  def as_dict(self) -> dict[str, int]:
    return dict(self.entries)

  def with_bits(self, bits_by_tensor: Mapping[str, int]) -> QuantizationPolicy:
    """Returns a copy with some entries changed; names must exist."""
    merged = self.as_dict()
    for name, bits in bits_by_tensor.items():
      if name not in merged:
        raise ValueError(
            f"the policy has no tensor '{name}'" + did_you_mean(name, merged)
        )
      merged[name] = bits
    return QuantizationPolicy.of(merged)

  def check(self, network: NetworkSpec, widths=BIT_WIDTHS) -> None:
    """Raises ValueError unless entries are the network's, bits in `widths`."""
    expected = {t.name for t in network.policy_tensors}
    received = {name for name, _ in self.entries}
    if expected != received:
      raise ValueError(
          f"policy for network '{network.name}': missing tensors "
          f'{sorted(expected - received)}, unknown tensors '
          f'{sorted(received - expected)}'
      )
    bits = self.as_dict()
    for tensor in network.policy_tensors:
      check_bits(bits[tensor.name], f"tensor '{tensor.name}'", widths)
      if tensor.fixed_bits not in (None, bits[tensor.name]):
        raise ValueError(
            f"tensor '{tensor.name}' is fixed at {tensor.fixed_bits} bits, "
            f'the policy says {bits[tensor.name]}'
        )

  def bits(self, network: NetworkSpec, tensor: str) -> int:
    """Returns the width of a tensor, through `bits_of` where it shares."""
    return self.as_dict()[network.bits_owner(tensor)]

  def to_json(self) -> str:
    return json.dumps(self.as_dict(), indent=2, sort_keys=True) + '\n'

  @classmethod
  def from_json(cls, text: str) -> QuantizationPolicy:
    return cls.of(json.loads(text))


def check_bits(bits: int, what: str, widths=BIT_WIDTHS) -> None:
  """Raises ValueError unless `bits` is one of the widths, 2, 4 or 8."""
  if bits not in widths:
    raise ValueError(
        f'{what}: expected bits in {tuple(widths)}, received {bits}; widths '
        f"but {BIT_WIDTHS} serve comparisons in the memory model 'paper' only"
    )


def did_you_mean(word: str, candidates) -> str:
  """Returns "; did you mean 'x'?" or the list of what exists."""
  candidates = [str(c) for c in candidates]
  near = difflib.get_close_matches(word, candidates, n=1)
  if near:
    return f"; did you mean '{near[0]}'?"
  return f'; there are {sorted(candidates)}'
