"""Ray's actors give the trace of one process; two nodes on this machine."""

import dataclasses
import os
import sys

import pytest

from tests import cheap_evaluations
from tests import synthetic_problem
from tfmpq import evaluation_pool
from tfmpq import executors
from tfmpq import ray_pool
from tfmpq.searchers import registry

_MEGABYTES = 1024**2


@pytest.fixture(name='cluster', scope='module')
def _cluster():
  """Returns a cluster of two nodes on this machine, two processors each."""
  pytest.importorskip('ray', reason='needs requirements-ray.txt')
  from ray import cluster_utils

  # Ray's processes import this project; they know no other path than this.
  before = os.environ.get('PYTHONPATH')
  os.environ['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p)
  node = {'num_cpus': 2, 'object_store_memory': 100 * _MEGABYTES}
  cluster = cluster_utils.Cluster(
      initialize_head=True,
      head_node_args={**node, 'include_dashboard': False},
  )
  cluster.add_node(**node)
  yield cluster
  cluster.shutdown()
  if before is None:
    del os.environ['PYTHONPATH']
  else:
    os.environ['PYTHONPATH'] = before


def _search(pool):
  problem = synthetic_problem.problem(round_size=4)
  if pool is not None:
    problem = dataclasses.replace(problem, evaluate_all=pool.evaluate_all)
  return registry.create('evolution').search(problem, 40, seed=3)


@pytest.fixture(name='alone', scope='module')
def _alone():
  return _search(None)


@pytest.mark.parametrize('num_workers', [1, 2, 4])
def test_trace_depends_neither_on_actors_nor_on_their_loss(
    cluster, alone, num_workers, tmp_path
):
  mark = tmp_path / 'mark'
  mark.touch()
  recipe = cheap_evaluations.Recipe(kill_once=str(mark))
  with executors.create('ray', num_workers, cluster.address, recipe) as pool:
    assert _search(pool) == alone
  assert not mark.exists()


def test_error_of_an_evaluation_reaches_the_caller(cluster):
  policy = synthetic_problem.problem().policy({}, 8)
  recipe = cheap_evaluations.Recipe(refused=cheap_evaluations.num_bits(policy))
  with ray_pool.RayPool(1, recipe, cluster.address) as pool:
    with pytest.raises(evaluation_pool.WorkerError, match='nothing of'):
      pool.evaluate(policy)


def test_policy_that_ends_every_actor_is_named(cluster):
  policy = synthetic_problem.problem().policy({}, 8)
  recipe = cheap_evaluations.Recipe(deadly=cheap_evaluations.num_bits(policy))
  with ray_pool.RayPool(1, recipe, cluster.address) as pool:
    with pytest.raises(
        evaluation_pool.WorkerError, match='3 actors.*stem_weight'
    ):
      pool.evaluate(policy)


def test_node_that_is_lost_does_no_harm(cluster, alone):
  """Comes last: two of the four actors find no room any more."""
  with executors.create(
      'ray', 4, cluster.address, cheap_evaluations.Recipe(0.02)
  ) as pool:
    problem = synthetic_problem.problem()
    for number, answer in enumerate(
        pool.evaluate_all([problem.policy({}, 8)] * 8)
    ):
      assert answer == problem.evaluate(problem.policy({}, 8))
      if number == 1:
        cluster.remove_node(cluster.worker_nodes.copy().pop())
    assert _search(pool) == alone


def test_address_is_needed():
  with pytest.raises(ValueError, match='--ray_address'):
    executors.create('ray', 2, '', cheap_evaluations.Recipe())


def test_ray_that_is_not_installed_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(ValueError, match='requirements-ray.txt'):
    executors.create('ray', 2, 'auto', cheap_evaluations.Recipe())


def test_unknown_executor_names_the_nearest():
  with pytest.raises(ValueError, match="did you mean 'ray'"):
    executors.create('rya', 2, '', cheap_evaluations.Recipe())
