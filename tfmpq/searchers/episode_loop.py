"""DDPG as a searcher: agent and environment, episode after episode.

The algorithm is HAQ's (Wang et al., arXiv:1811.08886): an episode decides all
tensors, the agent is trained at its end. Where we differ, and why (measured
on the synthetic problems of tests/synthetic_problem.py):

- The reward comes after the last decision only, so that with discount 1 every
  decision's return is the final reward. HAQ gives it to every transition,
  which counts it once per remaining decision.
- Observations contain the decisions so far. Without them the value of a state
  depends on what the agent cannot see.
- The logits of the actor are penalized (`DdpgConfig.logit_penalty`), and the
  budget that an episode leaves is given away (`budget_growth`). Without the
  former the actor soon wants the largest width for every tensor.
- The critic learns the logarithm of the regret (`reward_scaling`).
- A policy that is known is replaced by a noisier one.

HAQ's own range and constraint are options: `SearchProblem.bit_widths` of 1 to 8
and `DdpgSearchConfig.constraint`; `final_wall` says what remains different.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from tfmpq.searchers import demonstrations
from tfmpq.searchers import final_wall
from tfmpq.searchers import search_state
from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.ddpg import DdpgAgent
from tfmpq.searchers.ddpg import Losses
from tfmpq.searchers.ddpg_search_config import DdpgSearchConfig
from tfmpq.searchers.environment import BitWidthEnvironment
from tfmpq.searchers.environment import width_action
from tfmpq.searchers.environment import width_index
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.exploration import NoiseSchedule
from tfmpq.searchers.exploration import truncated_normal
from tfmpq.searchers.replay_buffer import ReplayBuffer
from tfmpq.searchers.replay_buffer import Transition
from tfmpq.searchers.reward_scaling import scaled_rewards
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

_STATE_NAME = 'agent.npz'


class DdpgSearcher:
  """Learns which tensors deserve the bits.

  An episode: the actor, with exploration noise, decides every tensor; what
  remains of the budget goes to the tensors whose wishes were met least
  (`budget_growth`); the policy is evaluated; its transitions, with the
  actions as they were executed in the end, enter the replay buffer; one
  training step per transition follows. The first episodes are random, and
  the last one evaluates the actor without noise.
  """

  name = 'ddpg'

  def __init__(self, config: DdpgSearchConfig | None = None):
    self.config = config or DdpgSearchConfig()

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy of all episodes; see `searcher.Searcher`."""
    at_every_step = self.config.constraint == 'every_step'
    if not at_every_step:
      final_wall.require_supported(problem)
    environment = BitWidthEnvironment(problem, at_every_step)
    identity = {
        'searcher': self.name,
        'seed': seed,
        'config': self.config.identity(),
    }
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    loop = _EpisodeLoop(self.config, environment, log, seed)
    path = None if state_dir is None else pathlib.Path(state_dir) / _STATE_NAME
    if path is not None and path.exists():
      loop.load_state(search_state.read_arrays(path))
    while log.num_left:
      loop.run_round()
      if path is not None:
        search_state.write_arrays(path, loop.state())
    return log.result(self.name, seed, loop.statistics())


@dataclasses.dataclass(frozen=True)
class _Rollout:
  """A policy that the actor proposed.

  Attributes:
    policy: after growth, or after lowering.
    wishes: the actions as proposed, by decision.
    num_corrected: how many of them were too wide, or were lowered.
  """

  policy: QuantizationPolicy
  wishes: tuple[float, ...]
  num_corrected: int


class _EpisodeLoop:
  """Everything that changes during a search, and one step of it."""

  def __init__(
      self,
      config: DdpgSearchConfig,
      environment: BitWidthEnvironment,
      log: EpisodeLog,
      seed: int,
  ):
    self._config, self._seed = config, seed
    self._environment = environment
    self._log = log
    streams = np.random.SeedSequence(seed).spawn(3)
    weights, actions, replay = map(np.random.default_rng, streams)
    self._action_rng, self._replay_rng = actions, replay
    num_features = environment.num_features
    self._agent = DdpgAgent(config.agent, num_features, weights)
    self._replay = ReplayBuffer(
        config.replay_episodes * environment.num_decisions, num_features
    )
    self._losses = Losses(0.0, 0.0)
    # Episodes before the actor's own; known after them if they demonstrate.
    self._num_start = config.num_warmup(log.episodes)

  def run_round(self) -> None:
    """Plays some episodes, evaluates them together, stores and trains."""
    if self._config.start == 'ilp' and not self._log.records:
      self._demonstrate()
      return
    phase, count = self._next_phase()
    rollouts: list[_Rollout] = []
    proposals: list[Proposal] = []
    for position in range(count):
      sigma = self._sigma(phase, len(self._log.records) + position)
      taken = {proposal.policy for proposal in proposals}
      rollout, num_resampled = self._new_rollout(phase, sigma, taken)
      details = {
          'num_corrected': rollout.num_corrected,
          'num_resampled': num_resampled,
          'sigma': sigma,
          'critic_loss': self._losses.critic,
          'actor_loss': self._losses.actor,
      }
      rollouts.append(rollout)
      proposals.append(Proposal(rollout.policy, phase, details))
    records = self._log.evaluate_round(proposals)
    for rollout, record in zip(rollouts, records, strict=True):
      self._store(rollout.policy, rollout.wishes, record.reward)
    for record in records:
      if record.index + 1 >= self._num_start:
        self._train()

  def _demonstrate(self) -> None:
    """Starts from what an integer program finds, instead of from nothing."""
    records = demonstrations.evaluate(
        self._environment.problem,
        self._log,
        self._config.demonstrated_share,
        self._seed,
    )
    self._num_start = len(self._log.records)
    first = self._replay.size
    for record in records:
      bits = record.policy.as_dict()
      centres = [self._centre(bits[t.name]) for t in self._environment.tensors]
      self._store(record.policy, centres, record.reward)
    if not records:
      return
    best = max(range(len(records)), key=lambda i: records[i].reward)
    num_decisions = self._environment.num_decisions
    stored = self._replay.state()
    rows = slice(first + best * num_decisions, None)
    self._agent.imitate(
        stored['observation'][rows][:num_decisions],
        stored['action'][rows][:num_decisions],
        self._config.imitation_steps,
    )
    for _ in records:
      self._train()

  def _next_phase(self) -> tuple[str, int]:
    """Returns what the next episodes are for, and how many form a round."""
    index, size = len(self._log.records), self._environment.problem.round_size
    if index < self._num_start:
      return 'warmup', min(size, self._num_start - index)
    if self._log.num_left == 1:
      return 'actor', 1
    return 'explore', min(size, self._log.num_left - 1)

  def _sigma(self, phase: str, index: int) -> float:
    if phase != 'explore':
      return 0.0
    num_exploring = self._log.episodes - self._num_start - 1
    return self._noise.sigma(index - self._num_start, num_exploring)

  @property
  def _noise(self) -> NoiseSchedule:
    config = self._config
    return config.started_noise if config.start == 'ilp' else config.noise

  def _new_rollout(
      self, phase: str, sigma: float, taken: Set[QuantizationPolicy]
  ) -> tuple[_Rollout, int]:
    """Returns a rollout, a new policy if possible, and the attempts before."""
    rollout = self._rollout(phase, sigma)
    if phase == 'actor':
      return rollout, 0
    for attempt in range(self._config.max_resamples):
      if not self._log.knows(rollout.policy) and rollout.policy not in taken:
        return rollout, attempt
      sigma = min(self._config.noise.first, sigma * self._config.noise_widening)
      rollout = self._rollout(phase, sigma)
    return rollout, self._config.max_resamples

  def _rollout(self, phase: str, sigma: float) -> _Rollout:
    environment = self._environment
    environment.reset()
    wishes, granted, num_corrected = [], [], 0
    while not environment.done:
      if phase == 'warmup':
        action = float(self._action_rng.random())
      else:
        action = self._agent.action(environment.observation())
        action = truncated_normal(action, sigma, self._action_rng)
      decision = environment.step(action)
      wishes.append(action)
      granted.append(self._centre(decision.bits))
      num_corrected += decision.corrected
    if self._config.constraint == 'end_of_episode':
      wanted = environment.policy
      policy = final_wall.lower(environment.problem, wanted)
      num_lowered = len({*wanted.entries} - {*policy.entries})
      return _Rollout(policy, tuple(wishes), num_lowered)
    unmet = np.array(wishes) - np.array(granted)
    names = [tensor.name for tensor in environment.tensors]
    order = [names[i] for i in np.argsort(-unmet, kind='stable')]
    policy = grow(environment.problem, environment.policy, order)
    return _Rollout(policy, tuple(wishes), num_corrected)

  def _store(
      self,
      policy: QuantizationPolicy,
      wishes: Sequence[float],
      reward: float,
  ) -> None:
    """Adds the transitions of the episode as it was executed in the end."""
    environment = self._environment
    num_widths = len(environment.problem.bit_widths)
    bits = policy.as_dict()
    environment.reset(goal=policy)
    observation = environment.observation()
    for tensor, wish in zip(environment.tensors, wishes, strict=True):
      index = environment.problem.bit_widths.index(bits[tensor.name])
      met = width_index(wish, num_widths) == index
      action = wish if met else width_action(index, num_widths)
      environment.step(action)
      next_observation = environment.observation()
      self._replay.add(
          Transition(
              observation=observation,
              action=np.array([action]),
              reward=np.array(reward if environment.done else 0.0),
              discount=np.array(0.0 if environment.done else 1.0),
              next_observation=next_observation,
          )
      )
      observation = next_observation
    if environment.policy != policy:
      raise AssertionError('an episode could not be repeated')

  def _train(self) -> None:
    batches = self._replay.sample(
        self._environment.num_decisions,
        self._config.agent.batch_size,
        self._replay_rng,
    )
    history = np.array([r.reward for r in self._log.records if r.fits])
    scaled = scaled_rewards(batches.reward, history)
    is_last = batches.discount == 0
    self._losses = self._agent.train(
        dataclasses.replace(batches, reward=np.where(is_last, scaled, 0))
    )

  def _centre(self, bits: int) -> float:
    widths = self._environment.problem.bit_widths
    return width_action(widths.index(bits), len(widths))

  def statistics(self) -> dict[str, float]:
    """Figures of the search so far, by name."""
    records = self._log.records
    played = [r for r in records if 'num_corrected' in r.details]
    num_decisions = self._environment.num_decisions * max(1, len(played))
    corrected = sum(r.details['num_corrected'] for r in played)
    statistics = {
        'share_corrected': corrected / num_decisions,
        'num_resampled': sum(r.details['num_resampled'] for r in played),
        'actor_reward': records[-1].reward,
        'actor_index': float(records[-1].index),
    }
    warmup = [r.reward for r in records if r.phase == 'warmup']
    if warmup:
      statistics['mean_reward_random'] = sum(warmup) / len(warmup)
    return statistics

  def state(self) -> dict[str, np.ndarray]:
    """Returns all that `load_state` needs to go on with the same bits."""
    scalars = {
        'num_records': len(self._log.records),
        'num_start': self._num_start,
        'losses': dataclasses.asdict(self._losses),
        'action_rng': self._action_rng.bit_generator.state,
        'replay_rng': self._replay_rng.bit_generator.state,
    }
    state = {'scalars': np.array(json.dumps(scalars))}
    for index, variable in enumerate(self._agent.variables()):
      state[f'agent_{index}'] = variable.numpy()
    for name, array in self._replay.state().items():
      state[f'replay_{name}'] = array
    return state

  def load_state(self, state: dict[str, np.ndarray]) -> None:
    """Continues after the episode at whose end the state was taken."""
    scalars: dict[str, Any] = json.loads(str(state['scalars']))
    self._log.restore(scalars['num_records'])
    self._num_start = scalars['num_start']
    self._losses = Losses(**scalars['losses'])
    self._action_rng.bit_generator.state = scalars['action_rng']
    self._replay_rng.bit_generator.state = scalars['replay_rng']
    self._agent.assign(
        [
            state[f'agent_{index}']
            for index in range(len(self._agent.variables()))
        ]
    )
    prefix = 'replay_'
    self._replay.load_state(
        {n[len(prefix) :]: a for n, a in state.items() if n.startswith(prefix)}
    )
