"""Settings of the search by DDPG."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfmpq.searchers.ddpg import DdpgConfig
from tfmpq.searchers.exploration import NoiseSchedule
from tfmpq.specs import did_you_mean

STARTS = ('none', 'ilp')
CONSTRAINTS = ('every_step', 'end_of_episode')


@dataclasses.dataclass(frozen=True)
class DdpgSearchConfig:
  """Settings of the search.

  Attributes:
    agent: hyperparameters of actor and critic.
    noise: of the exploring episodes.
    warmup_episodes: most episodes of random actions at the start; a short
      search takes a tenth of its episodes.
    max_resamples: how often an episode is played again, with wider noise, if
      its policy was evaluated before.
    noise_widening: factor on sigma at each of these.
    replay_episodes: how many of the last episodes are trained on.
    start: 'none', or 'ilp': instead of random episodes, do what the searcher
      'ilp' does with a part of the episodes (`demonstrations`), and let the
      actor imitate the best policy.
    demonstrated_share: that part of the episodes, measurements apart.
    imitation_steps: training steps of the imitation.
    started_noise: of the exploring episodes then.
    constraint: 'every_step': each decision keeps the budget reachable, and what
      an episode leaves of it is given away (`budget_growth`). 'end_of_episode':
      decisions are free, and a policy that does not fit is lowered when all are
      made (`final_wall`); nothing is given away. That is HAQ's way.
  """

  agent: DdpgConfig = DdpgConfig()
  noise: NoiseSchedule = NoiseSchedule()
  warmup_episodes: int = 20
  max_resamples: int = 10
  noise_widening: float = 1.3
  replay_episodes: int = 1000
  start: str = 'none'
  demonstrated_share: float = 0.5
  imitation_steps: int = 300
  started_noise: NoiseSchedule = NoiseSchedule(first=0.25, last=0.02)
  constraint: str = 'every_step'

  def __post_init__(self):
    for name, choices in (('start', STARTS), ('constraint', CONSTRAINTS)):
      received = getattr(self, name)
      if received not in choices:
        raise ValueError(
            f"{name}: expected one of {choices}, received '{received}'"
            + did_you_mean(received, choices)
        )

  def num_warmup(self, episodes: int) -> int:
    """Returns how many of the episodes are random."""
    return min(self.warmup_episodes, max(1, episodes // 10))

  def identity(self) -> dict[str, Any]:
    """Returns the settings as plain values, for saved searches.

    A constraint that is the default is left out: searches that were saved
    before there was another one go on.
    """
    settings = dataclasses.asdict(self)
    if self.constraint == CONSTRAINTS[0]:
      del settings['constraint']
    return settings
