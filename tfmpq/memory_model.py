"""Whether a network fits a device under a policy, and what to do if not.

A `MemoryModel` joins a network with a rule for RAM and one for FLASH. The
rules are in `paper_memory` (as in the literature) and `arena_memory` (as our
exports need it).

What is monotone: FLASH falls with the width of a weight (in so far as a width
does not need more parameters than it saves, which `minimum` and `repair` find
out by asking), and the bytes of every single activation with its width. The
RAM of an arena is *not* monotone: an add or a depthwise convolution may write
over an input only if its output is not wider, so that narrowing that input can
cost memory; and a planner may miss the bound. `complete` and `minimum`
therefore also try wider inputs of such layers. Weights count in RAM, too, in so
far as scratch memory depends on their width, which is a matter of few bytes;
their widths are chosen for FLASH alone. What counts in the end is `footprint`
of the whole policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools

from tfmpq import budget_message
from tfmpq import memory_planner
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.ram_model import Moment
from tfmpq.ram_model import RamModel
from tfmpq.specs import BIT_WIDTHS
from tfmpq.specs import NetworkSpec
from tfmpq.specs import QuantizationPolicy
from tfmpq.specs import TensorKind

_CACHED_POLICIES = 4096

# Layers whose share of the weight bytes is that close to the largest one are
# as good to cut (predecessor of the paper, arXiv:1905.13082).
_SHARE_MARGIN = 0.05


class MemoryModel:
  """Bytes of RAM and FLASH of a network under any policy.

  Attributes:
    network: the network.
    name: of the rules, for reports and for the identity of saved searches.
  """

  def __init__(
      self,
      network: NetworkSpec,
      name: str,
      ram: RamModel,
      flash_bytes: Callable[[QuantizationPolicy], int],
      bit_widths: Mapping[TensorKind, Sequence[int]] | None = None,
      policy_widths: Sequence[int] = BIT_WIDTHS,
  ):
    """Joins a network and two rules that depend on nothing but the policy.

    Args:
      network: the network.
      name: of the rules.
      ram: rule for RAM.
      flash_bytes: policy -> bytes of FLASH.
      bit_widths: widths of free tensors, ascending, with which the network can
        run at all; None for all widths.
      policy_widths: all widths, ascending. A policy with another one is refused
        with a ValueError.
    """
    self.network = network
    self.name = name
    self._ram = ram
    self._flash_bytes = flash_bytes
    self._tensors = {t.name: t for t in network.policy_tensors}
    self._policy_widths = tuple(policy_widths)
    widths: dict[TensorKind, Sequence[int]] = {
        **dict.fromkeys(TensorKind, self._policy_widths),
        **(bit_widths or {}),
    }
    self._widths = {
        t.name: (t.fixed_bits,) if t.fixed_bits else tuple(widths[t.kind])
        for t in network.policy_tensors
    }
    self._free = {n for n, choices in self._widths.items() if len(choices) > 1}
    self._owners = {
        t.name: network.bits_owner(t.name) for t in network.activations
    }
    self._layers = {layer.name: layer for layer in network.layers}
    self._footprint = functools.lru_cache(_CACHED_POLICIES)(self._compute)
    self._smallest: dict[str, int] | None = None
    self._narrowest_bits: dict[str, int] | None = None

  def footprint(self, policy: QuantizationPolicy) -> MemoryFootprint:
    """Returns bytes of RAM and FLASH; ValueError for a foreign policy."""
    return self._footprint(policy)

  def _compute(self, policy: QuantizationPolicy) -> MemoryFootprint:
    policy.check(self.network, self._policy_widths)
    return MemoryFootprint(
        self._ram.ram_bytes(policy), self._flash_bytes(policy)
    )

  def fits(self, policy: QuantizationPolicy, budget: MemoryBudget) -> bool:
    """Returns whether the policy's footprint is inside the budget."""
    return self.footprint(policy).fits(budget)

  def moments(self, policy: QuantizationPolicy) -> tuple[Moment, ...]:
    """Returns what each layer needs in RAM, in the order of execution."""
    return self._ram.moments(policy)

  def peak(self, policy: QuantizationPolicy) -> Moment:
    """Returns the first moment that needs the most bytes.

    A planner that misses the bound needs more than that: see `footprint`.
    """
    return max(self.moments(policy), key=lambda moment: moment.ram_bytes)

  def minimum(self) -> tuple[QuantizationPolicy, MemoryFootprint]:
    """Returns the policy that needs the least RAM and FLASH, and its bytes."""
    if self._smallest is None:
      bits = self._narrowest()
      while True:
        limit = self._ram.ram_bytes(QuantizationPolicy.of(bits)) - 1
        smaller = self._widen_inputs(
            bits, self._free, limit, self._policy_widths
        )
        if smaller is None:
          break
        bits = smaller
      self._smallest = bits
    policy = QuantizationPolicy.of(self._smallest)
    return policy, self.footprint(policy)

  def require_feasible(self, budget: MemoryBudget) -> MemoryFootprint:
    """Returns the smallest footprint of all policies.

    Raises:
      BudgetError: it is not inside the budget; the message holds the minimum,
        its policy, and what binds.
    """
    policy, footprint = self.minimum()
    if footprint.fits(budget):
      return footprint
    raise self._error(policy, budget)

  def complete(
      self, decided: Mapping[str, int], budget: MemoryBudget
  ) -> QuantizationPolicy | None:
    """Returns a policy with these entries that fits, or None.

    Undecided tensors get their smallest widths; where that is too much RAM,
    undecided inputs of layers that may run in place are tried wider. That finds
    a completion wherever there is one, except in contrived networks, such as
    several adds in a row.

    Args:
      decided: tensor name -> bits.
      budget: what to fit into.
    """
    bits = {**self._narrowest(), **decided}
    policy = QuantizationPolicy.of(bits)
    if self.fits(policy, budget):
      return policy
    if budget.ram_bytes is None:
      return None
    undecided = self._free - set(decided)
    wider = self._widen_inputs(
        bits, undecided, budget.ram_bytes, self._policy_widths
    )
    if wider is None:
      return None
    policy = QuantizationPolicy.of(wider)
    return policy if self.fits(policy, budget) else None

  def can_complete(
      self, decided: Mapping[str, int], budget: MemoryBudget
  ) -> bool:
    """Returns whether `complete` finds a policy; meant for inner loops."""
    return self.complete(decided, budget) is not None

  def repair(
      self,
      policy: QuantizationPolicy,
      budget: MemoryBudget,
      tensors: Iterable[str] | None = None,
      bit_widths: Sequence[int] = BIT_WIDTHS,
  ) -> QuantizationPolicy:
    """Returns a policy that fits, made from this one by narrowing tensors.

    RAM first: at the peak, the widest activation is narrowed, of equally wide
    ones the largest. Then FLASH: see `weight_to_cut`. Every step narrows one
    tensor, so there is an end. A policy that fits is returned as it is.

    Args:
      policy: what to start from.
      budget: what to fit into.
      tensors: names of those that may change; None: all without fixed bits.
      bit_widths: widths to use, ascending.

    Raises:
      BudgetError: even the smallest widths of these tensors do not fit.
    """
    if self.fits(policy, budget):
      return policy
    allowed = self._free if tensors is None else self._free & set(tensors)
    bits = policy.as_dict()
    if budget.ram_bytes is not None:
      bits = self._repair_ram(bits, allowed, budget, bit_widths)
    if budget.flash_bytes is not None:
      self._repair_flash(bits, allowed, budget, bit_widths)
    repaired = QuantizationPolicy.of(bits)
    if not self.fits(repaired, budget):
      raise self._error(repaired, budget)
    return repaired

  def _repair_ram(self, bits, allowed, budget, bit_widths) -> dict[str, int]:
    limit = budget.ram_bytes
    bits = dict(bits)
    while True:
      policy = QuantizationPolicy.of(bits)
      if self._ram.ram_bytes(policy) <= limit:
        return bits
      name = self._activation_to_cut(policy, allowed, bit_widths, limit)
      if name is None:
        break
      bits[name] = _narrower(bits[name], bit_widths)[0]
    smallest = {n: bit_widths[0] for n in allowed if self._is_activation(n)}
    for start in (bits, {**bits, **smallest}):
      wider = self._widen_inputs(start, allowed, limit, bit_widths)
      if wider is not None:
        return wider
    raise self._error(policy, budget)

  def _activation_to_cut(
      self, policy, allowed, bit_widths, limit
  ) -> str | None:
    """Returns what `repair` narrows next, or None if nothing would help.

    Something alive at a moment above the limit; if the planner alone is above
    it, something alive anywhere.
    """
    bits = policy.as_dict()
    moments = self.moments(policy)
    above = [m for m in moments if m.ram_bytes > limit] or moments
    for moment in sorted(above, key=lambda m: -m.ram_bytes):
      candidates = [
          (bits[owner], size, owner)
          for name, size in moment.alive
          if (owner := self._owners[name]) in allowed
          and _narrower(bits[owner], bit_widths)
      ]
      if candidates:
        return max(candidates, key=lambda candidate: candidate[:2])[2]
    return None

  def _repair_flash(self, bits, allowed, budget, bit_widths) -> None:
    """Narrows weights of `bits` until FLASH fits."""
    weights = self.network.weights
    stuck = {w.name for w in weights if w.name not in allowed}
    flash = self._flash_bytes(QuantizationPolicy.of(bits))
    while flash > budget.flash_bytes:
      sizes = [(w.name, w.num_elements * bits[w.name]) for w in weights]
      name = weight_to_cut(sizes, stuck)
      if name is None:
        raise self._error(QuantizationPolicy.of(bits), budget)
      for width in _narrower(bits[name], bit_widths):
        if width not in self._widths[name]:
          continue
        policy = QuantizationPolicy.of({**bits, name: width})
        smaller = self._flash_bytes(policy)
        if smaller < flash:
          bits[name], flash = width, smaller
          break
      else:
        stuck.add(name)

  def _is_activation(self, name: str) -> bool:
    return self._tensors[name].kind is TensorKind.ACTIVATION

  def _narrowest(self) -> dict[str, int]:
    """Returns every tensor at the width at which it takes the fewest bytes.

    For a weight that need not be the smallest width: codes of 4 and 2 bits
    may need zero points, which a tiny tensor does not earn back.
    """
    if self._narrowest_bits is None:
      bits = {name: choices[0] for name, choices in self._widths.items()}
      for weight in self.network.weights:
        if weight.name in self._free:
          sizes = {
              width: self._flash_bytes(
                  QuantizationPolicy.of({**bits, weight.name: width})
              )
              for width in self._widths[weight.name]
          }
          bits[weight.name] = min(sizes, key=sizes.__getitem__)
      self._narrowest_bits = bits
    return dict(self._narrowest_bits)

  def _widen_inputs(
      self, bits, free, limit, bit_widths
  ) -> dict[str, int] | None:
    """Returns bits with which RAM is inside the limit, or None.

    Widens one input of a layer that may run in place at a time, as long as that
    lowers the bytes above the limit, summed over all moments.
    """
    bits = dict(bits)
    excess = self._excess(bits, limit)
    while excess:
      attempts = [
          {**bits, name: width}
          for name in self._inputs_above(bits, free, limit)
          for width in bit_widths
          if width > bits[name]
      ]
      if not attempts:
        return None
      best = min(attempts, key=lambda a: self._excess(a, limit))
      if self._excess(best, limit) >= excess:
        return None
      bits, excess = best, self._excess(best, limit)
    policy = QuantizationPolicy.of(bits)
    return bits if self._ram.ram_bytes(policy) <= limit else None

  def _excess(self, bits: Mapping[str, int], limit: int) -> int:
    moments = self.moments(QuantizationPolicy.of(bits))
    return sum(max(0, moment.ram_bytes - limit) for moment in moments)

  def _inputs_above(self, bits, free, limit) -> list[str]:
    """Returns free inputs of layers above the limit that may run in place."""
    names = []
    for moment in self.moments(QuantizationPolicy.of(bits)):
      layer = self._layers.get(moment.layer)
      if moment.ram_bytes > limit and layer is not None:
        if layer.op in memory_planner.IN_PLACE_OPS:
          names += [self._owners[name] for name in layer.inputs]
    return [name for name in dict.fromkeys(names) if name in free]

  def _error(self, policy: QuantizationPolicy, budget: MemoryBudget):
    return budget_message.budget_error(
        self.network,
        self.name,
        budget,
        policy,
        self.footprint(policy),
        self.peak(policy),
    )


def weight_to_cut(
    sizes: Sequence[tuple[str, int]], excluded: Iterable[str] = ()
) -> str | None:
  """Returns the weight that is narrowed next, or None if all are excluded.

  The first whose share of all weight bytes is within 0.05 of the largest
  share (weight cut of arXiv:1905.13082).

  Args:
    sizes: (name, size) in the order of the layers, in any unit of memory.
    excluded: names that cannot be narrowed; they count in the total.
  """
  total = sum(size for _, size in sizes)
  excluded = set(excluded)
  shares = [(n, size / total) for n, size in sizes if n not in excluded]
  if not shares:
    return None
  largest = max(share for _, share in shares)
  return next(n for n, share in shares if share > largest - _SHARE_MARGIN)


def _narrower(bits: int, bit_widths: Sequence[int]) -> list[int]:
  """Returns the widths below `bits`, from wide to narrow."""
  return sorted((w for w in bit_widths if w < bits), reverse=True)
