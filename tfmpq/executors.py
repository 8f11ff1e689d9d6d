"""Where policies are evaluated: worker processes here, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable

from tfmpq import evaluation_pool
from tfmpq import ray_pool
from tfmpq import worker_pool
from tfmpq.specs import did_you_mean

EXECUTORS = ('local', 'ray')


def create(
    executor: str,
    num_workers: int,
    ray_address: str,
    make_evaluate: Callable[[], evaluation_pool.Evaluate],
) -> evaluation_pool.EvaluationPool:
  """Returns a pool of workers, a context manager.

  Args:
    executor: 'local' or 'ray'.
    num_workers: processes, at least 1.
    ray_address: of the cluster; not read for 'local'.
    make_evaluate: see `worker_pool.WorkerPool`.

  Raises:
    ValueError: an unknown executor, no workers; Ray is not installed, or its
      address is missing.
  """
  if executor == 'local':
    return worker_pool.WorkerPool(num_workers, make_evaluate)
  if executor == 'ray':
    return ray_pool.RayPool(num_workers, make_evaluate, ray_address)
  raise ValueError(
      f"executor: expected one of {EXECUTORS}, received '{executor}'"
      + did_you_mean(executor, EXECUTORS)
  )
