"""Every policy that fits: the truth, on networks that are small enough."""

from __future__ import annotations

import itertools
import os

from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

MAX_TENSORS = 6


class ExhaustiveSearcher:
  """Evaluates all policies that fit; the seed only names the run."""

  name = 'exhaustive'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy there is; see `searcher.Searcher`.

    Raises:
      ValueError: more than 6 tensors are searched, or more policies fit than
        there are episodes.
    """
    problem.require_feasible()
    policies = all_policies(problem)
    if len(policies) > episodes:
      raise ValueError(
          f'exhaustive: {len(policies)} policies fit, and all of them are '
          f'evaluated; episodes: expected at least {len(policies)}, received '
          f'{episodes}'
      )
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    log.evaluate_round([Proposal(p, 'enumeration') for p in policies])
    return log.result(self.name, seed)


def all_policies(problem: SearchProblem) -> list[QuantizationPolicy]:
  """Returns all policies that fit; ValueError for more than 6 tensors."""
  names = [tensor.name for tensor in problem.searched_tensors]
  widths = problem.bit_widths
  if len(names) > MAX_TENSORS:
    raise ValueError(
        f"exhaustive: network '{problem.network.name}' has {len(names)} "
        f'searched tensors, {len(widths)}^{len(names)} policies; expected at '
        f'most {MAX_TENSORS}. Use another searcher, or search fewer tensors '
        "(search_tensors='weights' or 'activations')"
    )
  policies = (
      problem.policy(dict(zip(names, chosen, strict=True)), widths[0])
      for chosen in itertools.product(widths, repeat=len(names))
  )
  return [policy for policy in policies if problem.fits(policy)]
