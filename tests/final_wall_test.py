"""HAQ's constraint: sweeps in its order, and a search that ends with them."""

import dataclasses

import numpy as np
import pytest

from tests import synthetic_problem
from tests.interruption import interrupt_after
from tests.interruption import Interrupted
from tfmpq import network_specs
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.searchers import environment
from tfmpq.searchers import final_wall
from tfmpq.searchers.ddpg import DdpgConfig
from tfmpq.searchers.ddpg_search_config import DdpgSearchConfig
from tfmpq.searchers.episode_loop import DdpgSearcher
from tfmpq.searchers.searcher import SearchProblem

_SEED = 811
_WIDTHS = specs.COMPARISON_WIDTHS
_SCHEME = paper_memory.ParameterScheme.FOLDING
_CONFIG = DdpgSearchConfig(
    agent=DdpgConfig(hidden_units=(8, 8), batch_size=16),
    constraint='end_of_episode',
)


def _evaluate(policy):
  """More bits are better, whichever tensor has them."""
  loss = float(sum(4.0**-bits for _, bits in policy.entries))
  return Evaluation(1 / (1 + loss), loss, 100)


def _problem(ram_bytes, flash_bytes, search_tensors='both', widths=_WIDTHS):
  spec = network_specs.mobilenet_v1(0.25, 32)
  return SearchProblem(
      spec,
      paper_memory.paper_model(spec, _SCHEME, widths),
      MemoryBudget(ram_bytes, flash_bytes),
      _evaluate,
      search_tensors,
      widths,
  )


def _random_policy(problem, rng, lowest=1):
  choices = [w for w in problem.bit_widths if w >= lowest]
  names = [tensor.name for tensor in problem.searched_tensors]
  return problem.policy(
      {name: int(rng.choice(choices)) for name in names}, choices[-1]
  )


def _lowered_as_haq_does(problem, policy):
  """The loop of linear_quantize_env.py, for weights and one cost."""
  names = [layer.weight for layer in problem.network.layers if layer.weight]
  bits = policy.as_dict()
  count = {t.name: t.num_elements for t in problem.network.weights}
  channels = [
      problem.network.tensor(layer.output).shape[2]
      for layer in problem.network.layers
      if layer.weight
  ]
  fixed = sum(4 * n + 20 for n in channels)

  def cost():
    return -(-sum(count[n] * bits[n] for n in names) // 8) + fixed

  while cost() > problem.budget.flash_bytes:
    for name in reversed(names):
      if bits[name] > 1:
        bits[name] -= 1
      if cost() <= problem.budget.flash_bytes:
        break
  return specs.QuantizationPolicy.of(bits)


def test_weights_are_lowered_in_the_order_of_haq():
  rng = np.random.default_rng(_SEED)
  for _ in range(40):
    flash_bytes = int(rng.integers(110_000, 420_000))
    problem = _problem(None, flash_bytes, 'weights')
    policy = _random_policy(problem, rng)
    lowered = final_wall.lower(problem, policy)
    assert problem.fits(lowered), f'seed {_SEED}'
    assert lowered == _lowered_as_haq_does(problem, policy), f'seed {_SEED}'


def test_only_what_helps_is_lowered():
  rng = np.random.default_rng(_SEED)
  for _ in range(20):
    problem = _problem(int(rng.integers(3_400, 6_000)), None)
    policy = _random_policy(problem, rng)
    lowered = final_wall.lower(problem, policy)
    assert problem.fits(lowered), f'seed {_SEED}'
    limit = problem.budget.ram_bytes
    in_excess = {
        problem.network.bits_owner(name)
        for moment in problem.memory_model.moments(policy)
        if moment.ram_bytes > limit
        for name, _ in moment.alive
    }
    before, after = policy.as_dict(), lowered.as_dict()
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= in_excess, f'seed {_SEED}'
    assert all(after[name] < before[name] for name in changed)


def test_a_policy_that_fits_stays_as_it_is():
  problem = _problem(8_000, 500_000)
  policy = problem.policy({}, 8)
  assert final_wall.lower(problem, policy) == policy


@pytest.mark.parametrize('widths', [(2, 4, 8), (3, 8), _WIDTHS])
def test_steps_are_those_of_the_search(widths):
  rng = np.random.default_rng(_SEED)
  problem = _problem(5_000, 260_000, widths=widths)
  for _ in range(10):
    lowered = final_wall.lower(problem, _random_policy(problem, rng))
    assert problem.fits(lowered), f'seed {_SEED}'
    free = {t.name for t in problem.searched_tensors}
    assert {b for n, b in lowered.entries if n in free} <= {*widths}


def test_a_limit_on_instructions_is_refused():
  problem = dataclasses.replace(
      _problem(8_000, 500_000), budget=MemoryBudget(8_000, 500_000, 10)
  )
  with pytest.raises(ValueError, match="'end_of_episode'.* 10 instructions"):
    DdpgSearcher(_CONFIG).search(problem, 3, 1)


def test_actions_mean_the_widths_of_haq():
  rng = np.random.default_rng(_SEED)
  for action in (0.0, 1.0, *rng.random(500)):
    index = environment.width_index(float(action), len(_WIDTHS))
    lowest, highest = _WIDTHS[0], _WIDTHS[-1]
    # Ties have probability 0.
    haq = round((highest - lowest + 1) * action + lowest - 0.5)
    assert _WIDTHS[index] == max(lowest, haq), f'seed {_SEED}, {action}'


def test_search_lowers_and_never_gives_away():
  problem = _problem(5_000, 260_000)
  result = DdpgSearcher(_CONFIG).search(problem, 16, seed=3)
  assert all(record.fits for record in result.records)
  lowered = [r for r in result.records if r.details['num_corrected']]
  assert lowered
  # A random policy that fits without lowering would have been widened under
  # the other constraint.
  spare = _problem(100_000, 1_000_000)
  result = DdpgSearcher(_CONFIG).search(spare, 4, seed=3)
  widest = spare.policy({}, 8)
  assert result.records[0].details['num_corrected'] == 0
  assert result.records[0].policy != widest
  usual = dataclasses.replace(_CONFIG, constraint='every_step')
  result = DdpgSearcher(usual).search(spare, 4, seed=3)
  assert result.records[0].policy == widest


def test_an_interrupted_search_ends_as_an_undisturbed_one(tmp_path):
  problem = _problem(5_000, 260_000)
  searcher = DdpgSearcher(_CONFIG)
  whole = searcher.search(problem, 14, seed=5)
  failing, _ = interrupt_after(problem, 'evaluate', 6)
  with pytest.raises(Interrupted):
    searcher.search(failing, 14, 5, tmp_path)
  assert searcher.search(problem, 14, 5, tmp_path) == whole


def test_saved_searches_from_before_the_constraint_go_on():
  assert 'constraint' not in DdpgSearchConfig().identity()
  assert _CONFIG.identity()['constraint'] == 'end_of_episode'


def test_an_unknown_constraint_is_refused():
  with pytest.raises(ValueError, match="constraint: .*mean 'every_step'"):
    DdpgSearchConfig(constraint='every_stop')


def test_default_problems_know_three_widths():
  assert synthetic_problem.problem().bit_widths == (2, 4, 8)
