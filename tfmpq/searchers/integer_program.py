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

from tfmpq.searchers import solver_output
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
      self, losses: Losses, known: Iterable[QuantizationPolicy] = ()
  ) -> QuantizationPolicy | None:
    """Returns the policy that fits with the least sum of losses.

    Args:
      losses: searched tensor -> width -> loss, any sign.
      known: policies than which another one is wanted: wider somewhere.

    Returns:
      The policy; None if nothing else fits.
    """
    extra = [self._wider_somewhere(policy) for policy in known]
    while True:
      policy = self._solve_relaxed(losses, [*self._memory.rows, *extra])
      if policy is None or not self._memory.cut(policy):
        return policy
      self.num_cuts += 1

  def solve_feasible(self, losses: Losses) -> QuantizationPolicy:
    """Returns `solve(losses)`, or the smallest policy if nothing was found.

    Only a program that is not exact may miss what fits.

    Raises:
      BudgetError: nothing fits.
    """
    policy = self.solve(losses)
    if policy is None and self.is_exact:
      raise AssertionError('the program excludes all policies, yet some fit')
    return policy or self._problem.require_feasible()

  def _wider_somewhere(self, policy: QuantizationPolicy) -> Row:
    bits = policy.as_dict()
    narrow = [(n, w) for n, w in self._literals if w <= bits[n]]
    num_tensors = len(self._problem.searched_tensors)
    return Row(dict.fromkeys(narrow, 1.0), num_tensors - 1)

  def _solve_relaxed(
      self, losses: Losses, rows: list[Row]
  ) -> QuantizationPolicy | None:
    groups = sorted({group for row in rows for group in row.products})
    products = {g: len(self._literals) + i for i, g in enumerate(groups)}
    num_columns = len(self._literals) + len(products)
    with solver_output.discarded():
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
      entries += [(products[group], v) for group, v in row.products.items()]
      # The solver's tolerance is absolute, whether 1 is a byte or a tensor.
      unit = max(abs(value) for _, value in entries) or 1.0
      lines.append([(column, value / unit) for column, value in entries])
      limits.append(row.limit / unit)
    for group, column in products.items():
      factors = [self._columns[entry] for entry in group]
      lines.append([*((f, 1.0) for f in factors), (column, -1.0)])
      limits.append(len(factors) - 1)
      for factor in factors:
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
