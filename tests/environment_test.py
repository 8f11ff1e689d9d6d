"""The decisions of an episode: order, correction, observations."""

import numpy as np
import pytest

from tests import mobilenet_specs
from tests import random_specs
from tests import synthetic_problem
from tfmpq import arena_memory
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.searchers import environment
from tfmpq.searchers.environment import BitWidthEnvironment
from tfmpq.searchers.observation import Observation
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


def _play(env, actions):
  """Plays one episode; returns its decisions and observations."""
  env.reset()
  decisions, observations = [], []
  for action in actions:
    observations.append(Observation.from_array(env.observation()))
    decisions.append(env.step(action))
  assert env.done
  return decisions, observations


@pytest.mark.parametrize(
    ('action', 'index'),
    [(0.0, 0), (0.33, 0), (0.34, 1), (0.66, 1), (0.67, 2), (1.0, 2)],
)
def test_interval_is_divided_evenly_among_the_widths(action, index):
  assert environment.width_index(action, 3) == index


def test_centre_of_an_interval_means_its_width():
  for num_widths in (2, 3):
    for index in range(num_widths):
      action = environment.width_action(index, num_widths)
      assert environment.width_index(action, num_widths) == index


@pytest.mark.parametrize('action', [-0.01, 1.01, float('nan')])
def test_action_outside_the_interval_is_refused(action):
  with pytest.raises(ValueError, match='expected an action in'):
    environment.width_index(action, 3)


def test_weight_is_decided_before_the_output_of_its_layer():
  env = BitWidthEnvironment(synthetic_problem.problem())
  names = [tensor.name for tensor in env.tensors]
  assert names[:4] == ['stem_weight', 'stem_out', 'dw1_weight', 'dw1_out']
  # The pool has no weight; the classifier's output is fixed.
  assert names[-2:] == ['pool_out', 'fc_weight']
  assert env.num_decisions == 28


def test_shared_and_fixed_tensors_get_no_decision():
  seed = 20261124
  rng = np.random.default_rng(seed)
  for _ in range(20):
    network = random_specs.random_spec(rng)
    problem = synthetic_problem.problem(network=network, budget=MemoryBudget())
    for tensor in problem.searched_tensors:
      assert tensor.fixed_bits is None, f'seed {seed}'
      assert tensor.bits_of is None, f'seed {seed}'


def test_episode_ends_with_the_policy_of_its_decisions():
  problem = synthetic_problem.problem(budget=MemoryBudget())
  env = BitWidthEnvironment(problem)
  rng = np.random.default_rng(0)
  decisions, _ = _play(env, rng.random(env.num_decisions))
  expected = {d.tensor: d.bits for d in decisions}
  expected |= {'input': 8, 'fc_out': 8}
  assert env.policy == QuantizationPolicy.of(expected)
  assert not any(d.corrected for d in decisions)


def test_without_a_budget_the_widest_actions_stand():
  problem = synthetic_problem.problem(budget=MemoryBudget())
  env = BitWidthEnvironment(problem)
  _play(env, np.ones(env.num_decisions))
  assert set(env.policy.as_dict().values()) == {8}


def test_too_wide_actions_become_the_widest_possible():
  env = BitWidthEnvironment(synthetic_problem.problem())
  decisions, _ = _play(env, np.ones(env.num_decisions))
  assert env.problem.fits(env.policy)
  corrected = [d for d in decisions if d.corrected]
  assert corrected
  for decision in corrected:
    index = env.problem.bit_widths.index(decision.bits)
    assert decision.action == environment.width_action(index, 3)
    # One step wider does not fit even with all later tensors narrow.
    position = decisions.index(decision)
    wider = {d.tensor: d.bits for d in decisions[:position]}
    wider[decision.tensor] = env.problem.bit_widths[index + 1]
    assert env.problem.complete(wider) is None


def test_replayed_actions_of_an_episode_are_not_corrected_again():
  env = BitWidthEnvironment(synthetic_problem.problem())
  first, _ = _play(env, np.ones(env.num_decisions))
  policy = env.policy
  second, _ = _play(env, [decision.action for decision in first])
  assert env.policy == policy
  assert not any(decision.corrected for decision in second)


def test_every_random_episode_fits_the_arena():
  seed = 7
  rng = np.random.default_rng(seed)
  network = mobilenet_specs.mobilenet_v2(0.35, 32)
  memory = synthetic_problem.LayerwiseMemory(network)
  model = arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda policy: memory.footprint(policy).flash_bytes,
  )
  _, minimum = model.minimum()
  budget = MemoryBudget(minimum.ram_bytes + 400, minimum.flash_bytes + 9000)
  problem = SearchProblem(network, model, budget, _no_evaluation)
  env = BitWidthEnvironment(problem)
  for _ in range(3):
    _play(env, rng.random(env.num_decisions))
    assert model.fits(env.policy, budget), f'seed {seed}'


def _no_evaluation(policy):
  del policy
  return Evaluation(0.0, 0.0, 1)


def test_weights_alone_leave_activations_at_8_bits():
  problem = synthetic_problem.problem(
      search_tensors='weights', budget=MemoryBudget(flash_bytes=32_000)
  )
  env = BitWidthEnvironment(problem)
  _play(env, np.zeros(env.num_decisions))
  for tensor in problem.network.activations:
    assert env.policy.as_dict()[tensor.name] == 8
  for tensor in problem.network.weights:
    assert env.policy.as_dict()[tensor.name] == 2


def test_budget_that_only_other_tensors_could_meet_is_refused():
  problem = synthetic_problem.problem(search_tensors='weights')
  with pytest.raises(BudgetError, match="Search 'both'"):
    BitWidthEnvironment(problem)


def test_budget_below_the_minimum_is_refused():
  problem = synthetic_problem.problem(budget=MemoryBudget(ram_bytes=1000))
  with pytest.raises(BudgetError, match='minimum'):
    BitWidthEnvironment(problem)


def test_observations_have_named_values_between_0_and_1():
  env = BitWidthEnvironment(synthetic_problem.problem())
  rng = np.random.default_rng(1)
  env.reset()
  table = []
  while not env.done:
    table.append(env.observation())
    assert table[-1].shape == (env.num_features,)
    assert table[-1].dtype == np.float32
    env.step(rng.random())
  assert np.min(table) >= 0
  assert np.max(table) <= 1
  for row in table:
    again = Observation.from_array(row).to_array()
    np.testing.assert_array_equal(again, row)


def test_observation_describes_the_layer_and_the_tensor():
  env = BitWidthEnvironment(synthetic_problem.problem())
  _, observations = _play(env, np.zeros(env.num_decisions))
  stem_weight, stem_out, dw1_weight = observations[:3]
  assert (stem_weight.is_weight, stem_out.is_weight) == (1, 0)
  assert (stem_weight.is_depthwise, dw1_weight.is_depthwise) == (0, 1)
  assert (stem_weight.stride, dw1_weight.stride) == (1, 0)
  assert stem_weight.input_area == 1  # the largest
  assert stem_weight.live_elements == stem_weight.lifetime == 0
  assert stem_out.lifetime == 1  # read by the next layer
  assert stem_out.flash_share == 0
  assert stem_weight.previous_action == 1
  assert stem_out.previous_action == 0


def test_observations_do_not_leak_into_the_next_episode():
  env = BitWidthEnvironment(synthetic_problem.problem())
  rng = np.random.default_rng(2)
  actions = rng.random(env.num_decisions)
  _, first = _play(env, actions)
  _play(env, np.ones(env.num_decisions))
  _, again = _play(env, actions)
  assert first == again


def test_observation_holds_the_decisions_so_far():
  env = BitWidthEnvironment(synthetic_problem.problem(budget=MemoryBudget()))
  actions = np.full(env.num_decisions, 0.9)
  actions[:3] = (0.1, 0.5, 0.9)
  _, observations = _play(env, actions)
  assert observations[0].decided == (0,) * 28
  third = pytest.approx(1 / 3)
  assert observations[3].decided[:4] == (third, pytest.approx(2 / 3), 1, 0)
  assert observations[3].is_next == (0, 0, 0, 1) + (0,) * 24


def test_what_is_left_of_the_budget_shrinks_to_nothing():
  env = BitWidthEnvironment(synthetic_problem.problem())
  _, observations = _play(env, np.ones(env.num_decisions))
  flash_left = [o.flash_left for o in observations]
  assert flash_left[0] == pytest.approx((32_000 - 21_864) / (62_256 - 21_864))
  assert min(flash_left) < 0.1
  largest_widths = [o.largest_width for o in observations]
  assert largest_widths[0] == 1
  assert min(largest_widths) == 0


def test_stepping_after_the_end_is_refused():
  env = BitWidthEnvironment(synthetic_problem.problem())
  _play(env, np.ones(env.num_decisions))
  with pytest.raises(ValueError, match='call reset'):
    env.step(0.5)
  env.reset()
  with pytest.raises(ValueError, match='0 of 28'):
    _ = env.policy
