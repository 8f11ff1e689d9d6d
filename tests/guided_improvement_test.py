"""The model learns losses that add up, and improvement follows it."""

import dataclasses

import numpy as np
import pytest

from tests import synthetic_problem
from tfmpq.budgets import MemoryBudget
from tfmpq.searchers import sensitivity
from tfmpq.searchers.additive_model import AdditiveModel
from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.guided_improvement import GuidedImprovement
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.sensitivity import Sensitivities

_SEED = 20261124
_OFFSET = 0.25


def _records(problem, losses, count, rng):
  """Returns records of random policies whose losses add up."""
  log = EpisodeLog(problem, count, {'searcher': 'none'})
  names = [tensor.name for tensor in problem.searched_tensors]
  records = []
  for index in range(count):
    bits = dict(zip(names, rng.choice((2, 4, 8), len(names)), strict=True))
    policy = problem.policy({n: int(w) for n, w in bits.items()}, 8)
    record = log.evaluate(policy, 'random')
    loss = _OFFSET + losses.total(policy)
    records.append(
        dataclasses.replace(record, index=index, reward=-loss, fits=True)
    )
  return records


def _losses(problem, rng):
  return Sensitivities(
      {
          tensor.name: {2: high, 4: high * rng.uniform(0, 0.5), 8: 0.0}
          for tensor, high in zip(
              problem.searched_tensors, rng.lognormal(-4, 1, 28), strict=True
          )
      }
  )


def test_model_learns_losses_that_add_up():
  rng = np.random.default_rng(_SEED)
  problem = synthetic_problem.problem()
  truth = _losses(problem, rng)
  wrong = Sensitivities(
      {n: {w: 2 * v for w, v in by.items()} for n, by in truth.losses.items()}
  )
  model = AdditiveModel(wrong)
  assert model.mean() == wrong
  others = _records(problem, truth, 50, rng)
  before = _error(model, others)
  records = _records(problem, truth, 400, rng)
  model.fit(records, max(record.reward for record in records))
  # The prior, twice too large, keeps a little weight.
  assert _error(model, others) < 0.1 * before, _SEED


def _error(model, records):
  """Returns how far predicted differences of losses are from true ones."""
  mean = model.mean()
  misses = [mean.total(r.policy) + r.reward for r in records]
  return float(np.std(misses))


def test_draws_spread_less_where_more_is_known():
  rng = np.random.default_rng(_SEED)
  problem = synthetic_problem.problem()
  truth = _losses(problem, rng)
  name = problem.searched_tensors[0].name
  spreads = []
  for count in (5, 100):
    model = AdditiveModel(truth)
    records = _records(problem, truth, count, np.random.default_rng(_SEED))
    model.fit(records, max(record.reward for record in records))
    drawn = [model.draw(rng).losses[name][2] for _ in range(200)]
    spreads.append(np.std(drawn))
    assert abs(np.mean(drawn) - model.mean().losses[name][2]) < 3 * (
        spreads[-1] / 200**0.5
    ), _SEED
  assert spreads[1] < 0.7 * spreads[0], _SEED


def test_model_needs_nothing_measured():
  problem = synthetic_problem.problem()
  nothing = Sensitivities(
      {t.name: {2: 0.0, 4: 0.0, 8: 0.0} for t in problem.searched_tensors}
  )
  model = AdditiveModel(nothing)
  model.fit(
      _records(problem, nothing, 1, np.random.default_rng(_SEED)), -_OFFSET
  )
  values = [v for by in model.mean().losses.values() for v in by.values()]
  np.testing.assert_allclose(values, 0, atol=1e-9)


def _improved(episodes, seed=1, num_left=0, **fields):
  """Returns (problem, log) of a search that starts from the optimum."""
  problem = synthetic_problem.problem(seed, round_size=4, **fields)
  log = EpisodeLog(problem, episodes, {'searcher': 'none'})
  measured = sensitivity.measure(problem, log)
  program = PolicyProgram(problem)
  policy = program.solve(measured.losses)
  log.evaluate(grow(problem, policy, measured.by_need(policy)), 'optimum')
  GuidedImprovement(problem, log, program, measured, seed).run(num_left)
  return problem, log


def test_every_improvement_is_new_and_fits():
  problem, log = _improved(90, num_left=7)
  improvements = [r for r in log.records if r.phase == 'improvement']
  assert len(log.records) == 83
  assert len(improvements) == 83 - 57 - 1
  assert all(record.fits for record in improvements)
  assert len(set(problem.evaluate.calls)) == len(problem.evaluate.calls)


def test_the_seed_decides_what_is_tried():
  first, second = (
      [r.policy for r in _improved(70)[1].records] for _ in range(2)
  )
  assert first == second


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_improvement_goes_beyond_the_optimum_of_what_was_measured(seed):
  """Interactions of neighbours are not in what each tensor loses alone."""
  _, log = _improved(120, seed, budget=MemoryBudget(9000, 26_000))
  optimum = next(r for r in log.records if r.phase == 'optimum')
  assert log.best.reward > optimum.reward


def test_improvement_ends_when_nothing_is_left():
  problem = synthetic_problem.problem()
  least = problem.footprint(problem.policy({}, 2))
  budget = MemoryBudget(least.ram_bytes, least.flash_bytes)
  _, log = _improved(400, budget=budget)
  assert log.num_left > 0
