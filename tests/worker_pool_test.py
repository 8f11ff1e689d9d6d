"""Workers: one trace for any number of them, whatever happens to them."""

import dataclasses
import os
import signal

import pytest

from tests import cheap_evaluations
from tests import synthetic_problem
from tfmpq import evaluation_pool
from tfmpq import worker_pool
from tfmpq.searchers import registry


def _policies(count):
  """Returns policies with different sums of bits."""
  problem = synthetic_problem.problem()
  names = [tensor.name for tensor in problem.searched_tensors]
  return [problem.policy(dict.fromkeys(names[:i], 2), 8) for i in range(count)]


def _alone(policies):
  """Returns what one evaluator in this process says."""
  return [*map(cheap_evaluations.Recipe()(), policies)]


def _search(name, pool):
  problem = synthetic_problem.problem(round_size=4)
  if pool is not None:
    problem = dataclasses.replace(problem, evaluate_all=pool.evaluate_all)
  return registry.create(name).search(problem, 70, seed=3)


@pytest.mark.parametrize('num_workers', [1, 3])
def test_answers_come_in_order(num_workers):
  policies = _policies(12)
  with worker_pool.WorkerPool(num_workers, cheap_evaluations.Recipe()) as pool:
    assert pool.evaluate(policies[3]) == _alone(policies)[3]
    assert list(pool.evaluate_all(policies)) == _alone(policies)
    assert len(pool.process_ids) == num_workers
    assert os.getpid() not in pool.process_ids
  assert not pool.process_ids


@pytest.mark.parametrize('name', ['ddpg', 'random'])
def test_trace_depends_neither_on_workers_nor_on_their_loss(name, tmp_path):
  alone = _search(name, None)
  mark = tmp_path / 'mark'
  for num_workers in (1, 2, 4):
    mark.touch()
    recipe = cheap_evaluations.Recipe(kill_once=str(mark))
    with worker_pool.WorkerPool(num_workers, recipe) as pool:
      assert _search(name, pool) == alone
    assert not mark.exists()


def test_worker_that_is_killed_is_replaced():
  policies = _policies(10)
  with worker_pool.WorkerPool(2, cheap_evaluations.Recipe(0.05)) as pool:
    answers = pool.evaluate_all(policies)
    found = [next(answers)]
    killed = pool.process_ids[0]
    os.kill(killed, signal.SIGKILL)
    found += answers
    assert killed not in pool.process_ids
  assert found == _alone(policies)


def test_round_that_nobody_waits_for_does_not_mix_with_the_next():
  policies = _policies(8)
  with worker_pool.WorkerPool(2, cheap_evaluations.Recipe(0.02)) as pool:
    next(pool.evaluate_all(policies))
    last = policies[4:]
    assert list(pool.evaluate_all(last)) == _alone(last)


def test_error_of_an_evaluation_reaches_the_caller():
  policies = _policies(3)
  refused = cheap_evaluations.num_bits(policies[1])
  recipe = cheap_evaluations.Recipe(refused=refused)
  with worker_pool.WorkerPool(1, recipe) as pool:
    with pytest.raises(
        evaluation_pool.WorkerError, match='ValueError: nothing of'
    ):
      list(pool.evaluate_all(policies))


def test_policy_that_ends_every_worker_is_named():
  policies = _policies(2)
  deadly = cheap_evaluations.num_bits(policies[0])
  recipe = cheap_evaluations.Recipe(deadly=deadly)
  with worker_pool.WorkerPool(1, recipe) as pool:
    with pytest.raises(
        evaluation_pool.WorkerError, match='stem_weight.*code -9'
    ):
      pool.evaluate(policies[0])


def test_there_is_at_least_one_worker():
  with pytest.raises(ValueError, match='workers: expected at least 1'):
    worker_pool.WorkerPool(0, cheap_evaluations.Recipe())
