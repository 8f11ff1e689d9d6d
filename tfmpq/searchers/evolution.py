"""Evolutionary search over policies that fit.

After OFA and APQ (Cai et al., arXiv:1908.09791; Wang et al.,
arXiv:2006.08509): the best policies so far are mutated and crossed. They throw
away children outside the budget; ours are narrowed until they fit and then
given what is left, so that no evaluation and no memory goes unused.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os

import numpy as np

from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.budget_repair import repair
from tfmpq.searchers.environment import BitWidthEnvironment
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.random_search import random_policy
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy


@dataclasses.dataclass(frozen=True)
class EvolutionConfig:
  """Settings of the search.

  OFA and APQ take 100 parents' worth of evaluations per generation and
  thousands in all; these are for hundreds in all.

  Attributes:
    random_share: of the episodes, with random policies, before evolution.
    num_parents: how many of the best policies have children.
    mutation_rate: share of the tensors that get another width; where a child
      is a crossing, a fourth of that.
    max_redraws: how often a child is drawn anew if it is known.
  """

  random_share: float = 0.2
  num_parents: int = 12
  mutation_rate: float = 0.1
  max_redraws: int = 20


class EvolutionSearcher:
  """Mutates and crosses the best policies so far."""

  name = 'evolution'

  def __init__(self, config: EvolutionConfig = EvolutionConfig()):
    self.config = config

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy found; see `searcher.Searcher`."""
    environment = BitWidthEnvironment(problem)
    identity = {
        'searcher': self.name,
        'seed': seed,
        'config': dataclasses.asdict(self.config),
    }
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    rng = np.random.default_rng(seed)
    num_random = max(1, round(self.config.random_share * episodes))
    while log.num_left:
      num_proposed = min(problem.round_size, log.num_left)
      if len(log.records) < num_random:
        num_proposed = min(num_proposed, num_random - len(log.records))
        log.evaluate_round(
            [
                Proposal(random_policy(environment, rng)[0], 'random')
                for _ in range(num_proposed)
            ]
        )
      else:
        log.evaluate_round(self._children(problem, log, rng, num_proposed))
    return log.result(self.name, seed)

  def _children(
      self,
      problem: SearchProblem,
      log: EpisodeLog,
      rng: np.random.Generator,
      count: int,
  ) -> list[Proposal]:
    """Returns policies that are not known, if such are found."""
    # Of equal rewards the earlier first: sorted is stable.
    ranked = sorted(
        {r.policy: r for r in log.records if r.fits}.values(),
        key=lambda r: -r.reward,
    )
    parents = [r.policy for r in ranked[: self.config.num_parents]]
    proposals: list[Proposal] = []
    while len(proposals) < count:
      for _ in range(self.config.max_redraws):
        policy, phase = self._child(problem, parents, rng)
        if not log.knows(policy) and all(policy != p.policy for p in proposals):
          break
      proposals.append(Proposal(policy, phase))
    return proposals

  def _child(
      self,
      problem: SearchProblem,
      parents: Sequence[QuantizationPolicy],
      rng: np.random.Generator,
  ) -> tuple[QuantizationPolicy, str]:
    names = [tensor.name for tensor in problem.searched_tensors]
    crossed = len(parents) > 1 and rng.random() < 0.5
    chosen = rng.choice(len(parents), 1 + crossed, replace=False)
    mother, father = parents[chosen[0]], parents[chosen[-1]]
    bits, other = mother.as_dict(), father.as_dict()
    rate = self.config.mutation_rate / (4 if crossed else 1)
    from_father, mutated = rng.random((2, len(names)))
    for i, name in enumerate(names):
      if from_father[i] < 0.5:
        bits[name] = other[name]
      if mutated[i] < rate:
        wider_or_narrower = [w for w in problem.bit_widths if w != bits[name]]
        bits[name] = wider_or_narrower[rng.integers(len(wider_or_narrower))]
    child = repair(problem, QuantizationPolicy.of(bits), rng)
    order = [names[i] for i in rng.permutation(len(names))]
    return grow(problem, child, order), 'crossing' if crossed else 'mutation'
