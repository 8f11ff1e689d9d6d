"""Policies from which an agent may start: those of an integer program."""

from __future__ import annotations

from tfmpq.searchers import guided_improvement
from tfmpq.searchers import sensitivity
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import SearchProblem


def evaluate(
    problem: SearchProblem, log: EpisodeLog, share: float, seed: int
) -> list[EpisodeRecord]:
  """Does what `ilp` does, with a part of the episodes.

  Measures what each tensor loses alone, evaluates the optimum of the sum of
  losses, and then what a model of the losses suggests.

  Args:
    problem: what is searched.
    log: of a search that has just begun; the measurements are episodes, too.
    share: of the episodes after the measurements, 0..1; at least one is used.
    seed: of the search.

  Returns:
    The records after the measurements, all of which fit.
  """
  sensitivities = sensitivity.measure(problem, log)
  first = len(log.records)
  num_left = round((1 - share) * log.num_left)
  program = PolicyProgram(problem)
  policy = guided_improvement.optimum(problem, program, sensitivities)
  log.evaluate(policy, 'optimum')
  guided_improvement.GuidedImprovement(
      problem, log, program, sensitivities, seed
  ).run(num_left)
  return log.records[first:]
