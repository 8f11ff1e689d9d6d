"""Improvement of policies, guided by a model that learns from the evaluations.

Each round of proposals holds the optimum of the losses that are expected now,
one of losses that are possible (W. R. Thompson, Biometrika 25, 1933), which
tries what is promising but unknown, and otherwise neighbours of the best
policies, those with the smallest expected loss first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfmpq.searchers.additive_model import AdditiveModel
from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.greedy import neighbours
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.sensitivity import Sensitivities
from tfmpq.specs import QuantizationPolicy

# Random stream of a search's seed.
_STREAM = 4


def optimum(
    problem: SearchProblem, program: PolicyProgram, sensitivities: Sensitivities
) -> QuantizationPolicy:
  """Returns the program's policy, with the rest of the budget given away.

  Args:
    problem: what is searched; something fits.
    program: of the problem.
    sensitivities: of all searched tensors.
  """
  policy = program.solve_feasible(sensitivities.losses)
  return grow(problem, policy, sensitivities.by_need(policy))


class GuidedImprovement:
  """Proposes policies for one search."""

  def __init__(
      self,
      problem: SearchProblem,
      log: EpisodeLog,
      program: PolicyProgram,
      sensitivities: Sensitivities,
      seed: int,
  ):
    """Starts from what each tensor loses alone.

    Args:
      problem: what is searched.
      log: of the search, perhaps of one with a larger budget; holds a policy
        that fits.
      program: of the problem.
      sensitivities: of all searched tensors.
      seed: of the search.
    """
    self._problem, self._log, self._program = problem, log, program
    self._model = AdditiveModel(sensitivities)
    self._rng = np.random.default_rng([seed, _STREAM])
    # Of policies whose turn has come, the neighbours that have not been tried.
    self._neighbours: dict[QuantizationPolicy, list[QuantizationPolicy]] = {}

  def run(self, num_left: int = 0) -> None:
    """Evaluates policies until `num_left` episodes are left over.

    Ends early if nothing is left to be tried.
    """
    while self._log.num_left > num_left:
      size = min(self._problem.round_size, self._log.num_left - num_left)
      proposed = self.propose(size)
      if not proposed:
        return
      self._log.evaluate_round(
          [Proposal(policy, 'improvement') for policy in proposed]
      )

  def propose(
      self, size: int, taken: Sequence[QuantizationPolicy] = ()
  ) -> list[QuantizationPolicy]:
    """Returns new policies that fit, up to `size`, and none of `taken`."""
    fitting = [
        record
        for record in self._log.records
        if self._problem.fits(record.policy)
    ]
    best_first = sorted(fitting, key=lambda r: -r.reward)
    self._model.fit(self._log.records, best_first[0].reward)
    proposed: list[QuantizationPolicy] = []
    for policy in self._candidates(best_first):
      if not self._log.knows(policy) and policy not in [*proposed, *taken]:
        proposed.append(policy)
      if len(proposed) == size:
        break
    return proposed

  def _candidates(
      self, best_first: Sequence[EpisodeRecord]
  ) -> Iterator[QuantizationPolicy]:
    """Yields policies that fit, the most promising first."""
    expected = self._model.mean()
    for losses in (expected, self._model.draw(self._rng)):
      policy = self._program.solve(losses.losses)
      if policy is not None:
        yield grow(self._problem, policy, losses.by_need(policy))
    for record in best_first:
      policy = record.policy
      if policy not in self._neighbours:
        self._neighbours[policy] = neighbours(self._problem, policy)
      for neighbour in sorted(self._neighbours[policy], key=expected.total):
        self._neighbours[policy].remove(neighbour)
        yield grow(self._problem, neighbour, expected.by_need(neighbour))
