"""Random search: the environment of the agent, with random actions."""

from __future__ import annotations

import os

import numpy as np

from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.environment import BitWidthEnvironment
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

# How often a policy that was evaluated before is drawn anew.
_MAX_REDRAWS = 20


class RandomSearcher:
  """The baseline that learns nothing.

  Actions are uniform in [0, 1]; they are corrected and the rest of the budget
  is given away (in random order) just as for the agent, so that the two
  differ in nothing but learning.

  The literature's random search draws policies that fit, and leaves it at that:
  `RandomSearcher(grows=False)`, called 'random_no_growth'.

  Attributes:
    name: of the searcher.
    grows: whether the rest of the budget is given away.
  """

  def __init__(self, grows: bool = True):
    self.grows = grows
    self.name = 'random' if grows else 'random_no_growth'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best of `episodes` random policies; see `Searcher`."""
    environment = BitWidthEnvironment(problem)
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    rng = np.random.default_rng(seed)
    while log.num_left:
      count = min(problem.round_size, log.num_left)
      log.evaluate_round(_proposals(environment, log, rng, count, self.grows))
    num_corrected = sum(r.details['num_corrected'] for r in log.records)
    share = num_corrected / (episodes * environment.num_decisions)
    return log.result(self.name, seed, {'share_corrected': share})


def _proposals(
    environment: BitWidthEnvironment,
    log: EpisodeLog,
    rng: np.random.Generator,
    count: int,
    grows: bool,
) -> list[Proposal]:
  """Returns random policies that are not known, if such are found."""
  proposals: list[Proposal] = []
  known: set[QuantizationPolicy] = set()
  while len(proposals) < count:
    num_redrawn = 0
    policy, corrected = random_policy(environment, rng, grows)
    while num_redrawn < _MAX_REDRAWS and (log.knows(policy) or policy in known):
      num_redrawn += 1
      policy, corrected = random_policy(environment, rng, grows)
    known.add(policy)
    details = {'num_corrected': corrected, 'num_redrawn': num_redrawn}
    proposals.append(Proposal(policy, 'random', details))
  return proposals


def random_policy(
    environment: BitWidthEnvironment,
    rng: np.random.Generator,
    grows: bool = True,
) -> tuple[QuantizationPolicy, int]:
  """Returns a random policy that fits, and how many actions were corrected."""
  environment.reset()
  num_corrected = 0
  while not environment.done:
    num_corrected += environment.step(rng.random()).corrected
  if not grows:
    return environment.policy, num_corrected
  names = [tensor.name for tensor in environment.tensors]
  order = [names[i] for i in rng.permutation(len(names))]
  return grow(environment.problem, environment.policy, order), num_corrected
