"""Searchers by name."""

from tfmpq.searchers.ddpg_search_config import DdpgSearchConfig
from tfmpq.searchers.episode_loop import DdpgSearcher
from tfmpq.searchers.evolution import EvolutionSearcher
from tfmpq.searchers.exhaustive import ExhaustiveSearcher
from tfmpq.searchers.greedy import GreedySearcher
from tfmpq.searchers.ilp import IlpSearcher
from tfmpq.searchers.least_noise import LeastNoiseSearcher
from tfmpq.searchers.random_search import RandomSearcher
from tfmpq.searchers.rule_based import RuleBasedSearcher
from tfmpq.searchers.searcher import Searcher
from tfmpq.specs import did_you_mean


def create(
    name: str, ddpg_start: str = "none", constraint: str = "every_step"
) -> Searcher:
  """Returns the searcher of that name, with its default settings.

  Args:
    name: of the searcher.
    ddpg_start: `DdpgSearchConfig.start`.
    constraint: `DdpgSearchConfig.constraint`.

  Raises:
    ValueError: there is no such searcher; the nearest name is given. Or it
      does not know the constraint.
  """
  searchers = (
      DdpgSearcher(DdpgSearchConfig(start=ddpg_start, constraint=constraint)),
      EvolutionSearcher(),
      ExhaustiveSearcher(),
      GreedySearcher(),
      IlpSearcher(),
      LeastNoiseSearcher(),
      RandomSearcher(),
      RandomSearcher(grows=False),
      RuleBasedSearcher(),
  )
  by_name: dict[str, Searcher] = {s.name: s for s in searchers}
  if name not in by_name:
    raise ValueError(
        f"there is no searcher '{name}'" + did_you_mean(name, by_name)
    )
  if constraint != "every_step" and name != DdpgSearcher.name:
    raise ValueError(
        f"searcher '{name}': expected the constraint 'every_step', received "
        f"'{constraint}', which only '{DdpgSearcher.name}' knows"
    )
  return by_name[name]
