"""The search as a sequence of decisions: observations in, actions out.

One episode decides the bits of every searched tensor once, layer by layer:
first a layer's weight, then its output activation. The environment knows no
agent, evaluates nothing and holds no accuracy: it maps actions to bits, keeps
the budget reachable, and describes what comes next.

Differences from HAQ (Wang et al., arXiv:1811.08886; its code's defects are
known): actions become 2, 4 or 8 bits by default; the budget is enforced at each
decision instead of after the last one, so that the agent learns from what was
really done, unless asked otherwise (`keeps_budget`); the table of observations
is constant, and what changes during an episode is computed anew at each step.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq.searchers import observation
from tfmpq.searchers.observation import Observation
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


@dataclasses.dataclass(frozen=True)
class Decision:
  """What a step did.

  Attributes:
    tensor: whose bits were decided.
    bits: the width that it got.
    action: the action as executed: the one given, or if that was too wide the
      centre of the interval of actions that mean `bits`.
    corrected: True if the action given would have made the budget
      unreachable.
  """

  tensor: str
  bits: int
  action: float
  corrected: bool


class BitWidthEnvironment:
  """Decides the bits of one searched tensor per step.

  `reset`, then `step` until `done`; `policy` is then complete and fits.
  """

  def __init__(self, problem: SearchProblem, keeps_budget: bool = True):
    """Prepares the constant part of the observations.

    Args:
      problem: what is searched.
      keeps_budget: False: any width may be decided, and `policy` need not fit.

    Raises:
      BudgetError: nothing fits.
    """
    self.problem = problem
    self._keeps_budget = keeps_budget
    self.tensors = problem.searched_tensors
    self._smallest = problem.require_feasible()
    self._static = observation.static_observations(
        problem.network, self.tensors
    )
    self._static.setflags(write=False)
    widths = problem.bit_widths
    self._extremes = tuple(
        problem.footprint(problem.policy({}, bits))
        for bits in (widths[0], widths[-1])
    )
    self.reset()

  @property
  def num_decisions(self) -> int:
    return len(self.tensors)

  @property
  def num_features(self) -> int:
    """Length of an observation."""
    return len(observation.SCALAR_FIELDS) + 2 * self.num_decisions

  @property
  def done(self) -> bool:
    return len(self._decided) == len(self.tensors)

  @property
  def policy(self) -> QuantizationPolicy:
    """The policy of a finished episode."""
    if not self.done:
      raise ValueError(
          f'{len(self._decided)} of {len(self.tensors)} tensors are decided'
      )
    return self._completion

  def reset(self, goal: QuantizationPolicy | None = None) -> None:
    """Starts an episode.

    Args:
      goal: a policy that fits; decisions that lead to it are never corrected.
    """
    self._decided: dict[str, int] = {}
    self._previous_action = 1.0
    self._completion = self._smallest if goal is None else goal
    self._options: dict[int, QuantizationPolicy | None] = {}

  def step(self, action: float) -> Decision:
    """Decides the next tensor.

    Args:
      action: in [0, 1]; the interval is divided evenly among the widths. A
        width that would make the budget unreachable becomes the next smaller
        one that does not (the next larger one if there is none).

    Raises:
      ValueError: the action is outside [0, 1], or the episode is over.
    """
    if self.done:
      raise ValueError('the episode is over; call reset')
    widths = self.problem.bit_widths
    wanted = width_index(action, len(widths))
    index = self._nearest_option(wanted)
    corrected = index != wanted
    if corrected:
      action = width_action(index, len(widths))
    completion = self._option(index)
    assert completion is not None
    self._completion = completion
    tensor = self.tensors[len(self._decided)]
    self._decided[tensor.name] = widths[index]
    self._previous_action = float(action)
    self._options = {}
    return Decision(tensor.name, widths[index], float(action), corrected)

  def observation(self) -> np.ndarray:
    """Returns an `Observation` as an array, float32 [num_features].

    After the last decision it is all zeros.
    """
    if self.done:
      return np.zeros(self.num_features, np.float32)
    position, num_decisions = len(self._decided), self.num_decisions
    widths = self.problem.bit_widths
    decided = np.zeros(num_decisions)
    decided[:position] = [
        (widths.index(bits) + 1) / len(widths)
        for bits in self._decided.values()
    ]
    ram_left, flash_left = self._budget_left()
    return Observation(
        **dict(
            zip(observation.STATIC_FIELDS, self._static[position], strict=True)
        ),
        previous_action=self._previous_action,
        ram_left=ram_left,
        flash_left=flash_left,
        largest_width=self._nearest_option(len(widths) - 1) / (len(widths) - 1),
        is_next=tuple(np.eye(num_decisions)[position]),
        decided=tuple(decided),
    ).to_array()

  def _nearest_option(self, wanted: int) -> int:
    """Returns the width that is taken instead of a wanted one, or that one.

    There always is one: the problem is feasible, and the policy that proved
    the last decision agrees with all decisions so far and has some width for
    the next tensor.
    """
    num_widths = len(self.problem.bit_widths)
    for index in (*range(wanted, -1, -1), *range(wanted + 1, num_widths)):
      if self._option(index) is not None:
        return index
    raise AssertionError('the budget has become unreachable')

  def _option(self, index: int) -> QuantizationPolicy | None:
    """Returns a policy that fits in which the next tensor has that width.

    None if none is found: the width would make the budget unreachable. If the
    budget does not count, any policy with all decisions.
    """
    if index not in self._options:
      tensor = self.tensors[len(self._decided)].name
      bits = self.problem.bit_widths[index]
      policy = self._completion.with_bits({tensor: bits})
      if self._keeps_budget and not self.problem.fits(policy):
        policy = self.problem.complete({**self._decided, tensor: bits})
      self._options[index] = policy
    return self._options[index]

  def _budget_left(self) -> tuple[float, float]:
    problem, budget = self.problem, self.problem.budget
    smallest = problem.policy(self._decided, problem.bit_widths[0])
    needed, (low, high) = problem.footprint(smallest), self._extremes
    return (
        observation.share_left(
            budget.ram_bytes, needed.ram_bytes, high.ram_bytes - low.ram_bytes
        ),
        observation.share_left(
            budget.flash_bytes,
            needed.flash_bytes,
            high.flash_bytes - low.flash_bytes,
        ),
    )


def width_index(action: float, num_widths: int) -> int:
  """Returns which of the widths an action in [0, 1] means."""
  if not 0 <= action <= 1:
    raise ValueError(f'expected an action in [0, 1], received {action}')
  return min(int(action * num_widths), num_widths - 1)


def width_action(index: int, num_widths: int) -> float:
  """Returns the centre of the interval of actions that mean a width."""
  return (index + 0.5) / num_widths
