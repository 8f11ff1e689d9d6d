"""Policies from which an agent may start: the best of an integer program."""

from __future__ import annotations

from tfmpq.searchers import sensitivity
from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


def evaluate(
    problem: SearchProblem, log: EpisodeLog, count: int
) -> list[EpisodeRecord]:
  """Measures what each tensor loses alone, then evaluates the best by the sum.

  Args:
    problem: what is searched.
    log: of a search that has just begun; the measurements are episodes, too.
    count: most policies to be evaluated after the measurements.

  Returns:
    The records of these policies, all of which fit; fewer than `count` if no
    others fit or no episodes are left.
  """
  sensitivities = sensitivity.measure(problem, log)
  program = PolicyProgram(problem)
  found: list[QuantizationPolicy] = []
  while len(found) < min(count, log.num_left):
    policy = program.solve(sensitivities.losses, found)
    if policy is None:
      break
    found.append(grow(problem, policy, sensitivities.by_need(policy)))
  # None depends on what another one is worth: a single round.
  return log.evaluate_round([Proposal(p, 'demonstration') for p in found])
