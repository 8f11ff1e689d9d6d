"""A memory model that counts instructions, too: one certificate for all limits.

Searchers ask a `MemoryModel` what fits, and need not know that there is a third
limit. What differs from bytes: narrowing a tensor may cost instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses

from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.fastest_policy import Fastest
from tfmpq.fastest_policy import FastestPolicies
from tfmpq.latency_model import LatencyModel
from tfmpq.memory_model import MemoryModel
from tfmpq.ram_model import Moment
from tfmpq.specs import BIT_WIDTHS
from tfmpq.specs import QuantizationPolicy


class _RamOf:
  """The rule for RAM of another model."""

  def __init__(self, model: MemoryModel):
    self._model = model

  def ram_bytes(self, policy: QuantizationPolicy) -> int:
    """Returns the bytes of RAM."""
    return self._model.footprint(policy).ram_bytes

  def moments(self, policy: QuantizationPolicy) -> tuple[Moment, ...]:
    """Returns what each layer needs."""
    return self._model.moments(policy)


class TimedMemoryModel(MemoryModel):
  """RAM and FLASH of another model, and instructions on one core.

  `minimum` is that of the bytes. `complete` and `require_feasible` choose
  undecided tensors among the widths of the search, because the limit on
  instructions depends on them.
  """

  def __init__(
      self,
      memory: MemoryModel,
      latency: LatencyModel,
      widths_of: Callable[[str], Sequence[int]],
  ):
    """Joins a memory model and counts of the same network.

    Args:
      memory: for RAM and FLASH.
      latency: for instructions.
      widths_of: policy entry -> widths that the search may give it.

    Raises:
      ValueError: a count that the search may need is missing; the message
        names the command that makes it.
    """
    super().__init__(
        memory.network,
        f'{memory.name}, {latency.name}',
        _RamOf(memory),
        lambda policy: memory.footprint(policy).flash_bytes,
    )
    self._memory = memory
    self._latency = latency
    self._fastest = FastestPolicies(memory, latency, widths_of)

  def _compute(self, policy: QuantizationPolicy) -> MemoryFootprint:
    return dataclasses.replace(
        self._memory.footprint(policy),
        instructions=self._latency.instructions(policy),
    )

  def fastest(
      self, decided: Mapping[str, int], budget: MemoryBudget
  ) -> Fastest:
    """Returns the policy with the fewest instructions inside RAM and FLASH."""
    return self._fastest.find(decided, budget)

  def complete(
      self, decided: Mapping[str, int], budget: MemoryBudget
  ) -> QuantizationPolicy | None:
    """Returns a policy with these entries that fits, or None.

    With a limit on instructions it is one of the fastest.
    """
    if budget.instructions is None:
      return super().complete(decided, budget)
    policy = self._fastest.find(decided, budget, budget.instructions).policy
    if policy is None or not self.fits(policy, budget):
      return None
    return policy

  def require_feasible(self, budget: MemoryBudget) -> MemoryFootprint:
    """Returns the smallest footprint by bytes.

    Raises:
      BudgetError: nothing fits; the message holds the minimum.
    """
    smallest = super().require_feasible(
        dataclasses.replace(budget, instructions=None)
    )
    if budget.instructions is None:
      return smallest
    found = self.fastest({}, budget)
    if found.policy is None or not self.fits(found.policy, budget):
      raise self._too_slow(found, budget)
    return smallest

  def repair(
      self,
      policy: QuantizationPolicy,
      budget: MemoryBudget,
      tensors: Iterable[str] | None = None,
      bit_widths: Sequence[int] = BIT_WIDTHS,
  ) -> QuantizationPolicy:
    """Returns a policy that fits, made from this one; see MemoryModel.repair.

    After RAM and FLASH, one tensor at a time gets the width that saves the most
    instructions without leaving RAM or FLASH; where no single one helps, all of
    `tensors` are chosen anew for speed.
    """
    bytes_only = dataclasses.replace(budget, instructions=None)
    tensors = None if tensors is None else set(tensors)
    repaired = super().repair(policy, bytes_only, tensors, bit_widths)
    if budget.instructions is None or self.fits(repaired, budget):
      return repaired
    allowed = self._free if tensors is None else self._free & tensors
    while not self.fits(repaired, budget):
      faster = self._faster(repaired, bytes_only, allowed, bit_widths)
      if faster is None:
        return self._refound(repaired, budget, allowed)
      repaired = faster
    return repaired

  def _faster(self, policy, budget, allowed, bit_widths):
    """Returns the fastest neighbour if it is faster, or None."""
    bits = policy.as_dict()
    neighbours = [
        policy.with_bits({name: width})
        for name in sorted(allowed)
        for width in bit_widths
        if width != bits[name]
    ]
    before = self._latency.instructions(policy)
    counted = sorted(
        ((self._latency.instructions(p), i) for i, p in enumerate(neighbours))
    )
    for instructions, index in counted:
      if instructions >= before:
        return None
      if self.fits(neighbours[index], budget):
        return neighbours[index]
    return None

  def _refound(self, policy, budget, allowed) -> QuantizationPolicy:
    decided = {n: b for n, b in policy.entries if n not in allowed}
    found = self.fastest(decided, budget)
    if found.policy is None or not self.fits(found.policy, budget):
      raise self._too_slow(found, budget)
    return found.policy

  def _too_slow(self, found: Fastest, budget: MemoryBudget) -> BudgetError:
    limits = (
        f'RAM of {budget.ram_bytes} and FLASH of {budget.flash_bytes} bytes '
        '(None: no limit)'
    )
    core = self._latency.core
    start = (
        f"network '{self.network.name}' cannot fit the budget of "
        f'{budget.instructions} instructions on {core}: inside {limits}, '
    )
    if found.policy is None:
      return BudgetError(
          f'{start}no policy of this search was found at all, and none takes '
          f'fewer than {found.lower_bound}; raise the budgets'
      )
    needed = self._latency.instructions(found.policy)
    widths = ', '.join(f"'{n}': {b}" for n, b in found.policy.entries)
    return BudgetError(
        f'{start}it needs {needed} at the fastest policy that was found, and '
        f'no policy takes fewer than {found.lower_bound}; raise '
        f'--max_instructions, or use fewer channels or a smaller input. The '
        f'fastest policy is {{{widths}}}'
    )
