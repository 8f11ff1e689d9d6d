"""The 'paper' memory model: bytes as the literature counts them.

Source: arXiv:1905.13082 and the code of its authors. A layer needs its inputs
and its output in RAM and nothing else; bits are not padded to bytes; FLASH is
weights and the parameters of integer channel normalization. The rules hold for
any width, so that HAQ's 1 to 8 bits can be compared in them.
"""

from __future__ import annotations

from collections.abc import Sequence
import enum

from tfmpq import specs
from tfmpq.memory_model import MemoryModel
from tfmpq.ram_model import Moment


class ParameterScheme(str, enum.Enum):
  """Which parameters a layer stores beside its weights.

  Bytes of a layer with n output channels; the last layer is the last one with
  weights:

      scheme    other layers                                  last layer
      folding   4 n + 20                                      4 n + 20
      mixpl     4 n + 20 if weight and output have 8 bits,    4 n + 20
                else 9 n + 12
      mixpc     10 n + 8                                      7 n + 4

  4 n + 20: int32 biases; Zi, Zo, Zw, M0, N0 with 4 bytes each (batch norm
  folded into the weights). 9 n + 12: M0, N0 (1 byte) and bias per channel; Zw,
  Zi, Zo. 10 n + 8: Zw (1 byte) per channel, too.
  """

  FOLDING = 'folding'
  MIXPL = 'mixpl'
  MIXPC = 'mixpc'


def parameter_bytes(
    scheme: ParameterScheme,
    num_channels: int,
    weight_bits: int,
    output_bits: int,
    is_last: bool,
) -> int:
  """Returns the parameter bytes of one layer (table of `ParameterScheme`)."""
  if scheme is ParameterScheme.MIXPC:
    return 7 * num_channels + 4 if is_last else 10 * num_channels + 8
  all_8_bits = weight_bits == 8 and output_bits == 8
  if is_last or all_8_bits or scheme is ParameterScheme.FOLDING:
    return 4 * num_channels + 20
  return 9 * num_channels + 12


class PaperFlash:
  """FLASH rule: sum of weight bits in bytes, and parameter bytes."""

  def __init__(self, network: specs.NetworkSpec):
    self._network = network
    # (weight, elements, owner of the output's bits, output channels)
    self._layers = tuple(
        (
            layer.weight,
            network.tensor(layer.weight).num_elements,
            network.bits_owner(layer.output),
            network.tensor(layer.output).shape[2],
        )
        for layer in network.layers
        if layer.weight is not None
    )

  def weight_bytes(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the bytes of all weights, without padding, rounded up."""
    bits = policy.as_dict()
    return -(-sum(n * bits[weight] for weight, n, _, _ in self._layers) // 8)

  def parameter_bytes(
      self, policy: specs.QuantizationPolicy, scheme: ParameterScheme
  ) -> int:
    """Returns the parameter bytes of all layers."""
    bits = policy.as_dict()
    last = self._layers[-1]
    return sum(
        parameter_bytes(
            scheme, layer[3], bits[layer[0]], bits[layer[2]], layer is last
        )
        for layer in self._layers
    )


class PaperRam:
  """RAM rule: the layer whose inputs and output take the most bits.

  The authors count convolutions and dense layers only. Counting adds and
  pools as well changes nothing for the MobileNets, and makes sure that no
  activation goes uncounted.
  """

  def __init__(self, network: specs.NetworkSpec):
    self._owners = {
        t.name: network.bits_owner(t.name) for t in network.activations
    }
    self._elements = {t.name: t.num_elements for t in network.activations}
    self._layers = tuple(
        (layer.name, tuple(dict.fromkeys((*layer.inputs, layer.output))))
        for layer in network.layers
    )

  def ram_bytes(self, policy: specs.QuantizationPolicy) -> int:
    return max(moment.ram_bytes for moment in self.moments(policy))

  def moments(self, policy: specs.QuantizationPolicy) -> tuple[Moment, ...]:
    bits = policy.as_dict()
    num_bits = {
        name: count * bits[self._owners[name]]
        for name, count in self._elements.items()
    }
    return tuple(
        Moment(
            layer=layer,
            ram_bytes=-(-sum(num_bits[name] for name in names) // 8),
            alive=tuple((name, -(-num_bits[name] // 8)) for name in names),
        )
        for layer, names in self._layers
    )


def paper_model(
    network: specs.NetworkSpec,
    scheme: ParameterScheme,
    policy_widths: Sequence[int] = specs.BIT_WIDTHS,
) -> MemoryModel:
  """Returns the memory model of the literature.

  Args:
    network: the network.
    scheme: what a layer stores beside its weights.
    policy_widths: all that a policy may have, ascending.
  """
  flash = PaperFlash(network)
  return MemoryModel(
      network,
      f'paper {scheme.value}',
      PaperRam(network),
      lambda policy: (
          flash.weight_bytes(policy) + flash.parameter_bytes(policy, scheme)
      ),
      policy_widths=policy_widths,
  )
