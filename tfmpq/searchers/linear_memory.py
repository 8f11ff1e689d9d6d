"""A memory budget as linear constraints on which tensor has which width.

One binary variable says whether a tensor has a width. A memory model answers
for whole policies only, so the constraints are found by asking it:

- FLASH is a sum over layers, and a layer's bytes depend on the widths of its
  own tensors. One row holds the bytes of single tensors and of pairs of them.
- RAM is needed layer by layer. Where a solution needs too much, all
  combinations of widths of the tensors that count in that layer are tried, and
  those that do not fit are excluded. That assumes nothing about which width
  needs fewer bytes: in place, a wider input may need less.
- Instructions, where they are limited, are a sum over layers, too; a layer's
  depend on up to three tensors. What three of them add is left out where it is
  next to nothing, and the limit lowered when that was missed.
- A planner may miss what the layers need. Such a combination is excluded; if
  that goes on, the limit is lowered by what the planner has missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import itertools

import numpy as np

from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import LayerSpec
from tfmpq.specs import QuantizationPolicy

# Share of a limit on instructions that a product may leave out.
_NEGLIGIBLE = 1e-5

# Plans that may miss the bound before the limit is lowered.
_MAX_PLAN_CUTS = 20

Literal = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Row:
  """Sum of coefficients of the widths that tensors have, <= limit.

  Attributes:
    coefficients: (tensor, width) -> what it adds.
    limit: right-hand side.
    products: two or more of them -> what they add together, besides what
      fewer of them add.
  """

  coefficients: Mapping[Literal, float]
  limit: float
  products: Mapping[tuple[Literal, ...], float] = dataclasses.field(
      default_factory=dict
  )

  def value(self, policy: QuantizationPolicy) -> float:
    """Returns the left-hand side."""
    chosen = set(policy.entries)
    return sum(
        value for entry, value in self.coefficients.items() if entry in chosen
    ) + sum(value for p, value in self.products.items() if chosen >= {*p})


def exclusion(entries: Iterable[Literal]) -> Row:
  """Returns the row that allows all of these entries but not at once."""
  coefficients = dict.fromkeys(entries, 1.0)
  return Row(coefficients, len(coefficients) - 1)


class LinearMemory:
  """Turns the budget of a problem into rows, as far as solutions need them.

  Attributes:
    rows: the constraints so far.
    is_exact: False once a row may exclude a policy that fits.
  """

  def __init__(self, problem: SearchProblem):
    self.is_exact = True
    self.rows: list[Row] = []
    self._problem = problem
    self._names = [tensor.name for tensor in problem.searched_tensors]
    self._ram_limit = problem.budget.ram_bytes
    self._num_plan_cuts = 0
    self._flash_row = None
    if problem.budget.flash_bytes is not None:
      self._flash_row = self._make_sum_row(
          'flash_bytes', problem.budget.flash_bytes
      )
      self.rows.append(self._flash_row)
    self._instructions_row = None
    if problem.budget.instructions is not None:
      self._instructions_row = self._make_sum_row(
          'instructions', problem.budget.instructions
      )
      self.rows.append(self._instructions_row)

  def cut(self, policy: QuantizationPolicy) -> bool:
    """Adds rows that exclude a policy, unless it fits: then returns False."""
    problem = self._problem
    footprint, budget = problem.footprint(policy), problem.budget
    if self._flash_row is not None:
      predicted = self._flash_row.value(policy)
      if predicted != footprint.flash_bytes:
        self.is_exact = False
    above = self._layers_above_limit(policy)
    if problem.fits(policy) and not above:
      return False
    rows = [
        row for position in above for row in self._ram_rows(policy, position)
    ]
    ram, flash = budget.ram_bytes, budget.flash_bytes
    if ram is not None and footprint.ram_bytes > ram and not above:
      rows.append(self._plan_row(policy))
    if flash is not None and footprint.flash_bytes > flash:
      rows.append(exclusion(self._searched(policy)))
    if self._instructions_row is not None:
      rows += self._instruction_rows(policy, footprint.instructions)
    self.rows += rows
    return True

  def _instruction_rows(
      self, policy: QuantizationPolicy, instructions: int | None
  ) -> list[Row]:
    """Returns what excludes a policy that takes too many instructions."""
    row, limit = self._instructions_row, self._problem.budget.instructions
    assert row is not None and instructions is not None and limit is not None
    if instructions <= limit:
      return []
    # More than the row says: products that were left out.
    self.is_exact = False
    missed = instructions - row.value(policy)
    lower = dataclasses.replace(row, limit=min(row.limit, limit - missed))
    self.rows[self.rows.index(row)] = lower
    self._instructions_row = lower
    return [exclusion(self._searched(policy))]

  def _searched(self, policy: QuantizationPolicy) -> list[Literal]:
    bits = policy.as_dict()
    return [(name, bits[name]) for name in self._names]

  # FLASH and instructions.

  def _make_sum_row(self, what: str, limit: int) -> Row:
    """Returns the row of a field of footprints that is a sum over layers."""
    problem = self._problem
    base = problem.policy({}, problem.bit_widths[-1])

    def added(*entries: Literal) -> int:
      policy = base.with_bits(dict(entries))
      return getattr(problem.footprint(policy), what) - fixed

    fixed = getattr(problem.footprint(base), what)
    narrower = problem.bit_widths[:-1]
    terms: dict[tuple[Literal, ...], int] = {
        ((n, w),): added((n, w)) for n in self._names for w in narrower
    }
    products: dict[tuple[Literal, ...], float] = {}
    for names in self._groups_in_layers(2 if what == 'flash_bytes' else 3):
      for widths in itertools.product(narrower, repeat=len(names)):
        group = tuple(zip(names, widths, strict=True))
        terms[group] = added(*group) - sum(
            terms[part]
            for size in range(1, len(group))
            for part in itertools.combinations(group, size)
        )
        if len(group) > 2 and abs(terms[group]) <= _NEGLIGIBLE * limit:
          # What takes less than the row says may be excluded wrongly.
          self.is_exact &= terms[group] >= 0
        elif terms[group]:
          products[group] = float(terms[group])
    # Some tensor carries what does not depend on the widths, so that the value
    # of the row is the number of bytes, or of instructions.
    carried = {self._names[0]: fixed}
    coefficients = {
        (n, w): float(carried.get(n, 0) + terms.get(((n, w),), 0))
        for n in self._names
        for w in problem.bit_widths
    }
    return Row(coefficients, limit, products)

  def _groups_in_layers(self, largest: int) -> list[tuple[str, ...]]:
    """Returns sets of 2 to `largest` tensors of a layer, small ones first."""
    groups: dict[tuple[str, ...], None] = {}
    for size in range(2, largest + 1):
      for layer in self._problem.network.layers:
        own = sorted(self._searched_tensors_of(layer))
        groups |= dict.fromkeys(itertools.combinations(own, size))
    return list(groups)

  def _searched_tensors_of(self, layer: LayerSpec) -> set[str]:
    network = self._problem.network
    activations = (*layer.inputs, layer.output)
    own = {network.bits_owner(name) for name in activations} | {layer.weight}
    return own & set(self._names)

  # RAM.

  def _layers_above_limit(self, policy: QuantizationPolicy) -> list[int]:
    if self._ram_limit is None:
      return []
    moments = self._problem.memory_model.moments(policy)
    return [i for i, m in enumerate(moments) if m.ram_bytes > self._ram_limit]

  def _ram_rows(
      self, policy: QuantizationPolicy, position: int
  ) -> Iterator[Row]:
    """Yields rows that exclude exactly what does not fit in one layer."""
    names = self._tensors_in_ram(policy, position)
    widths = self._problem.bit_widths
    too_large = np.empty((len(widths),) * len(names), bool)
    for index in np.ndindex(too_large.shape):
      bits = {n: widths[i] for n, i in zip(names, index, strict=True)}
      moments = self._problem.memory_model.moments(policy.with_bits(bits))
      too_large[index] = moments[position].ram_bytes > self._ram_limit
    for box in boxes(too_large):
      yield Row(
          {
              (name, widths[i]): 1.0
              for name, indices in zip(names, box, strict=True)
              for i in indices
              if len(indices) < len(widths)
          },
          sum(len(indices) < len(widths) for indices in box) - 1,
      )

  def _tensors_in_ram(
      self, policy: QuantizationPolicy, position: int
  ) -> list[str]:
    """Returns the searched tensors on which a moment's bytes depend."""
    network = self._problem.network
    moment = self._problem.memory_model.moments(policy)[position]
    names = {network.bits_owner(name) for name, _ in moment.alive}
    for layer in network.layers:
      if layer.name == moment.layer:
        names |= self._searched_tensors_of(layer)
    return [name for name in self._names if name in names]

  def _plan_row(self, policy: QuantizationPolicy) -> Row:
    """Excludes a set of buffers for which no plan of the bound was found."""
    problem = self._problem
    self._num_plan_cuts += 1
    moments = problem.memory_model.moments(policy)
    if self._num_plan_cuts > _MAX_PLAN_CUTS:
      self.is_exact = False
      bound = max(moment.ram_bytes for moment in moments)
      self._ram_limit -= problem.footprint(policy).ram_bytes - bound
    return exclusion(
        (name, bits)
        for name, bits in self._searched(policy)
        if any(
            problem.memory_model.moments(policy.with_bits({name: other}))
            != moments
            for other in problem.bit_widths
        )
    )


def boxes(marked: np.ndarray) -> list[tuple[tuple[int, ...], ...]]:
  """Returns products of index sets that together hold exactly what is marked.

  Each is as large as it can be: no index can be added to one of its sets
  without taking in something unmarked.

  Args:
    marked: boolean, any number of dimensions.
  """
  found, covered = [], np.zeros_like(marked)
  # The last corner first: where wider needs more, a box that grows downwards
  # from it is large.
  for corner in reversed(np.argwhere(marked)):
    if covered[tuple(corner)]:
      continue
    box = [{int(index)} for index in corner]
    for axis, size in enumerate(marked.shape):
      for index in range(size):
        wider = [*box[:axis], box[axis] | {index}, *box[axis + 1 :]]
        if marked[np.ix_(*map(sorted, wider))].all():
          box = wider
    covered[np.ix_(*map(sorted, box))] = True
    found.append(tuple(tuple(sorted(indices)) for indices in box))
  return found
