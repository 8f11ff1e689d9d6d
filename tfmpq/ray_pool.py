"""Evaluates policies on a Ray cluster (an optional extra).

Like `worker_pool`, with Ray's actors as workers. An actor that is lost with its
process or its node is replaced, wherever the cluster has room.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
import importlib
from typing import Any

from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy
from tfmpq.worker_pool import Evaluate
from tfmpq.worker_pool import WorkerError

_MAX_LOSSES = 3


class RayPool:
  """Actors that evaluate policies; a context manager, like `WorkerPool`."""

  def __init__(
      self,
      num_workers: int,
      make_evaluate: Callable[[], Evaluate],
      address: str,
  ):
    """Connects to a cluster.

    Args:
      num_workers: actors, at least 1; each takes one processor.
      make_evaluate: see `WorkerPool`; it travels to the actors, files do not.
        Every node needs the same tfmpq and the same packages.
      address: of the cluster ('host:port', 'auto', 'ray://host:port').

    Raises:
      ValueError: Ray is not installed, or no address is given.
      ConnectionError: there is no cluster.
    """
    if num_workers < 1:
      raise ValueError(f'workers: expected at least 1, received {num_workers}')
    if not address:
      raise ValueError(
          "executor 'ray' needs --ray_address: 'auto' for the cluster that "
          "this machine belongs to, or 'host:port'"
      )
    self._ray = _import_ray()
    self._ray.init(address=address, log_to_driver=False)
    self._num_workers = num_workers
    self._recipe = self._ray.put(make_evaluate)
    self._actors: list[Any] = []

  def __enter__(self) -> RayPool:
    return self

  def __exit__(self, *unused_exception) -> None:
    self.close()

  def close(self) -> None:
    """Ends the actors and leaves the cluster."""
    for actor in self._actors:
      self._ray.kill(actor)
    self._actors = []
    self._ray.shutdown()

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    """Returns the evaluation of one policy."""
    return next(self.evaluate_all([policy]))

  def evaluate_all(
      self, policies: Sequence[QuantizationPolicy]
  ) -> Iterator[Evaluation]:
    """Yields the evaluation of each policy, in their order, once it is known.

    Raises:
      WorkerError: an evaluation raised an error, or several actors were lost
        over the same policy.
    """
    waiting = collections.deque(range(len(policies)))
    losses: collections.Counter[int] = collections.Counter()
    done: dict[int, Evaluation] = {}
    working: dict[Any, tuple[int, Any]] = {}
    for index in range(len(policies)):
      while index not in done:
        self._dispatch(policies, waiting, working)
        ready, _ = self._ray.wait(list(working))
        for reference in ready:
          number, actor = working.pop(reference)
          try:
            done[number] = self._ray.get(reference)
          except self._ray.exceptions.RayActorError as error:
            self._actors.remove(actor)
            losses[number] += 1
            if losses[number] == _MAX_LOSSES:
              raise WorkerError(
                  f'{_MAX_LOSSES} actors were lost over the policy '
                  f'{policies[number].as_dict()}: {error}'
              ) from error
            waiting.appendleft(number)
          except self._ray.exceptions.RayTaskError as error:
            raise WorkerError(str(error)) from error
      yield done.pop(index)

  def _dispatch(self, policies, waiting, working) -> None:
    """Gives work to idle actors; starts those that are missing."""
    while len(self._actors) < self._num_workers:
      actor_class = self._ray.remote(num_cpus=1, max_restarts=0)(_Actor)
      self._actors.append(actor_class.remote(self._recipe))
    busy = [actor for _, actor in working.values()]
    for actor in self._actors:
      if actor not in busy and waiting:
        number = waiting.popleft()
        reference = actor.evaluate.remote(policies[number])
        working[reference] = number, actor


class _Actor:
  """Runs in a process of the cluster."""

  def __init__(self, make_evaluate: Callable[[], Evaluate]):
    self._evaluate = make_evaluate()

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    return self._evaluate(policy)


def _import_ray() -> Any:
  try:
    return importlib.import_module('ray')
  except ImportError as error:
    raise ValueError(
        "executor 'ray' needs Ray: install requirements-ray.txt on every node"
    ) from error
