"""A memory budget as linear constraints on which tensor has which width.

One binary variable says whether a tensor has a width. A memory model answers
for whole policies only, so the constraints are found by asking it:

- FLASH is a sum over layers, and a layer's bytes depend on the widths of its
  own tensors. One row holds the bytes of single tensors and of pairs of them.
- RAM is needed layer by layer. Where a solution needs too much, all
  combinations of widths of the tensors that count in that layer are tried, and
  those that do not fit are excluded. That assumes nothing about which width
  needs fewer bytes: in place, a wider input may need less.
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

# Plans that may miss the bound before the limit is lowered.
_MAX_PLAN_CUTS = 20

Literal = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Row:
  """Sum of coefficients of the widths that tensors have, <= limit.

  Attributes:
    coefficients: (tensor, width) -> what it adds.
    limit: right-hand side.
    pairs: two of them -> what they add together, besides what each adds.
  """

  coefficients: Mapping[Literal, float]
  limit: float
  pairs: Mapping[tuple[Literal, Literal], float] = dataclasses.field(
      default_factory=dict
  )

  def value(self, policy: QuantizationPolicy) -> float:
    """Returns the left-hand side."""
    chosen = set(policy.entries)
    return sum(
        value for entry, value in self.coefficients.items() if entry in chosen
    ) + sum(value for pair, value in self.pairs.items() if chosen >= {*pair})


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
      self._flash_row = self._make_flash_row(problem.budget.flash_bytes)
      self.rows.append(self._flash_row)

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
    self.rows += rows
    return True

  def _searched(self, policy: QuantizationPolicy) -> list[Literal]:
    bits = policy.as_dict()
    return [(name, bits[name]) for name in self._names]

  # FLASH.

  def _make_flash_row(self, limit: int) -> Row:
    problem = self._problem
    base = problem.policy({}, problem.bit_widths[-1])

    def added(*entries: Literal) -> int:
      policy = base.with_bits(dict(entries))
      return problem.footprint(policy).flash_bytes - fixed

    fixed = problem.footprint(base).flash_bytes
    narrower = problem.bit_widths[:-1]
    singles = {(n, w): added((n, w)) for n in self._names for w in narrower}
    pairs = {}
    for one, other in self._pairs_in_layers():
      for pair in itertools.product(
          [(one, w) for w in narrower], [(other, w) for w in narrower]
      ):
        extra = added(*pair) - singles[pair[0]] - singles[pair[1]]
        if extra:
          pairs[pair] = float(extra)
    # Some tensor carries what does not depend on the widths, so that the value
    # of the row is the number of bytes.
    carried = {self._names[0]: fixed}
    coefficients = {
        (n, w): float(carried.get(n, 0) + singles.get((n, w), 0))
        for n in self._names
        for w in problem.bit_widths
    }
    return Row(coefficients, limit, pairs)

  def _pairs_in_layers(self) -> list[tuple[str, str]]:
    pairs: dict[tuple[str, str], None] = {}
    for layer in self._problem.network.layers:
      own = self._searched_tensors_of(layer)
      pairs |= dict.fromkeys(itertools.combinations(sorted(own), 2))
    return list(pairs)

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
