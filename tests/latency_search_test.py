"""Every searcher under a limit on instructions, and with weights."""

import dataclasses

import numpy as np
import pytest

from tests import latency_problem
from tests import mobilenet_specs
from tfmpq import latency_model
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq import timed_memory
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.objective_weights import ObjectiveWeights
from tfmpq.searchers import budget_repair
from tfmpq.searchers import integer_program
from tfmpq.searchers import registry
from tfmpq.searchers.searcher import SearchProblem

_SEED = 20261124


def _network(num_blocks):
  builder = mobilenet_specs.SpecBuilder((16, 16, 3))
  builder.conv('stem', 8, kernel=3, stride=2)
  for i in range(num_blocks):
    builder.depthwise(f'dw_{i}')
    builder.conv(f'pw_{i}', 8 + 4 * i)
  builder.global_average_pool('pool')
  builder.dense('logits', 4)
  return builder.build('chain')


def _evaluate(network, seed):
  """Every tensor loses something of its own per missing bit."""
  rng = np.random.default_rng(seed)
  losses = {t.name: rng.uniform(0.001, 0.02) for t in network.policy_tensors}

  def evaluate(policy):
    loss = sum(losses[n] * (8 / b - 1) for n, b in policy.entries)
    return Evaluation(max(0.0, 0.9 - loss), 0.1 + loss, 1000)

  return evaluate


def _problem(num_blocks=2, slack=1.2, **fields):
  """A problem that allows 95 % of the FLASH of 8 bits, and few instructions.

  `slack`: the limit as a multiple of what the fastest policy inside the bytes
  takes.
  """
  network = _network(num_blocks)
  memory = paper_memory.paper_model(network, paper_memory.ParameterScheme.MIXPL)
  latency = latency_problem.model(network, _SEED)
  kinds = {
      'weights': (specs.TensorKind.WEIGHT,),
      'activations': (specs.TensorKind.ACTIVATION,),
      'both': tuple(specs.TensorKind),
  }[fields.get('search_tensors', 'both')]
  timed = timed_memory.TimedMemoryModel(
      memory,
      latency,
      latency_model.allowed_widths(
          network, fields.get('bit_widths', specs.BIT_WIDTHS), kinds
      ),
  )
  eight = timed.footprint(specs.QuantizationPolicy.uniform(network, 8, 8))
  bytes_only = MemoryBudget(None, eight.flash_bytes * 19 // 20)
  fastest = timed.fastest({}, bytes_only).policy
  limit = int(slack * latency.instructions(fastest))
  budget = dataclasses.replace(bytes_only, instructions=limit)
  budget = fields.pop('budget', budget)
  return SearchProblem(
      network, timed, budget, _evaluate(network, _SEED), **fields
  )


@pytest.mark.parametrize(
    'name', ('ddpg', 'ilp', 'greedy', 'evolution', 'random', 'rule_based')
)
def test_no_searcher_exceeds_the_limit(name):
  problem = _problem()
  result = registry.create(name).search(problem, 40, _SEED)
  assert problem.fits(result.policy)
  limit = problem.budget.instructions
  assert result.best.footprint.instructions <= limit
  for record in result.records:
    assert record.footprint.instructions is not None
    fits = record.footprint.fits(problem.budget)
    assert record.fits == fits == problem.fits(record.policy)
  # The limit binds: 8 bits would take more, and so would bytes alone.
  without = dataclasses.replace(
      problem, budget=dataclasses.replace(problem.budget, instructions=None)
  )
  free = registry.create('ilp').search(without, 60, _SEED)
  assert free.best.footprint.instructions > limit
  # Greedy and ilp spend most episodes on policies that need not fit.
  expected = {'rule_based': 1, 'greedy': 2, 'ilp': 1}.get(name, 20)
  assert len({r.policy for r in result.records if r.fits}) >= expected


def test_searchers_come_near_the_best_there_is():
  problem = _problem(num_blocks=1, slack=1.02, search_tensors='weights')
  best = registry.create('exhaustive').search(problem, 100, _SEED).best.reward
  for name in ('ilp', 'greedy', 'evolution', 'random'):
    result = registry.create(name).search(problem, 40, _SEED)
    assert problem.fits(result.policy)
    print(name, result.best.reward, best)
    assert result.best.reward >= best - 0.03


def test_integer_program_is_the_optimum_of_the_losses():
  problem = _problem(num_blocks=1, slack=1.1)
  rng = np.random.default_rng(_SEED)
  names = [t.name for t in problem.searched_tensors]
  losses = {
      n: {8: 0.0, 4: x, 2: 3 * x}
      for n, x in zip(names, rng.random(99), strict=False)
  }
  program = integer_program.PolicyProgram(problem)
  found = program.solve(losses)

  def loss(policy):
    bits = policy.as_dict()
    return sum(losses[n][bits[n]] for n in names)

  assert problem.fits(found)
  fitting = [p for p in _all(problem) if problem.fits(p)]
  assert loss(found) >= min(map(loss, fitting))
  if program.is_exact:
    assert loss(found) == pytest.approx(min(map(loss, fitting)))
  # What three tensors do together is little.
  assert loss(found) <= 1.1 * min(map(loss, fitting))


def _all(problem):
  names = [t.name for t in problem.searched_tensors]
  shape = (3,) * len(names)
  for index in np.ndindex(shape):
    widths = (specs.BIT_WIDTHS[i] for i in index)
    yield problem.policy(dict(zip(names, widths, strict=True)), 8)


def test_repair_keeps_what_it_can():
  problem = _problem()
  rng = np.random.default_rng(_SEED)
  widest = problem.policy({}, 8)
  repaired = {budget_repair.repair(problem, widest, rng) for _ in range(20)}
  assert all(problem.fits(policy) for policy in repaired)
  assert len(repaired) >= 5
  assert budget_repair.violation(problem, widest) > 0
  for policy in repaired:
    assert budget_repair.violation(problem, policy) == 0


def test_infeasible_is_said_before_anything_is_evaluated():
  problem = _problem(budget=MemoryBudget(None, None, 10))
  for name in ('ddpg', 'ilp', 'greedy', 'evolution', 'random', 'rule_based'):
    with pytest.raises(BudgetError, match='10 instructions on cortex_m4'):
      registry.create(name).search(problem, 10, _SEED)


def test_narrower_choices_of_a_search_have_a_minimum_of_their_own():
  problem = _problem(bit_widths=(4, 8), search_tensors='weights')
  fastest = problem.memory_model.fastest({}, problem.budget).policy
  widths = set(fastest.as_dict().values())
  assert widths <= {4, 8}
  assert problem.fits(problem.require_feasible())


def test_weights_trade_accuracy_for_instructions():
  free = MemoryBudget()
  results = {}
  for weight in (0.0, 0.3, 3.0):
    weights = ObjectiveWeights(1.0, 0.0, 0.0, weight)
    problem = _problem(1, budget=free, weights=weights)
    best = max(
        _all(problem), key=lambda p: problem.value(p, problem.evaluate(p))
    )
    results[weight] = problem.footprint(best).instructions
    found = registry.create('evolution').search(problem, 200, _SEED).best
    value = problem.value(best, problem.evaluate(best))
    assert found.reward == problem.value(found.policy, found.evaluation)
    assert found.reward >= value - 0.03
  assert results[0.0] >= results[0.3] > results[3.0]


def test_value_is_the_formula():
  weights = ObjectiveWeights(2.0, 0.5, 0.25, 0.125)
  problem = _problem(1, budget=MemoryBudget(), weights=weights)
  policy = specs.QuantizationPolicy.uniform(problem.network, 4, 2)
  eight = specs.QuantizationPolicy.uniform(problem.network, 8, 8)
  now, widest = problem.footprint(policy), problem.footprint(eight)
  assert problem.value(policy, Evaluation(0.7, 9.0, 10)) == pytest.approx(
      2 * 0.7
      - 0.5 * now.ram_bytes / widest.ram_bytes
      - 0.25 * now.flash_bytes / widest.flash_bytes
      - 0.125 * now.instructions / widest.instructions
  )
  plain = dataclasses.replace(problem, weights=None, objective='accuracy')
  assert plain.value(policy, Evaluation(0.7, 9.0, 10)) == 0.7


def test_a_weight_without_counts_is_an_error():
  network = _network(1)
  memory = paper_memory.paper_model(network, paper_memory.ParameterScheme.MIXPL)
  problem = SearchProblem(
      network,
      memory,
      MemoryBudget(),
      _evaluate(network, 1),
      weights=ObjectiveWeights(instructions=1.0),
  )
  with pytest.raises(ValueError, match='expected a TimedMemoryModel'):
    problem.value(problem.policy({}, 8), Evaluation(0.5, 1.0, 10))
