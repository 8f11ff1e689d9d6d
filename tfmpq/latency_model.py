"""Instructions of a network under a policy: the sum over its layers.

Layers run one after the other and share nothing, so that the instructions of a
network are those of its kernels (latency_table) and of their calls. That is
within 20 instructions of the count of a whole network
(latency_measuring_test).

One thing a policy does not tell: where a step of the products of a layer is at
least a fourth of a step of its output, its constants need a shift before the
multiplication (Rescale.pre_shift), and the layer takes 2 to 6 % longer. What a
policy is certified for is the worst case: every layer takes the way that is
longer, if widths allow a shift at all (`may_have_pre_shift`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import dataclasses
import itertools

from tfmpq import kernel_targets
from tfmpq import specs
from tfmpq.latency_table import InstructionTable
from tfmpq.latency_table import LayerCall

# What a layer takes less inside a network than alone: layer_counter reads the
# arguments of its calls from memory, an export has them as constants.
_CALL_OVERHEAD = -5
# What a network takes besides its layers. With both, whole networks differ from
# the sum by at most 16 instructions on Cortex-M4 and M55.
_NETWORK_OVERHEAD = 10

# See `may_have_pre_shift`.
_MAX_GAIN = 16


@dataclasses.dataclass(frozen=True)
class LayerCost:
  """What a layer takes, for the widths of the tensors that it depends on.

  Attributes:
    layer: its name.
    tensors: policy entries, each once.
    counts: widths of these tensors, in their order -> instructions.
  """

  layer: str
  tensors: tuple[str, ...]
  counts: Mapping[tuple[int, ...], int]


class LatencyModel:
  """Instructions of a network under any policy, on one core.

  Attributes:
    network: the network.
    core: one of firmware.CORES.
    name: core and table, for the identity of saved searches.
  """

  def __init__(
      self,
      network: specs.NetworkSpec,
      table: InstructionTable,
      per_channel_zero_points: bool,
      how_to_measure: str = './bazelw run //tfmpq:latency',
  ):
    """Looks nothing up yet.

    Args:
      network: the network.
      table: counts of its layers.
      per_channel_zero_points: see QuantizedNetwork.
      how_to_measure: the command that adds what the table lacks.
    """
    self.network = network
    self.core = table.core
    self.name = f'instructions {table.core} {table.firmware[:12]}'
    self._counts = table.counts
    self._per_channel = per_channel_zero_points
    self._how_to_measure = how_to_measure
    self._known: dict[tuple[str, tuple[int, ...]], int] = {}
    self._layers = tuple(
        (layer, geometry(network, layer), layer_tensors(network, layer))
        for layer in network.layers
    )

  def instructions(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the instructions of one inference, in the worst case.

    Raises:
      ValueError: a layer was not counted with these widths; the message holds
        the command that does it.
    """
    bits = policy.as_dict()
    total = _NETWORK_OVERHEAD
    for layer, shape, names in self._layers:
      # Hashing a LayerCall takes longer than everything else here.
      widths = tuple(bits[name] for name in names)
      key = (layer.name, widths)
      if key not in self._known:
        self._known[key] = self._count(layer, shape, widths)
      total += self._known[key]
    return total

  def instructions_with(
      self, policy: specs.QuantizationPolicy, pre_shifted: Collection[str]
  ) -> int:
    """Returns the instructions of one inference with known constants.

    Args:
      policy: widths.
      pre_shifted: names of the layers with a shift before the multiplication.
    """
    bits = policy.as_dict()
    total = _NETWORK_OVERHEAD
    for layer, shape, names in self._layers:
      widths = [bits[name] for name in names]
      total += self._one(layer, shape, widths, layer.name in pre_shifted)
    return total

  def layer_costs(
      self, widths_of: Callable[[str], Sequence[int]]
  ) -> tuple[LayerCost, ...]:
    """Returns what every layer takes under all widths of its tensors.

    Args:
      widths_of: policy entry -> widths that it may have.
    """
    return tuple(
        LayerCost(
            layer.name,
            tuple(dict.fromkeys(names)),
            {
                tuple({n: w for n, w in widths}.values()): self._count(
                    layer, shape, [dict(widths)[n] for n in names]
                )
                for widths in _combinations(dict.fromkeys(names), widths_of)
            },
        )
        for layer, shape, names in self._layers
    )

  def _count(self, layer, shape, widths: Sequence[int]) -> int:
    plain = self._one(layer, shape, widths, False)
    if layer.weight is None or not may_have_pre_shift(*widths):
      return plain
    return max(plain, self._one(layer, shape, widths, True))

  def _one(self, layer, shape, widths: Sequence[int], pre_shift: bool) -> int:
    call = layer_call(shape, layer.weight, widths, self._per_channel, pre_shift)
    count = self._counts.get(call)
    if count is None:
      a, w, o = widths
      raise ValueError(
          f"the instructions of layer '{layer.name}' ({shape.op.value}, input "
          f'{shape.input_shape} of {a} bits, weight or last input of {w} bits, '
          f'output {shape.output_shape} of {o} bits) on {self.core} were not '
          f'counted yet; this does it: {self._how_to_measure}'
      )
    return count + _CALL_OVERHEAD


def calls(
    network: specs.NetworkSpec,
    widths_of: Callable[[str], Sequence[int]],
    per_channel_zero_points: bool,
) -> list[LayerCall]:
  """Returns everything that a table has to hold for a network, each once.

  Args:
    network: the network.
    widths_of: policy entry -> widths that it may have.
    per_channel_zero_points: see QuantizedNetwork.
  """
  found: dict[LayerCall, None] = {}
  for layer in network.layers:
    shape, names = geometry(network, layer), layer_tensors(network, layer)
    for widths in _combinations(dict.fromkeys(names), widths_of):
      bits = dict(widths)
      of_names = [bits[n] for n in names]
      for pre_shift in (False, True) if layer.weight else (False,):
        call = layer_call(
            *(shape, layer.weight, of_names, per_channel_zero_points),
            pre_shift,
        )
        found[call] = None
  return list(found)


def may_have_pre_shift(a: int, w: int, o: int) -> bool:
  """Returns whether a layer of these widths may need a shift of its sums.

  That is so if the scale of input times weight is at least a fourth of that of
  the output. Of the ranges it is assumed that the largest weight alone makes at
  most 16 times the output's range of the input's.

  Args:
    a: width of the input.
    w: width of the weight.
    o: width of the output.
  """
  weight_steps = 127 if w == 8 else 2**w - 1
  return 4 * _MAX_GAIN * (2**o - 1) >= (2**a - 1) * weight_steps


def allowed_widths(
    network: specs.NetworkSpec,
    bit_widths: Sequence[int] = specs.BIT_WIDTHS,
    searched: Sequence[specs.TensorKind] = tuple(specs.TensorKind),
) -> Callable[[str], Sequence[int]]:
  """Returns policy entry -> widths that a search may give it.

  Args:
    network: the network.
    bit_widths: of the tensors that are searched.
    searched: kinds of these; the others have 8 bits.
  """
  widths = {
      t.name: (t.fixed_bits,)
      if t.fixed_bits is not None
      else tuple(bit_widths)
      if t.kind in searched
      else (8,)
      for t in network.policy_tensors
  }
  return widths.__getitem__


def geometry(
    network: specs.NetworkSpec, layer: specs.LayerSpec
) -> kernel_targets.Geometry:
  """Returns op and shapes of a layer."""
  return kernel_targets.Geometry(
      layer.op,
      network.tensor(layer.inputs[0]).shape,
      network.tensor(layer.output).shape,
      layer.kernel_size,
      layer.stride,
      layer.padding,
  )


def layer_tensors(
    network: specs.NetworkSpec, layer: specs.LayerSpec
) -> tuple[str, str, str]:
  """Returns the policy entries of input, weight or last input, and output."""
  first, last = layer.inputs[0], layer.inputs[-1]
  owner = network.bits_owner
  return owner(first), layer.weight or owner(last), owner(layer.output)


def layer_call(
    shape: kernel_targets.Geometry,
    weight: str | None,
    widths: Sequence[int],
    per_channel_zero_points: bool,
    pre_shift: bool = False,
) -> LayerCall:
  """Returns the entry of the table for a layer with these widths."""
  a, w, o = widths
  has_zero_points = weight is not None and w != 8
  return LayerCall(
      *(shape, a, w, o),
      per_channel_zero_points=per_channel_zero_points and has_zero_points,
      pre_shift=pre_shift and weight is not None,
  )


def _combinations(
    names, widths_of: Callable[[str], Sequence[int]]
) -> Iterator[tuple[tuple[str, int], ...]]:
  """Yields every choice of widths as (name, width) pairs."""
  options = [[(name, width) for width in widths_of(name)] for name in names]
  return itertools.product(*options)
