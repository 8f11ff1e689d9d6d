"""The policy with the fewest instructions inside the limits of RAM and FLASH.

A layer's instructions depend on the widths of its own tensors. So the fewest
over all policies are found exactly, layer by layer, for every choice of widths
of the activations that later layers still read (dynamic programming). RAM only
excludes choices in single layers. FLASH ties all layers together: each byte of
weights gets a price in instructions, and the price is raised until the FLASH
fits (Lagrangian relaxation). That yields a policy, and a number of instructions
below which no policy is; both are equal, or a few per mille apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import itertools

from tfmpq.budgets import MemoryBudget
from tfmpq.latency_model import LatencyModel
from tfmpq.latency_model import LayerCost
from tfmpq.memory_model import MemoryModel
from tfmpq.specs import QuantizationPolicy

# Prices are doubled until the FLASH fits, then halved in between.
_MAX_DOUBLINGS = 40
_NUM_HALVINGS = 12
# Plans that may miss the bytes of their layers before nothing is found.
_MAX_PLAN_MISSES = 20

_Bits = Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Fastest:
  """What was found.

  Attributes:
    policy: that fits RAM and FLASH; None if none was found.
    lower_bound: no policy with these decisions inside RAM and FLASH takes fewer
      instructions; None if RAM alone excludes all.
  """

  policy: QuantizationPolicy | None
  lower_bound: int | None


class FastestPolicies:
  """Answers for one network, any decisions and any budget."""

  def __init__(
      self,
      memory: MemoryModel,
      latency: LatencyModel,
      widths_of: Callable[[str], Sequence[int]],
  ):
    """Looks every count up.

    Args:
      memory: of the same network.
      latency: counts.
      widths_of: policy entry -> widths that it may have.

    Raises:
      ValueError: a count is missing; names the command that makes it.
    """
    self._memory = memory
    self._network = memory.network
    self._costs = latency.layer_costs(widths_of)
    self._latency = latency
    self._widths = {
        t.name: tuple(widths_of(t.name)) for t in self._network.policy_tensors
    }
    self._weight_bytes = {
        w.name: {b: w.num_elements * b / 8 for b in self._widths[w.name]}
        for w in self._network.weights
    }
    self._last_use = self._find_last_uses()
    # (RAM limit, layer) -> tensors, and widths of them that need too much.
    self._excluded: dict[
        int, dict[str, tuple[tuple[str, ...], frozenset[tuple[int, ...]]]]
    ] = {}

  def find(
      self, decided: _Bits, budget: MemoryBudget, enough: int | None = None
  ) -> Fastest:
    """Returns the fastest policy; `budget.instructions` does not matter.

    Args:
      decided: tensor name -> width, of tensors that are decided already.
      budget: limits of RAM and FLASH.
      enough: instructions below which the search for fewer ends, and above
        which it ends once they are proven to be needed; None: never.
    """
    limits = dataclasses.replace(budget, instructions=None)
    free = self._cheapest(decided, 0.0, limits)
    if free is None:
      return Fastest(None, None)
    lower_bound = self._latency.instructions(free)
    if self._memory.fits(free, limits):
      return Fastest(free, lower_bound)
    if limits.flash_bytes is None:
      return Fastest(None, lower_bound)
    return self._with_priced_flash(decided, limits, lower_bound, enough)

  def _with_priced_flash(self, decided, limits, lower_bound, enough) -> Fastest:
    low, high = 0.0, self._first_price()
    best: QuantizationPolicy | None = None
    for _ in range(_MAX_DOUBLINGS):
      if enough is not None and lower_bound > enough:
        return Fastest(None, lower_bound)
      found = self._cheapest(decided, high, limits)
      if found is None:
        break
      lower_bound = max(lower_bound, self._bound(found, high, limits))
      if self._memory.fits(found, limits):
        best = found
        break
      low, high = high, 2 * high
    if best is None:
      return Fastest(None, lower_bound)
    for _ in range(_NUM_HALVINGS):
      if enough is not None and self._instructions(best) <= enough:
        break
      middle = (low + high) / 2
      found = self._cheapest(decided, middle, limits)
      if found is None:
        break
      lower_bound = max(lower_bound, self._bound(found, middle, limits))
      if self._memory.fits(found, limits):
        high = middle
        if self._instructions(found) < self._instructions(best):
          best = found
      else:
        low = middle
    return Fastest(best, lower_bound)

  def _instructions(self, policy: QuantizationPolicy) -> int:
    return self._latency.instructions(policy)

  def _first_price(self) -> float:
    """A price at which all weights cost a 50th of all instructions."""
    fewest = sum(min(cost.counts.values()) for cost in self._costs)
    most_bytes = sum(max(b.values()) for b in self._weight_bytes.values())
    return max(1e-6, fewest / most_bytes / 50)

  def _bound(self, policy, price: float, limits: MemoryBudget) -> int:
    """What no policy inside the FLASH falls below, given a cheapest one."""
    bits = policy.as_dict()
    weights = sum(b[bits[name]] for name, b in self._weight_bytes.items())
    priced = self._instructions(policy) + price * weights
    return int(priced - price * limits.flash_bytes)

  def _cheapest(
      self, decided, price: float, limits: MemoryBudget
  ) -> QuantizationPolicy | None:
    """Returns the policy of the least priced sum whose RAM fits, or None."""
    limit = limits.ram_bytes
    for _ in range(_MAX_PLAN_MISSES):
      policy = self._solve(decided, price, limit)
      while policy is not None and limit is not None:
        if not self._exclude(policy, limit):
          break
        policy = self._solve(decided, price, limit)
      if policy is None or limits.ram_bytes is None:
        return policy
      needed = self._memory.footprint(policy).ram_bytes
      if needed <= limits.ram_bytes:
        return policy
      # The planner needs more than the layers do.
      limit -= needed - limits.ram_bytes
    return None

  def _solve(self, decided, price, limit) -> QuantizationPolicy | None:
    """Returns the policy of the least priced sum, as far as RAM is known."""
    excluded = self._excluded.get(limit, {}) if limit is not None else {}
    # Widths of live activations -> (sum, widths of all tensors so far).
    states: dict[tuple[tuple[str, int], ...], tuple[float, _Bits]] = {
        (): (0.0, {})
    }
    for index, cost in enumerate(self._costs):
      following: dict[tuple[tuple[str, int], ...], tuple[float, _Bits]] = {}
      for state, (total, bits) in states.items():
        for more, added in self._choices(cost, dict(state), decided, price):
          chosen = {**dict(state), **more}
          if not _is_allowed(cost.layer, chosen, excluded):
            continue
          live = tuple(
              (name, width)
              for name, width in sorted(chosen.items())
              if self._last_use.get(name, -1) > index
          )
          known = following.get(live)
          if known is None or total + added < known[0]:
            following[live] = (total + added, {**bits, **more})
      states = following
    if not states:
      return None
    return QuantizationPolicy.of(min(states.values(), key=lambda s: s[0])[1])

  def _choices(self, cost: LayerCost, state: _Bits, decided, price):
    """Yields (widths of the layer's undecided tensors, priced instructions)."""
    options = [
        (state[name],)
        if name in state
        else (decided[name],)
        if name in decided
        else self._widths[name]
        for name in cost.tensors
    ]
    for widths in itertools.product(*options):
      chosen = dict(zip(cost.tensors, widths, strict=True))
      weights = (
          self._weight_bytes[name][width]
          for name, width in chosen.items()
          if name in self._weight_bytes
      )
      yield chosen, cost.counts[widths] + price * sum(weights)

  def _exclude(self, policy: QuantizationPolicy, limit: int) -> bool:
    """Learns which widths need too much RAM in the layers above the limit."""
    known = self._excluded.setdefault(limit, {})
    moments = self._memory.moments(policy)
    found = False
    for position, moment in enumerate(moments):
      if moment.ram_bytes <= limit or moment.layer in known:
        continue
      names = self._tensors_at(moment)
      too_large = []
      for widths in itertools.product(*(self._widths[n] for n in names)):
        bits = dict(zip(names, widths, strict=True))
        at = self._memory.moments(policy.with_bits(bits))[position]
        if at.ram_bytes > limit:
          too_large.append(widths)
      known[moment.layer] = (names, frozenset(too_large))
      found = True
    return found

  def _tensors_at(self, moment) -> tuple[str, ...]:
    owner = self._network.bits_owner
    names = {owner(name) for name, _ in moment.alive}
    for cost in self._costs:
      if cost.layer == moment.layer:
        names |= set(cost.tensors)
    return tuple(sorted(names))

  def _find_last_uses(self) -> dict[str, int]:
    """Returns activation -> position of the last layer that it matters to."""
    last = {}
    for index, layer in enumerate(self._network.layers):
      for name in (*layer.inputs, layer.output):
        last[self._network.bits_owner(name)] = index
    return last


def _is_allowed(layer: str, chosen: _Bits, excluded) -> bool:
  if layer not in excluded:
    return True
  names, too_large = excluded[layer]
  return tuple(chosen[name] for name in names) not in too_large
