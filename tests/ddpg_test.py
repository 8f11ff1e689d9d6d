"""The agent: losses by hand on constant weights, replay, noise."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfmpq.searchers.ddpg import DdpgAgent
from tfmpq.searchers.ddpg import DdpgConfig
from tfmpq.searchers.exploration import NoiseSchedule
from tfmpq.searchers.exploration import truncated_normal
from tfmpq.searchers.mlp import Mlp
from tfmpq.searchers.replay_buffer import ReplayBuffer
from tfmpq.searchers.replay_buffer import Transition

# Observations of two features; two transitions, the second one an end.
_OBSERVATIONS = [[1.0, 2.0], [3.0, 4.0]]
_ACTIONS = [[0.5], [0.25]]
_REWARDS = [10.0, 20.0]
_DISCOUNTS = [1.0, 0.0]
_NEXT_OBSERVATIONS = [[5.0, 6.0], [7.0, 8.0]]
_COLUMNS = (
    _OBSERVATIONS,
    _ACTIONS,
    _REWARDS,
    _DISCOUNTS,
    _NEXT_OBSERVATIONS,
)


def _rng(seed=0):
  return np.random.default_rng(seed)


def _dummy_agent(**config):
  """Actor: logit 0. Critic: o1 + 2 * o2 + 4 * action + 1. Targets: + 2."""
  settings = {'hidden_units': (), 'logit_penalty': 0.0, **config}
  agent = DdpgAgent(DdpgConfig(**settings), 2, _rng())
  for network in (agent.actor, agent.target_actor):
    _set(network, [[0.0], [0.0]], [0.0])
  _set(agent.critic, [[1.0], [2.0], [4.0]], [1.0])
  _set(agent.target_critic, [[1.0], [2.0], [4.0]], [2.0])
  return agent


def _set(network, weight, bias):
  network.weights[0].assign(weight)
  network.weights[1].assign(bias)
  network.refresh_host_copy()


def _batch(repeat=1):
  """The two transitions as a stack of `repeat` equal batches."""
  arrays = (np.array([column] * repeat, np.float32) for column in _COLUMNS)
  return Transition(*arrays)


def test_td_targets_add_the_value_of_the_next_decision():
  # Next value: 5 + 2 * 6 + 4 * 0.5 + 2 = 21, times discount 1 and then 0.
  targets = _dummy_agent(discount=1.0).td_targets(
      tf.constant(_REWARDS),
      tf.constant(_DISCOUNTS),
      tf.constant(_NEXT_OBSERVATIONS),
  )
  np.testing.assert_allclose(targets, [[31.0], [20.0]])


def test_td_targets_are_the_reward_with_discount_0():
  targets = _dummy_agent(discount=0.0).td_targets(
      tf.constant(_REWARDS),
      tf.constant(_DISCOUNTS),
      tf.constant(_NEXT_OBSERVATIONS),
  )
  np.testing.assert_allclose(targets, [[10.0], [20.0]])


def test_critic_loss_is_the_mean_squared_error():
  # Values: 1 + 4 + 2 + 1 = 8 and 3 + 8 + 1 + 1 = 13.
  loss = _dummy_agent().critic_loss(
      tf.constant(_OBSERVATIONS),
      tf.constant(_ACTIONS),
      tf.constant([[31.0], [20.0]]),
  )
  assert float(loss) == pytest.approx((23.0**2 + 7.0**2) / 2)


def test_actor_loss_is_minus_the_mean_value_of_its_actions():
  # Actions 0.5: values 1 + 4 + 2 + 1 = 8 and 3 + 8 + 2 + 1 = 14.
  loss = _dummy_agent().actor_loss(tf.constant(_OBSERVATIONS))
  assert float(loss) == pytest.approx(-11.0)


def test_actor_loss_penalizes_squared_logits():
  agent = _dummy_agent(logit_penalty=0.1)
  _set(agent.actor, [[0.0], [0.0]], [2.0])
  action = 1 / (1 + np.exp(-2.0))
  loss = agent.actor_loss(tf.constant(_OBSERVATIONS))
  assert float(loss) == pytest.approx(-(9.0 + 4 * action) + 0.1 * 4.0)


def test_training_reports_the_losses_before_it():
  losses = _dummy_agent(discount=1.0).train(_batch())
  assert losses.critic == pytest.approx((23.0**2 + 7.0**2) / 2)
  # The critic moved before the actor was judged: by its learning rate at most.
  assert losses.actor == pytest.approx(-11.0, abs=0.05)


def test_targets_follow_slowly():
  agent = _dummy_agent(target_update_tau=0.25)
  agent.train(_batch())
  bias = float(agent.critic.weights[1][0])
  expected = 0.75 * 2.0 + 0.25 * bias
  assert float(agent.target_critic.weights[1][0]) == pytest.approx(expected)


def test_targets_start_as_copies():
  agent = DdpgAgent(DdpgConfig(hidden_units=(5,)), 3, _rng())
  for target, online in (
      (agent.target_actor, agent.actor),
      (agent.target_critic, agent.critic),
  ):
    for slow, fast in zip(target.weights, online.weights, strict=True):
      np.testing.assert_array_equal(slow, fast)


def test_stack_of_batches_is_trained_on_in_turn():
  together = DdpgAgent(DdpgConfig(hidden_units=(8, 8)), 2, _rng())
  one_by_one = DdpgAgent(DdpgConfig(hidden_units=(8, 8)), 2, _rng())
  together.train(_batch(repeat=3))
  for _ in range(3):
    one_by_one.train(_batch())
  for a, b in zip(together.variables(), one_by_one.variables(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_agent_learns_the_best_action_of_a_quadratic():
  rng = _rng(1)
  config = DdpgConfig(
      hidden_units=(32, 32),
      actor_learning_rate=3e-3,
      critic_learning_rate=1e-2,
      discount=0.0,
      logit_penalty=0.0,
  )
  agent = DdpgAgent(config, 2, rng)
  shape = (600, 64)
  observations = rng.random((*shape, 2)).astype(np.float32)
  actions = rng.random((*shape, 1)).astype(np.float32)
  wanted = 0.25 + 0.5 * observations[..., 0]
  agent.train(
      Transition(
          observation=observations,
          action=actions,
          reward=-4 * (actions[..., 0] - wanted) ** 2,
          discount=np.zeros(shape, np.float32),
          next_observation=observations,
      )
  )
  for first in (0.1, 0.5, 0.9):
    observation = np.array([first, 0.5], np.float32)
    assert agent.action(observation) == pytest.approx(
        0.25 + 0.5 * first, abs=0.08
    )


def test_assigned_variables_make_an_equal_agent():
  config = DdpgConfig(hidden_units=(8,))
  trained, other = (DdpgAgent(config, 2, _rng(seed)) for seed in (0, 1))
  trained.train(_batch(repeat=2))
  other.assign([variable.numpy() for variable in trained.variables()])
  observation = np.array([0.3, 0.6], np.float32)
  assert other.action(observation) == trained.action(observation)
  trained.train(_batch(repeat=2))
  other.train(_batch(repeat=2))
  for a, b in zip(trained.variables(), other.variables(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_host_and_graph_compute_the_same():
  mlp = Mlp((7, 20, 20, 2), _rng(3))
  inputs = _rng(4).random((5, 7)).astype(np.float32)
  expected = mlp(tf.constant(inputs)).numpy()
  for row, outputs in zip(inputs, expected, strict=True):
    np.testing.assert_allclose(mlp.on_host(row), outputs, atol=1e-5)


def test_initial_outputs_are_near_zero():
  mlp = Mlp((7, 300, 300, 1), _rng(5))
  assert abs(mlp.on_host(_rng(6).random(7).astype(np.float32))[0]) < 0.05


# Replay.


def _transition(number):
  return Transition(
      observation=np.full(3, number),
      action=np.array([number / 100]),
      reward=np.array(-number),
      discount=np.array(1.0),
      next_observation=np.full(3, number + 1),
  )


def test_full_buffer_overwrites_the_oldest():
  buffer = ReplayBuffer(capacity=4, num_features=3)
  for number in range(6):
    buffer.add(_transition(number))
  assert buffer.size == 4
  rewards = buffer.sample(1, 200, _rng()).reward
  assert set(rewards.ravel()) == {-2.0, -3.0, -4.0, -5.0}


def test_samples_keep_their_columns_together():
  buffer = ReplayBuffer(capacity=9, num_features=3)
  for number in range(7):
    buffer.add(_transition(number))
  batch = buffer.sample(2, 30, _rng())
  assert batch.observation.shape == (2, 30, 3)
  assert batch.action.shape == (2, 30, 1)
  np.testing.assert_array_equal(batch.observation[..., 0], -batch.reward)
  np.testing.assert_array_equal(batch.next_observation, batch.observation + 1)


def test_empty_buffer_cannot_be_sampled():
  with pytest.raises(ValueError, match='empty'):
    ReplayBuffer(2, 3).sample(1, 1, _rng())


@pytest.mark.parametrize('num_added', [2, 4, 7])
def test_restored_buffer_goes_on_alike(num_added):
  first, second = (ReplayBuffer(4, 3) for _ in range(2))
  for number in range(num_added):
    first.add(_transition(number))
  second.load_state(first.state())
  for buffer in (first, second):
    buffer.add(_transition(50))
  one, other = (b.sample(3, 20, _rng(2)) for b in (first, second))
  np.testing.assert_array_equal(one.observation, other.observation)
  np.testing.assert_array_equal(one.reward, other.reward)


# Noise.


def test_sigma_falls_from_the_first_to_the_last_episode():
  schedule = NoiseSchedule()
  values = [schedule.sigma(episode, 180) for episode in range(180)]
  assert values[0] == pytest.approx(0.5)
  assert values[-1] == pytest.approx(0.02)
  assert all(a > b for a, b in itertools.pairwise(values))
  assert schedule.sigma(0, 1) == 0.02


@pytest.mark.parametrize('mean', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('sigma', [0.02, 0.5])
def test_noise_stays_inside_and_follows_the_truncated_normal(mean, sigma):
  rng = _rng(8)
  draws = np.array([truncated_normal(mean, sigma, rng) for _ in range(4000)])
  assert draws.min() >= 0
  assert draws.max() <= 1
  grid = np.linspace(0, 1, 100_001)
  density = np.exp(-0.5 * ((grid - mean) / sigma) ** 2)
  expected = np.sum(grid * density) / np.sum(density)
  assert draws.mean() == pytest.approx(expected, abs=0.02)


def test_no_noise_returns_the_mean():
  assert truncated_normal(0.7, 0.0, _rng()) == 0.7


def test_mean_outside_the_interval_is_refused():
  with pytest.raises(ValueError, match='expected a mean'):
    truncated_normal(float('nan'), 0.1, _rng())


def test_actor_learns_to_imitate():
  config = DdpgConfig(hidden_units=(64,), actor_learning_rate=3e-3)
  agent = DdpgAgent(config, 2, _rng())
  observations, wanted = np.array(_OBSERVATIONS), np.array([[0.9], [0.2]])
  agent.imitate(observations, wanted, 1000)
  actions = [agent.action(o) for o in observations]
  np.testing.assert_allclose(actions, wanted[:, 0], atol=0.05)
  for target, online in agent._target_pairs()[:2]:
    np.testing.assert_array_equal(target.numpy(), online.numpy())
