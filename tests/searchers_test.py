"""What all searchers share, and the baselines."""

import dataclasses
import json

import numpy as np
import pytest

from tests import synthetic_problem
from tests.interruption import interrupt_after
from tests.interruption import Interrupted
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.searchers import budget_growth
from tfmpq.searchers import greedy
from tfmpq.searchers import search_state
from tfmpq.searchers import sensitivity
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.evolution import EvolutionSearcher
from tfmpq.searchers.greedy import GreedySearcher
from tfmpq.searchers.ilp import IlpSearcher
from tfmpq.searchers.least_noise import LeastNoiseSearcher
from tfmpq.searchers.random_search import RandomSearcher
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

_SEARCHERS = (
    RandomSearcher(),
    GreedySearcher(),
    IlpSearcher(),
    EvolutionSearcher(),
)


def _ids(searcher):
  return searcher.name


@pytest.fixture(name='searcher', params=_SEARCHERS, ids=_ids)
def _searcher(request):
  return request.param


# The problem.


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('search_tensors', 'weight', "did you mean 'weights'"),
        ('objective', 'loss', 'expected one of'),
        ('bit_widths', (8, 4), 'ascending'),
        ('bit_widths', (4,), 'at least two'),
        ('bit_widths', (3, 9), 'at least two of'),
    ],
)
def test_wrong_field_of_a_problem_is_refused(field, value, message):
  with pytest.raises(ValueError, match=message):
    synthetic_problem.problem(**{field: value})


def test_reward_is_minus_cross_entropy_or_accuracy():
  evaluation = Evaluation(accuracy=0.75, cross_entropy=0.5, num_images=4)
  problem = synthetic_problem.problem()
  assert problem.reward(evaluation) == -0.5
  problem = dataclasses.replace(problem, objective='accuracy')
  assert problem.reward(evaluation) == 0.75


def test_reward_can_be_what_the_float_network_says():
  evaluation = Evaluation(0.75, 0.5, 4, agreement=0.9, kl=0.25)
  for objective, reward in (('agreement', 0.9), ('kl', -0.25)):
    problem = dataclasses.replace(
        synthetic_problem.problem(), objective=objective
    )
    assert problem.reward(evaluation) == reward
    with pytest.raises(ValueError, match='asks the float network'):
      problem.reward(Evaluation(0.75, 0.5, 4))


def test_reward_that_is_not_finite_is_refused():
  with pytest.raises(ValueError, match='no finite reward'):
    synthetic_problem.problem().reward(Evaluation(0.1, float('nan'), 4))


# The log.


def test_log_evaluates_a_policy_once():
  problem = synthetic_problem.problem()
  log = EpisodeLog(problem, 3, {})
  policy = problem.require_feasible()
  assert not log.knows(policy)
  first, second = log.evaluate(policy, 'a'), log.evaluate(policy, 'b')
  assert log.knows(policy)
  assert (first.repeated, second.repeated) == (False, True)
  assert first.evaluation == second.evaluation
  assert len(problem.evaluate.calls) == 1
  assert log.num_left == 1
  assert log.best is first


def test_log_never_takes_what_does_not_fit_for_the_best():
  problem = synthetic_problem.problem()
  log = EpisodeLog(problem, 2, {})
  log.evaluate(QuantizationPolicy.uniform(problem.network, 8, 8), 'a')
  assert log.best is None
  with pytest.raises(ValueError, match='no policy that fits'):
    log.result('nobody', 0)
  fitting = log.evaluate(problem.require_feasible(), 'a')
  assert log.best is fitting
  with pytest.raises(ValueError, match='all 2 episodes'):
    log.evaluate(problem.require_feasible(), 'a')


def test_log_needs_an_episode():
  with pytest.raises(ValueError, match='at least 1'):
    EpisodeLog(synthetic_problem.problem(), 0, {})


def test_records_and_results_survive_json_exactly(searcher):
  result = searcher.search(synthetic_problem.problem(), 5, seed=3)
  text = json.dumps(result.to_json_dict())
  assert SearchResult.from_json_dict(json.loads(text)) == result
  record = result.records[-1]
  assert EpisodeRecord.from_json_dict(record.to_json_dict()) == record


def test_numpy_numbers_of_an_evaluator_are_saved(tmp_path):
  def evaluate(policy):
    del policy
    return Evaluation(np.float32(0.1), np.float32(0.3), np.int64(7))

  problem = dataclasses.replace(synthetic_problem.problem(), evaluate=evaluate)
  first = RandomSearcher().search(problem, 2, 0, tmp_path)
  assert RandomSearcher().search(problem, 2, 0, tmp_path) == first


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'seed': 2}, 'seed: 1 there, 2 here'),
        ({'episodes': 5}, 'episodes: 4 there, 5 here'),
        ({'evaluator': 'other images'}, "evaluator: '' there"),
        ({'budget': MemoryBudget(12_000, 33_000)}, 'budget: .*33000'),
        ({'bit_widths': (4, 8), 'budget': MemoryBudget()}, 'bit_widths'),
    ],
)
def test_state_of_another_search_is_refused(tmp_path, change, message):
  def search(seed=1, episodes=4, **fields):
    problem = synthetic_problem.problem(**fields)
    return RandomSearcher().search(problem, episodes, seed, tmp_path)

  search()
  with pytest.raises(ValueError, match=message):
    search(**change)


def test_state_that_cannot_be_repeated_is_refused(tmp_path):
  RandomSearcher().search(synthetic_problem.problem(), 4, 1, tmp_path)
  path = tmp_path / 'episodes.json'
  saved = json.loads(path.read_text())
  saved['records'][2]['footprint']['ram_bytes'] += 1
  search_state.write_json(path, saved)
  with pytest.raises(ValueError, match='episode 2 cannot be repeated'):
    RandomSearcher().search(synthetic_problem.problem(), 4, 1, tmp_path)


def test_half_written_file_of_a_killed_process_does_no_harm(tmp_path):
  path = tmp_path / 'file.json'
  search_state.write_json(path, {'x': 0.1})
  (tmp_path / 'file.json.tmp').write_text('{"x": 0.')
  assert json.loads(path.read_text()) == {'x': 0.1}
  search_state.write_json(path, {'x': 1 / 3})
  assert json.loads(path.read_text()) == {'x': 1 / 3}
  assert [p.name for p in tmp_path.iterdir()] == ['file.json']


def test_arrays_survive_saving(tmp_path):
  arrays = {'a': np.arange(5, dtype=np.float32), 'b': np.array('text')}
  search_state.write_arrays(tmp_path / 'x.npz', arrays)
  read = search_state.read_arrays(tmp_path / 'x.npz')
  assert sorted(read) == ['a', 'b']
  np.testing.assert_array_equal(read['a'], arrays['a'])
  assert read['a'].dtype == np.float32
  assert str(read['b']) == 'text'


# Growth.


def test_growth_serves_the_first_first_and_leaves_no_room():
  problem = synthetic_problem.problem()
  names = [t.name for t in problem.searched_tensors]
  smallest = problem.require_feasible()
  for order in (names, names[::-1]):
    grown = budget_growth.grow(problem, smallest, order)
    assert problem.fits(grown)
    bits = grown.as_dict()
    for name in names:
      if bits[name] < 8:
        wider = grown.with_bits({name: bits[name] * 2})
        assert not problem.fits(wider)


def test_growth_never_narrows():
  problem = synthetic_problem.problem()
  rng = np.random.default_rng(5)
  names = [t.name for t in problem.searched_tensors]
  start = problem.require_feasible().with_bits({'stem_weight': 4})
  for _ in range(5):
    grown = budget_growth.grow(problem, start, list(rng.permutation(names)))
    for name, bits in start.entries:
      assert grown.as_dict()[name] >= bits


# All searchers.


def test_result_fits_and_is_the_best_that_was_evaluated(searcher):
  problem = synthetic_problem.problem()
  result = searcher.search(problem, 80, seed=0)
  assert problem.fits(result.policy)
  fitting = [r.reward for r in result.records if r.fits]
  assert result.best.reward == max(fitting)
  assert result.searcher == searcher.name


def test_evaluations_are_counted_and_never_repeated(searcher):
  problem = synthetic_problem.problem()
  result = searcher.search(problem, 70, seed=0)
  calls = problem.evaluate.calls
  assert len(calls) == len(set(calls)) <= 70
  assert result.statistics['num_evaluations'] == len(calls)
  assert [r.index for r in result.records] == list(range(len(result.records)))


def test_same_seed_gives_the_same_policies(searcher):
  results = [
      searcher.search(synthetic_problem.problem(), 62, seed=4) for _ in range(2)
  ]
  assert results[0] == results[1]


def test_impossible_budget_is_refused_before_any_evaluation(searcher):
  problem = synthetic_problem.problem(budget=MemoryBudget(flash_bytes=20_000))
  with pytest.raises(BudgetError):
    searcher.search(problem, 5, seed=0)
  assert not problem.evaluate.calls


@pytest.mark.parametrize('search_tensors', ['weights', 'activations', 'both'])
def test_only_searched_tensors_change(searcher, search_tensors):
  budget = {
      'weights': MemoryBudget(flash_bytes=32_000),
      'activations': MemoryBudget(ram_bytes=12_000),
      'both': synthetic_problem.BUDGET,
  }[search_tensors]
  problem = synthetic_problem.problem(
      search_tensors=search_tensors, budget=budget
  )
  result = searcher.search(problem, 40, seed=0)
  assert problem.fits(result.policy)
  searched = {t.name for t in problem.searched_tensors}
  for record in result.records:
    for name, bits in record.policy.entries:
      assert bits == 8 or name in searched


def test_only_allowed_widths_are_used(searcher):
  problem = synthetic_problem.problem(
      bit_widths=(4, 8), budget=MemoryBudget(12_000, 40_000)
  )
  result = searcher.search(problem, 40, seed=0)
  assert problem.fits(result.policy)
  for record in result.records:
    assert set(record.policy.as_dict().values()) <= {4, 8}


@pytest.mark.parametrize('stop', [0, 1, 3, 30, 59, 69])
@pytest.mark.parametrize('where', ['evaluate', 'on_episode'])
def test_interrupted_search_ends_as_an_undisturbed_one(
    searcher, where, stop, tmp_path
):
  undisturbed = searcher.search(synthetic_problem.problem(), 70, seed=9)
  problem, on_episode = interrupt_after(
      synthetic_problem.problem(), where, stop
  )
  with pytest.raises(Interrupted):
    searcher.search(problem, 70, 9, tmp_path, on_episode)
  problem, seen = synthetic_problem.problem(), []
  resumed = searcher.search(problem, 70, 9, tmp_path, seen.append)
  assert resumed == undisturbed
  num_saved = stop + (where == 'on_episode')
  assert [p.restored for p in seen].count(True) == num_saved
  assert [p.record for p in seen] == list(undisturbed.records)
  assert len(problem.evaluate.calls) == len(undisturbed.records) - num_saved


def test_finished_search_is_not_repeated(searcher, tmp_path):
  first = searcher.search(synthetic_problem.problem(), 10, 0, tmp_path)
  problem = synthetic_problem.problem()
  assert searcher.search(problem, 10, 0, tmp_path) == first
  assert not problem.evaluate.calls


# Greedy.


def test_sensitivities_are_what_one_narrow_tensor_costs():
  problem = synthetic_problem.problem(error=0.0)
  log = EpisodeLog(problem, 200, {})
  measured = sensitivity.measure(problem, log)
  # One reference, then two widths of 28 tensors.
  assert len(log.records) == 57
  widest = problem.policy({}, 8)
  reference = problem.reward(problem.evaluate(widest))
  for name in ('stem_weight', 'pw3_out'):
    for bits in (2, 4):
      policy = widest.with_bits({name: bits})
      loss = reference - problem.reward(problem.evaluate(policy))
      assert measured.losses[name][bits] == loss
    assert measured.losses[name][8] == 0


@pytest.mark.parametrize('episodes', [1, 2, 20, 40])
def test_greedy_ends_with_a_policy_even_with_few_episodes(episodes):
  problem = synthetic_problem.problem()
  result = GreedySearcher().search(problem, episodes, seed=0)
  assert len(result.records) == episodes
  assert result.best.phase == 'descent'
  assert problem.fits(result.policy)


def test_sensitivities_never_rise_with_the_width():
  problem = synthetic_problem.problem(error=0.05)
  log = EpisodeLog(problem, 200, {})
  for losses in sensitivity.measure(problem, log).losses.values():
    assert losses[2] >= losses[4] >= losses[8] == 0


def test_descent_cuts_what_costs_least():
  problem = synthetic_problem.problem(
      budget=MemoryBudget(flash_bytes=60_000), search_tensors='weights'
  )
  losses = {t.name: {8: 0.0, 4: 1.0, 2: 2.0} for t in problem.searched_tensors}
  losses['pw4_weight'] = {8: 0.0, 4: 0.001, 2: 2.0}
  policy = greedy.descend(problem, sensitivity.Sensitivities(losses))
  narrowed = {n: b for n, b in policy.entries if b < 8}
  assert narrowed == {'pw4_weight': 4}


def test_greedy_finds_the_best_policy_of_a_small_network():
  seed = 3
  network = synthetic_problem.default_network(blocks=((4, 1),), size=8)
  budget = MemoryBudget(ram_bytes=500, flash_bytes=700)
  problem = synthetic_problem.problem(
      seed, budget, error=0.0, scale=0.05, network=network
  )
  best = synthetic_problem.best_by_enumeration(problem)
  result = GreedySearcher().search(problem, 100, seed=0)
  assert result.best.reward == pytest.approx(best, abs=1e-3)


def test_least_noise_takes_one_episode_and_looks_at_nothing():
  problem = synthetic_problem.problem()
  result = LeastNoiseSearcher().search(problem, 40, seed=0)
  assert problem.evaluate.calls == [result.policy]
  assert problem.fits(result.policy)
  bits = result.policy.as_dict()
  for tensor in problem.searched_tensors:
    for width in problem.bit_widths:
      if width > bits[tensor.name]:
        assert not problem.fits(result.policy.with_bits({tensor.name: width}))


def test_least_noise_refuses_an_impossible_budget():
  problem = synthetic_problem.problem(budget=MemoryBudget(flash_bytes=20_000))
  with pytest.raises(BudgetError):
    LeastNoiseSearcher().search(problem, 5, seed=0)
