"""The policy of least additive loss inside a budget, by integer programming.

HiGHS, through `scipy.optimize.milp`, solves it to proven optimality; the
memory model then certifies the solution or says what to exclude
(`linear_memory`), until it fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import scipy.optimize
import scipy.sparse

from tfmpq.searchers.linear_memory import exclusion
from tfmpq.searchers.linear_memory import LinearMemory
from tfmpq.searchers.linear_memory import Literal
from tfmpq.searchers.linear_memory import Row
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy

# Of equally good policies the widest is wanted: what a tensor pays for not
# having the largest width, as a share of the largest loss.
_TIE_BREAK = 1e-7

Losses = Mapping[str, Mapping[int, float]]


class PolicyProgram:
  """Solves one problem for any losses; keeps the cuts it has found.

  Attributes:
    num_cuts: solutions that did not fit and were cut off, so far.
  """

  def __init__(self, problem: SearchProblem):
    self._problem = problem
    self._memory = LinearMemory(problem)
    self._literals: list[Literal] = [
        (tensor.name, width)
        for tensor in problem.searched_tensors
        for width in problem.bit_widths
    ]
    self._columns = {entry: i for i, entry in enumerate(self._literals)}
    self.num_cuts = 0

  @property
  def is_exact(self) -> bool:
    """Whether solutions so far are optima of their losses, proven."""
    return self._memory.is_exact

  def solve(
      self, losses: Losses, excluded: Iterable[QuantizationPolicy] = ()
  ) -> QuantizationPolicy | None:
    """Returns the policy that fits with the least sum of losses.

    Args:
      losses: searched tensor -> width -> loss, any sign.
      excluded: policies that are not wanted.

    Returns:
      The policy; None if nothing else fits.
    """
    extra = [exclusion(self._entries(policy)) for policy in excluded]
    while True:
      policy = self._solve_relaxed(losses, [*self._memory.rows, *extra])
      if policy is None or not self._memory.cut(policy):
        return policy
      self.num_cuts += 1

  def _entries(self, policy: QuantizationPolicy) -> list[Literal]:
    bits = policy.as_dict()
    return [(t.name, bits[t.name]) for t in self._problem.searched_tensors]

  def _solve_relaxed(
      self, losses: Losses, rows: list[Row]
  ) -> QuantizationPolicy | None:
    pairs = sorted({pair for row in rows for pair in row.pairs})
    products = {p: len(self._literals) + i for i, p in enumerate(pairs)}
    num_columns = len(self._literals) + len(products)
    result = scipy.optimize.milp(
        self._costs(losses, num_columns),
        integrality=np.arange(num_columns) < len(self._literals),
        bounds=scipy.optimize.Bounds(0, 1),
        constraints=[
            self._one_width_each(num_columns),
            *self._limits(rows, products, num_columns),
        ],
        options={'mip_rel_gap': 0},
    )
    if result.status == 2:  # infeasible
      return None
    if result.x is None or result.status != 0:
      raise AssertionError(f'no optimum was found: {result.message}')
    return self._problem.policy(
        {
            name: width
            for (name, width), x in zip(self._literals, result.x, strict=False)
            if x > 0.5
        },
        self._problem.bit_widths[0],
    )

  def _costs(self, losses: Losses, num_columns: int) -> np.ndarray:
    costs = np.zeros(num_columns)
    costs[: len(self._literals)] = [losses[n][w] for n, w in self._literals]
    widest = self._problem.bit_widths[-1]
    unit = np.abs(costs).max() or 1.0
    costs[: len(self._literals)] += [
        unit * _TIE_BREAK * (1 - width / widest) for _, width in self._literals
    ]
    return costs / unit

  def _one_width_each(self, num_columns: int):
    num_tensors = len(self._problem.searched_tensors)
    num_widths = len(self._problem.bit_widths)
    columns = np.arange(len(self._literals))
    matrix = scipy.sparse.csr_array(
        (np.ones(len(columns)), (columns // num_widths, columns)),
        shape=(num_tensors, num_columns),
    )
    return scipy.optimize.LinearConstraint(matrix, 1, 1)

  def _limits(self, rows: list[Row], products, num_columns: int):
    """Yields the rows, and what makes products of the product columns."""
    lines, limits = [], []
    for row in rows:
      entries = [(self._columns[e], v) for e, v in row.coefficients.items()]
      entries += [(products[pair], v) for pair, v in row.pairs.items()]
      lines.append(entries)
      limits.append(row.limit)
    for (one, other), column in products.items():
      first, second = self._columns[one], self._columns[other]
      lines.append([(first, 1.0), (second, 1.0), (column, -1.0)])
      limits.append(1)
      for factor in (first, second):
        lines.append([(column, 1.0), (factor, -1.0)])
        limits.append(0)
    if not lines:
      return
    indices = [
        (i, column) for i, line in enumerate(lines) for column, _ in line
    ]
    values = [value for line in lines for _, value in line]
    matrix = scipy.sparse.csr_array(
        (values, tuple(zip(*indices, strict=True))),
        shape=(len(lines), num_columns),
    )
    yield scipy.optimize.LinearConstraint(matrix, -np.inf, limits)
