"""The integer program is exact, and small networks tell who finds the truth."""

import ctypes
import dataclasses

import numpy as np
import pytest

from tests import random_specs
from tests import synthetic_problem
from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import paper_memory
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.searchers import budget_repair
from tfmpq.searchers import exhaustive
from tfmpq.searchers import linear_memory
from tfmpq.searchers import registry
from tfmpq.searchers import solver_output
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import SearchProblem

_SEED = 20261124
_SEARCHERS = ('ilp', 'ddpg', 'evolution', 'greedy')


def _memory(network, kind):
  if kind == 'paper':
    scheme = paper_memory.ParameterScheme.MIXPL
    return paper_memory.paper_model(network, scheme)
  target = kernel_targets.Target(kind)
  return arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda policy: c_writer.flash_bytes(network, policy, True, target),
      [target],
  )


def _random_problem(rng, kind):
  """Returns a problem of at most 6 tensors, with a budget in between."""
  while True:
    network = random_specs.random_spec(rng)
    memory = _memory(network, kind)
    problem = SearchProblem(
        network,
        memory,
        MemoryBudget(),
        lambda policy: Evaluation(0.0, 0.0, 1),
    )
    if 2 <= len(problem.searched_tensors) <= exhaustive.MAX_TENSORS:
      break
  low, high = memory.minimum()[1], problem.footprint(problem.policy({}, 8))
  ram, flash = rng.uniform(0, 0.8, 2)
  budget = MemoryBudget(
      low.ram_bytes + int(ram * (high.ram_bytes - low.ram_bytes)),
      low.flash_bytes + int(flash * (high.flash_bytes - low.flash_bytes)),
  )
  return dataclasses.replace(problem, budget=budget)


@pytest.mark.parametrize('kind', ['paper', 'portable', 'dsp', 'mve'])
def test_program_finds_the_optimum_of_any_losses(kind):
  rng = np.random.default_rng(_SEED)
  num_cut = 0
  for _ in range(15):
    problem = _random_problem(rng, kind)
    program = PolicyProgram(problem)
    policies = exhaustive.all_policies(problem)
    for _ in range(2):
      losses = {
          tensor.name: dict(zip((2, 4, 8), rng.normal(size=3), strict=True))
          for tensor in problem.searched_tensors
      }

      def total(policy, losses=losses):
        bits = policy.as_dict()
        return sum(by[bits[name]] for name, by in losses.items())

      found = program.solve(losses)
      assert problem.fits(found), _SEED
      assert program.is_exact, _SEED
      assert total(found) == pytest.approx(min(map(total, policies))), _SEED
      bits = found.as_dict()
      others = [
          policy
          for policy in policies
          if any(width > bits[name] for name, width in policy.entries)
      ]
      second = program.solve(losses, [found])
      if not others:
        assert second is None
      else:
        best = min(map(total, others))
        assert total(second) == pytest.approx(best), _SEED
    num_cut += program.num_cuts
  assert num_cut, 'no RAM limit was ever binding'


def test_boxes_hold_exactly_what_is_marked():
  rng = np.random.default_rng(_SEED)
  for _ in range(50):
    marked = rng.random((3, 2, 3)) < rng.random()
    covered = np.zeros_like(marked)
    for box in linear_memory.boxes(marked):
      covered[np.ix_(*box)] = True
    np.testing.assert_array_equal(covered, marked, err_msg=str(_SEED))


def test_a_box_takes_in_all_that_is_wider():
  marked = np.zeros((3, 3), bool)
  marked[1:, 2] = True
  assert linear_memory.boxes(marked) == [((1, 2), (2,))]


def test_repair_narrows_until_it_fits():
  problem = synthetic_problem.problem()
  rng = np.random.default_rng(_SEED)
  widest = problem.policy({}, 8)
  repaired = budget_repair.repair(problem, widest, rng)
  assert problem.fits(repaired)
  assert budget_repair.violation(problem, widest) > 0
  assert budget_repair.violation(problem, repaired) == 0
  assert budget_repair.repair(problem, repaired, rng) is repaired


def _small_problem(seed, **fields):
  """Six tensors, the budget binding in RAM and in FLASH."""
  network = synthetic_problem.default_network(((16, 1),), size=8)
  tensors = [
      dataclasses.replace(tensor, fixed_bits=8)
      if tensor.name in ('pool_out', 'fc_weight')
      else tensor
      for tensor in network.tensors
  ]
  settings = {
      'budget': MemoryBudget(ram_bytes=500, flash_bytes=1300),
      'network': dataclasses.replace(network, tensors=tuple(tensors)),
      'scale': 0.1,
      **fields,
  }
  return synthetic_problem.problem(seed, **settings)


@pytest.fixture(name='truth', params=[1, 2, 3], scope='module')
def _truth(request):
  problem = _small_problem(request.param)
  result = registry.create('exhaustive').search(problem, 729, 0)
  return request.param, result


def test_exhaustive_search_is_the_truth(truth):
  seed, result = truth
  best = synthetic_problem.best_by_enumeration(_small_problem(seed))
  assert result.best.reward == best
  assert 50 < len(result.records) < 729


@pytest.mark.parametrize('name', _SEARCHERS)
def test_searchers_find_the_truth_on_small_networks(name, truth):
  """Within 0.2 points of accuracy, with a fraction of the evaluations."""
  seed, result = truth
  problem = _small_problem(seed)
  found = registry.create(name).search(problem, 60, seed)
  assert len(problem.evaluate.calls) <= 60
  best = max(r.evaluation.accuracy for r in result.records)
  assert found.best.evaluation.accuracy >= best - 0.002


def test_exhaustive_search_refuses_large_networks():
  with pytest.raises(ValueError, match='28 searched tensors.*at most 6'):
    registry.create('exhaustive').search(synthetic_problem.problem(), 200, 0)


def test_exhaustive_search_says_how_many_evaluations_it_needs():
  with pytest.raises(ValueError, match='policies fit.*received 40'):
    registry.create('exhaustive').search(_small_problem(1), 40, 0)


@pytest.mark.parametrize('name', ['ilp', 'evolution', 'exhaustive'])
def test_rounds_only_change_when_answers_are_known(name):
  problem = _small_problem(1, round_size=4)
  result = registry.create(name).search(problem, 729, 0)
  assert result.best.fits
  assert len(problem.evaluate.calls) == len(set(problem.evaluate.calls))


def test_what_c_code_prints_is_discarded(capfd):
  libc = ctypes.CDLL(None)
  print('before')
  with solver_output.discarded():
    libc.puts(b'of the solver')
  libc.puts(b'after')
  libc.fflush(None)
  assert capfd.readouterr().out == 'before\nafter\n'


@pytest.mark.parametrize('name', ['ilp', 'exhaustive'])
def test_nothing_fits(name):
  problem = _small_problem(1, budget=MemoryBudget(ram_bytes=10))
  with pytest.raises(BudgetError):
    registry.create(name).search(problem, 729, 0)
