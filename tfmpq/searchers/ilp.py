"""Integer programming on additive sensitivities, then local improvement."""

from __future__ import annotations

import os

from tfmpq.searchers import guided_improvement
from tfmpq.searchers import sensitivity
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult


class IlpSearcher:
  """Finds the exact optimum of the sum of losses, then improves on it.

  What each tensor loses alone at each width is measured first (`sensitivity`).
  If losses added up and were measured without error, the first policy after
  that would be the best there is. The remaining episodes go to what a model
  that learns from all of them suggests (`guided_improvement`).
  """

  name = 'ilp'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy found; see `searcher.Searcher`.

    The statistics say how many solutions of the program did not fit and were
    cut off, and whether its optimum is proven (1.0).
    """
    problem.require_feasible()
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    sensitivities = sensitivity.measure(problem, log)
    program = PolicyProgram(problem)
    policy = guided_improvement.optimum(problem, program, sensitivities)
    if log.num_left and not log.knows(policy):
      log.evaluate(policy, 'optimum')
    guided_improvement.GuidedImprovement(
        problem, log, program, sensitivities, seed
    ).run()
    return log.result(
        self.name,
        seed,
        {
            'num_cuts': float(program.num_cuts),
            'is_proven': float(program.is_exact),
        },
    )
