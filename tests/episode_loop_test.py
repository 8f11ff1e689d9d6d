"""The DDPG searcher: budget, replay, repeats, and going on after a kill."""

import dataclasses

import numpy as np
import pytest

from tests import synthetic_problem
from tests.interruption import interrupt_after
from tests.interruption import Interrupted
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.searchers import episode_loop
from tfmpq.searchers import registry
from tfmpq.searchers import reward_scaling
from tfmpq.searchers import search_state
from tfmpq.searchers.ddpg import DdpgConfig
from tfmpq.searchers.ddpg_search_config import DdpgSearchConfig
from tfmpq.searchers.environment import BitWidthEnvironment
from tfmpq.searchers.environment import width_index
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_loop import DdpgSearcher

_SMALL = DdpgSearchConfig(agent=DdpgConfig(hidden_units=(8, 8), batch_size=16))
_EPISODES = 12


def _network():
  """Ten decisions."""
  return synthetic_problem.default_network(((8, 1), (16, 2)), size=8)


def _problem(**fields):
  settings = {
      'network': _network(),
      'budget': MemoryBudget(ram_bytes=400, flash_bytes=1200),
      **fields,
  }
  return synthetic_problem.problem(**settings)


def _search(problem, episodes=_EPISODES, seed=5, **arguments):
  return DdpgSearcher(_SMALL).search(problem, episodes, seed, **arguments)


def _run_loop(problem, num_episodes):
  """Returns a loop after some of its episodes."""
  log = EpisodeLog(problem, _EPISODES, {})
  environment = BitWidthEnvironment(problem)
  loop = episode_loop._EpisodeLoop(_SMALL, environment, log, 0)
  for _ in range(num_episodes):
    loop.run_round()
  return loop, log


def test_every_policy_fits():
  problem = _problem()
  result = _search(problem)
  assert len(result.records) == _EPISODES
  for record in result.records:
    assert problem.fits(record.policy)
    assert record.fits
  assert result.best.reward == max(r.reward for r in result.records)


def test_phases_are_warmup_exploration_and_the_actor_alone():
  phases = [r.phase for r in _search(_problem(), episodes=30).records]
  assert phases == ['warmup'] * 3 + ['explore'] * 26 + ['actor']
  config = DdpgSearchConfig()
  assert config.num_warmup(200) == config.num_warmup(600) == 20
  assert config.num_warmup(1) == config.num_warmup(10) == 1


def test_sigma_falls_to_its_last_value_and_the_actor_has_none():
  records = _search(_problem()).records
  sigmas = [r.details['sigma'] for r in records if r.phase == 'explore']
  assert sigmas[0] == 0.5
  assert sigmas[-1] == pytest.approx(0.02)
  assert records[-1].details['sigma'] == 0


@pytest.mark.parametrize('episodes', [1, 2, 3])
def test_few_episodes_are_enough_to_end(episodes):
  result = _search(_problem(), episodes=episodes)
  assert len(result.records) == episodes
  assert set(result.statistics) >= {
      'share_corrected',
      'num_resampled',
      'mean_reward_random',
      'mean_reward_last_fifth',
      'actor_reward',
  }


def test_replay_holds_what_was_executed():
  problem = _problem()
  loop, log = _run_loop(problem, 3)
  stored = loop._replay.state()
  num_decisions = len(problem.searched_tensors)
  assert len(stored['reward']) == 3 * num_decisions
  for episode, record in enumerate(log.records):
    rows = slice(episode * num_decisions, (episode + 1) * num_decisions)
    bits = record.policy.as_dict()
    actions = stored['action'][rows, 0]
    for tensor, action in zip(problem.searched_tensors, actions, strict=True):
      width = problem.bit_widths[width_index(float(action), 3)]
      assert width == bits[tensor.name]
    rewards = [0] * (num_decisions - 1) + [np.float32(record.reward)]
    np.testing.assert_array_equal(stored['reward'][rows], rewards)
    discounts = stored['discount'][rows]
    np.testing.assert_array_equal(discounts, [1] * (num_decisions - 1) + [0])
    np.testing.assert_array_equal(
        stored['next_observation'][rows][:-1], stored['observation'][rows][1:]
    )


def test_corrected_actions_are_counted():
  loop, log = _run_loop(_problem(), _EPISODES)
  counts = [r.details['num_corrected'] for r in log.records]
  assert sum(counts) > 0
  num_decisions = _EPISODES * len(loop._environment.tensors)
  assert loop.statistics()['share_corrected'] == sum(counts) / num_decisions


def test_repeated_policies_are_not_evaluated_and_do_not_end_the_search():
  network = synthetic_problem.default_network(((4, 1),), size=4)
  problem = _problem(
      network=network,
      budget=MemoryBudget(),
      search_tensors='activations',
      bit_widths=(2, 4, 8),
  )
  result = _search(problem, episodes=40)
  calls = problem.evaluate.calls
  assert len(result.records) == 40
  assert len(calls) == len(set(calls)) == result.statistics['num_evaluations']
  # Growth fills an unlimited budget: there is only one policy.
  assert len(calls) == 1
  assert result.statistics['num_repeated'] == 39
  assert result.statistics['num_resampled'] == 10 * 38


def test_seed_decides_the_policies():
  policies = [
      [record.policy for record in _search(_problem(), seed=seed).records]
      for seed in (1, 1, 2)
  ]
  assert policies[0] == policies[1]
  assert policies[0] != policies[2]


def test_impossible_budget_is_refused():
  problem = _problem(budget=MemoryBudget(flash_bytes=100))
  with pytest.raises(BudgetError):
    _search(problem)


# Going on.


@pytest.fixture(name='undisturbed', scope='module')
def _undisturbed():
  return _search(_problem())


def _num_evaluations(records):
  return sum(not record.repeated for record in records)


@pytest.mark.parametrize('stop', [0, 1, 2, 6, 8])
@pytest.mark.parametrize('where', ['evaluate', 'on_episode'])
def test_interrupted_search_ends_as_an_undisturbed_one(
    undisturbed, where, stop, tmp_path
):
  problem, on_episode = interrupt_after(_problem(), where, stop)
  with pytest.raises(Interrupted):
    _search(problem, state_dir=tmp_path, on_episode=on_episode)
  problem, seen = _problem(), []
  resumed = _search(problem, state_dir=tmp_path, on_episode=seen.append)
  assert resumed == undisturbed
  if where == 'on_episode':
    num_saved = stop + 1
  else:
    new = [r.index for r in undisturbed.records if not r.repeated]
    num_saved = new[stop]
  assert [p.restored for p in seen] == [i < num_saved for i in range(12)]
  rest = undisturbed.records[num_saved:]
  assert len(problem.evaluate.calls) == _num_evaluations(rest)


def test_search_may_be_interrupted_again_and_again(undisturbed, tmp_path):
  for stop in range(_EPISODES):
    problem, on_episode = interrupt_after(_problem(), 'on_episode', stop)
    with pytest.raises(Interrupted):
      _search(problem, state_dir=tmp_path, on_episode=on_episode)
  assert _search(_problem(), state_dir=tmp_path) == undisturbed


def test_kill_before_the_agent_is_saved_loses_no_evaluation(
    undisturbed, tmp_path, monkeypatch
):
  write = search_state.write_arrays
  saved = []

  def write_or_stop(path, arrays):
    if len(saved) == 6:
      raise Interrupted
    saved.append(path)
    write(path, arrays)

  monkeypatch.setattr(search_state, 'write_arrays', write_or_stop)
  with pytest.raises(Interrupted):
    _search(_problem(), state_dir=tmp_path)
  monkeypatch.undo()
  problem = _problem()
  assert _search(problem, state_dir=tmp_path) == undisturbed
  rest = undisturbed.records[7:]
  assert len(problem.evaluate.calls) == _num_evaluations(rest)


def test_lost_agent_is_trained_anew_from_the_saved_episodes(
    undisturbed, tmp_path
):
  problem, on_episode = interrupt_after(_problem(), 'on_episode', 8)
  with pytest.raises(Interrupted):
    _search(problem, state_dir=tmp_path, on_episode=on_episode)
  (tmp_path / 'agent.npz').unlink()
  problem = _problem()
  assert _search(problem, state_dir=tmp_path) == undisturbed
  rest = undisturbed.records[9:]
  assert len(problem.evaluate.calls) == _num_evaluations(rest)


def test_agent_without_its_episodes_is_refused(tmp_path):
  _search(_problem(), state_dir=tmp_path)
  (tmp_path / 'episodes.json').unlink()
  with pytest.raises(ValueError, match='do not belong together'):
    _search(_problem(), state_dir=tmp_path)


def test_state_of_other_settings_is_refused(tmp_path):
  _search(_problem(), state_dir=tmp_path)
  other = dataclasses.replace(_SMALL, max_resamples=3)
  with pytest.raises(ValueError, match="'max_resamples': 10"):
    DdpgSearcher(other).search(_problem(), _EPISODES, 5, tmp_path)


# Rewards.


def test_scaled_rewards_keep_the_order_and_spread_the_best():
  history = np.array([-2.0, -0.9, -0.5, -0.31, -0.3])
  scaled = reward_scaling.scaled_rewards(history.astype(np.float32), history)
  assert np.all(np.diff(scaled) > 0)
  assert scaled.mean() == pytest.approx(0, abs=1e-6)
  # 0.01 at the top counts for more than 0.01 at the bottom.
  assert scaled[4] - scaled[3] > 5 * (scaled[1] - scaled[0]) / 110


def test_equal_rewards_teach_nothing():
  history = np.full(4, -0.3)
  scaled = reward_scaling.scaled_rewards(np.full((2, 3), -0.3), history)
  np.testing.assert_array_equal(scaled, np.zeros((2, 3)))


# Registry.


@pytest.mark.parametrize('name', ['ddpg', 'greedy', 'random', 'rule_based'])
def test_searchers_are_found_by_their_names(name):
  assert registry.create(name).name == name


def test_unknown_searcher_is_refused():
  with pytest.raises(ValueError, match="did you mean 'greedy'"):
    registry.create('greed')


_STARTED = dataclasses.replace(_SMALL, start='ilp', imitation_steps=20)


def test_start_from_an_integer_program():
  problem = _problem()
  records = DdpgSearcher(_STARTED).search(problem, 45, 5).records
  phases = [record.phase for record in records]
  # One for the widest policy and two for each tensor; half of the rest goes to
  # what the searcher 'ilp' would do.
  num_measured = 1 + 2 * len(problem.searched_tensors)
  assert num_measured == 25
  assert phases == (
      ['sensitivity'] * 25
      + ['optimum']
      + ['improvement'] * 9
      + ['explore'] * 9
      + ['actor']
  )
  ilp = registry.create('ilp').search(_problem(), 45, 5).records
  assert [r.policy for r in records[:35]] == [r.policy for r in ilp[:35]]
  assert all(record.fits for record in records[25:])


@pytest.mark.parametrize('episodes', [1, 2, 5, 23])
def test_started_search_ends_with_few_episodes(episodes):
  problem = _problem(round_size=3)
  result = DdpgSearcher(_STARTED).search(problem, episodes, 5)
  assert len(result.records) == episodes
  assert result.best.fits


@pytest.mark.parametrize('stop', [3, 27, 40])
def test_interrupted_started_search_ends_as_an_undisturbed_one(stop, tmp_path):
  searcher = DdpgSearcher(_STARTED)
  undisturbed = searcher.search(_problem(round_size=4), 45, 5)
  problem, _ = interrupt_after(_problem(round_size=4), 'evaluate', stop)
  with pytest.raises(Interrupted):
    searcher.search(problem, 45, 5, tmp_path)
  problem = _problem(round_size=4)
  assert searcher.search(problem, 45, 5, tmp_path) == undisturbed
  assert len(problem.evaluate.calls) <= 45 - stop


def test_unknown_start_names_the_nearest():
  with pytest.raises(ValueError, match="did you mean 'ilp'"):
    DdpgSearchConfig(start='ipl')
