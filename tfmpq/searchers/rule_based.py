"""The rule of the paper's predecessor, as a function and as a searcher.

Source: Rusci, Capotondi, Benini, "Memory-driven mixed low precision
quantization for enabling deep network inference on microcontrollers"
(arXiv:1905.13082). Activations are narrowed until every layer's input and
output fit the RAM, then weights until the model fits the FLASH. No data and
no accuracy are involved.

Differences: an impossible budget is an error that names the layer and the
bytes (the authors' program hangs on some); networks need not be chains.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
import dataclasses
import os

from tfmpq import memory_model
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.paper_memory import PaperFlash
from tfmpq.paper_memory import ParameterScheme
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import BIT_WIDTHS
from tfmpq.specs import NetworkSpec
from tfmpq.specs import QuantizationPolicy


@dataclasses.dataclass(frozen=True)
class CutResult:
  """A policy that the rule has cut, and its bytes by the rule's own count.

  Attributes:
    policy: bits of every tensor.
    weight_bytes: of all weights.
    parameter_bytes: of all layers, as in the rule's last look at the FLASH.
    ram_bytes: largest sum of input and output bytes of a layer with weights.
  """

  policy: QuantizationPolicy
  weight_bytes: int
  parameter_bytes: int
  ram_bytes: int


def memory_driven_policy(
    network: NetworkSpec,
    budget: MemoryBudget,
    scheme: ParameterScheme,
    first_scheme: ParameterScheme | None = None,
) -> CutResult:
  """Returns the policy of the rule, under the 'paper' count of bytes.

  Args:
    network: the network; everything starts at 8 bits.
    budget: what to fit into.
    scheme: which parameters the layers store.
    first_scheme: which ones are assumed the first time that the FLASH is
      looked at; None: the same. The authors' program always takes FOLDING
      there under MIXPL, so that a network whose weights are not cut is
      counted without its channel normalization.

  Raises:
    BudgetError: no policy of the rule fits; names the layer and the bytes.
  """
  bits = QuantizationPolicy.uniform(network, 8, 8).as_dict()
  free = {t.name for t in network.policy_tensors if t.fixed_bits is None}
  cut = _ActivationCut(network, bits, free, BIT_WIDTHS)
  if budget.ram_bytes is not None:
    cut.run(budget.ram_bytes)
  flash = PaperFlash(network)
  assumed = scheme if first_scheme is None else first_scheme
  while True:
    policy = QuantizationPolicy.of(bits)
    weight_bytes = flash.weight_bytes(policy)
    parameter_bytes = flash.parameter_bytes(policy, assumed)
    needed = weight_bytes + parameter_bytes
    if budget.flash_bytes is None or needed <= budget.flash_bytes:
      return CutResult(policy, weight_bytes, parameter_bytes, cut.ram_bytes())
    _cut_weight(network, bits, free, needed, budget.flash_bytes)
    assumed = scheme


def _cut_weight(network, bits, free, needed: int, flash_bytes: int) -> None:
  """Halves the bits of one weight (`memory_model.weight_to_cut`)."""
  sizes = [
      (name, network.tensor(name).num_elements * bits[name])
      for name in (layer.weight for layer in network.layers)
      if name is not None
  ]
  done = {n for n, _ in sizes if n not in free or bits[n] == BIT_WIDTHS[0]}
  name = memory_model.weight_to_cut(sizes, done)
  if name is None:
    largest, size = max(sizes, key=lambda item: item[1])
    raise BudgetError(
        f"network '{network.name}' needs {needed} bytes of FLASH with all "
        f'weights at {BIT_WIDTHS[0]} bits, budget is {flash_bytes}; the '
        f"largest weight is '{largest}' with {size // 8} bytes; use fewer "
        'channels or layers'
    )
  bits[name] //= 2


class _ActivationCut:
  """The passes over the layers with weights that narrow activations.

  Adds and pools are no layers of this rule; `MemoryModel.repair` sees them.
  """

  def __init__(
      self,
      network: NetworkSpec,
      bits: dict[str, int],
      free: Set[str],
      bit_widths: Sequence[int],
  ):
    """Takes the bits that `run` changes in place.

    Args:
      network: the network.
      bits: policy entries.
      free: tensors that may be narrowed.
      bit_widths: widths to use.
    """
    self._bits = bits
    self._free = free
    self._bit_widths = sorted(bit_widths, reverse=True)
    self._elements = {t.name: t.num_elements for t in network.activations}
    self._owners = {n: network.bits_owner(n) for n in self._elements}
    self._layers = [
        layer for layer in network.layers if layer.weight is not None
    ]

  def ram_bytes(self) -> int:
    return max(-(-self._layer_bits(layer) // 8) for layer in self._layers)

  def run(self, ram_bytes: int) -> None:
    """Passes forward and backward until no layer is left to the next pass.

    What one pass leaves, the next one narrows, or it is an error. So there
    are never more passes than there are widths to give up, and two more.

    Raises:
      BudgetError: a layer exceeds the budget with input and output at their
        smallest widths.
    """
    max_passes = 2 + len(self._bits) * len(self._bit_widths)
    for number in range(max_passes):
      is_forward = number % 2 == 0
      layers = self._layers if is_forward else self._layers[::-1]
      left = [self._visit(layer, ram_bytes, is_forward) for layer in layers]
      if number > 0 and not any(left):
        return
    raise AssertionError(f'{max_passes} passes were not enough')

  def _visit(self, layer, ram_bytes: int, is_forward: bool) -> bool:
    """Narrows the tensors of a layer; returns whether the next pass has to."""
    while self._layer_bits(layer) > 8 * ram_bytes:
      cuts_output = self._cuts_output(layer, ram_bytes)
      if cuts_output != is_forward:
        return True
      name = layer.output if cuts_output else layer.inputs[0]
      owner = self._owners[name]
      self._bits[owner] = self._narrower(self._bits[owner])
    return False

  def _cuts_output(self, layer, ram_bytes: int) -> bool:
    """Returns whether the output is the one to narrow, or else the input.

    The wider of the two, of equally wide ones the larger, if both are equal
    the output. What is fixed is not narrowed: the first layer has only its
    output, the last one only its input.
    """
    source, output = layer.inputs[0], layer.output
    can_cut = [self._can_cut(name) for name in (source, output)]
    if not any(can_cut):
      self._fail(layer, ram_bytes)
    if not all(can_cut):
      return can_cut[1]
    widths = [self._bits[self._owners[name]] for name in (source, output)]
    if widths[0] != widths[1]:
      return widths[0] < widths[1]
    return self._elements[source] <= self._elements[output]

  def _can_cut(self, name: str) -> bool:
    owner = self._owners[name]
    return owner in self._free and self._bits[owner] > self._bit_widths[-1]

  def _narrower(self, bits: int) -> int:
    return next(width for width in self._bit_widths if width < bits)

  def _tensor_bits(self, name: str) -> int:
    return self._elements[name] * self._bits[self._owners[name]]

  def _layer_bits(self, layer) -> int:
    return self._tensor_bits(layer.inputs[0]) + self._tensor_bits(layer.output)

  def _fail(self, layer, ram_bytes: int) -> None:
    parts = ', '.join(
        f"'{name}' {-(-self._tensor_bits(name) // 8)} bytes at "
        f'{self._bits[self._owners[name]]} bits'
        for name in (layer.inputs[0], layer.output)
    )
    raise BudgetError(
        f"layer '{layer.name}' needs {-(-self._layer_bits(layer) // 8)} bytes "
        f'of RAM ({parts}), budget is {ram_bytes}; use a smaller input or '
        'fewer channels'
    )


class RuleBasedSearcher:
  """The rule as a baseline beside the other searchers.

  The device's own memory model decides, not the predecessor's. First the
  rule narrows activations until every layer's input and output fit the RAM;
  then `MemoryModel.repair` goes on until everything fits: it narrows what is
  alive at the peak of the RAM, and weights in the order of the rule. Under
  the 'paper' model that is the rule itself, without its two-fold count of
  parameters. One policy is evaluated, however many episodes are allowed.
  """

  name = 'rule_based'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the policy of the rule; see `searcher.Searcher`."""
    problem.require_feasible()
    policy = certified_policy(problem)
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    log.evaluate(policy, 'rule')
    return log.result(self.name, seed)


def certified_policy(problem: SearchProblem) -> QuantizationPolicy:
  """Returns the rule's policy, narrowed until the problem's model is content.

  Raises:
    BudgetError: nothing fits.
    ValueError: the problem's memory model cannot repair policies.
  """
  model = problem.memory_model
  if not isinstance(model, memory_model.MemoryModel):
    raise ValueError(
        'the rule-based searcher needs a memory_model.MemoryModel, received '
        f'{type(model).__name__}'
    )
  free = {tensor.name for tensor in problem.searched_tensors}
  bits = problem.policy({}, problem.bit_widths[-1]).as_dict()
  if problem.budget.ram_bytes is not None:
    cut = _ActivationCut(problem.network, bits, free, problem.bit_widths)
    cut.run(problem.budget.ram_bytes)
  return model.repair(
      QuantizationPolicy.of(bits), problem.budget, free, problem.bit_widths
  )
