"""Evaluates policies on a Ray cluster (an optional extra).

Like `worker_pool`, with Ray's actors as workers. An actor that is lost, with
its process or its node, is replaced wherever the cluster has room.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib
from typing import Any

from tfmpq.evaluation import Evaluation
from tfmpq.evaluation_pool import Evaluate
from tfmpq.evaluation_pool import EvaluationPool
from tfmpq.evaluation_pool import Round
from tfmpq.evaluation_pool import WorkerError
from tfmpq.specs import QuantizationPolicy


class RayPool(EvaluationPool):
  """Actors that evaluate policies; a context manager, like `WorkerPool`."""

  def __init__(
      self,
      num_workers: int,
      make_evaluate: Callable[[], Evaluate],
      address: str,
  ):
    """Connects to a cluster.

    Args:
      num_workers: actors, at least 1; each takes one processor. Those for which
        the cluster has no room do not start before it has.
      make_evaluate: see `WorkerPool`; it travels to the actors, files do not.
        Every node needs the same packages, and tfmpq on its PYTHONPATH.
      address: of the cluster ('host:port', 'auto', 'ray://host:port').

    Raises:
      ValueError: no workers, no address, or Ray is not installed.
      ConnectionError: there is no cluster.
    """
    super().__init__(num_workers)
    if not address:
      raise ValueError(
          "executor 'ray' needs --ray_address: 'auto' for the cluster that "
          "this machine belongs to, or 'host:port'"
      )
    self._ray = _import_ray()
    self._ray.init(address=address, log_to_driver=False)
    self._recipe = self._ray.put(make_evaluate)
    self._idle: list[Any] = []
    self._starting: dict[Any, Any] = {}  # What an actor first says -> actor.
    self._working: dict[Any, tuple[int, Any]] = {}  # Answer -> ticket, actor.

  def close(self) -> None:
    """Ends the actors and leaves the cluster."""
    busy = [actor for _, actor in self._working.values()]
    for actor in [*self._idle, *self._starting.values(), *busy]:
      self._ray.kill(actor)
    self._idle, self._starting, self._working = [], {}, {}
    self._ray.shutdown()

  def _dispatch(self, current: Round) -> None:
    actor_class = self._ray.remote(num_cpus=1, max_restarts=0)(_Actor)
    while (
        len(self._idle) + len(self._starting) + len(self._working)
        < self._num_workers
    ):
      actor = actor_class.remote(self._recipe)
      self._starting[actor.start.remote()] = actor
    while self._idle and current.has_work:
      actor, (ticket, policy) = self._idle.pop(0), current.next_work()
      answer = actor.evaluate.remote(policy)
      self._working[answer] = ticket, actor

  def _collect(self, current: Round) -> None:
    ready, _ = self._ray.wait([*self._starting, *self._working])
    for reference in ready:
      if reference in self._starting:
        self._receive_start(reference)
      else:
        self._receive(reference, current)

  def _receive_start(self, reference) -> None:
    actor = self._starting.pop(reference)
    try:
      self._ray.get(reference)
    except self._ray.exceptions.RayTaskError as error:
      raise WorkerError(f'an actor could not start: {error}') from error
    except self._ray.exceptions.RayActorError:
      return  # It is lost; `_dispatch` starts another one.
    self._idle.append(actor)

  def _receive(self, reference, current: Round) -> None:
    """Takes an answer; of a lost actor, takes back what it worked on."""
    ticket, actor = self._working.pop(reference)
    try:
      evaluation = self._ray.get(reference)
    except self._ray.exceptions.RayTaskError as error:
      raise WorkerError(str(error)) from error
    except self._ray.exceptions.RayActorError as error:
      current.lose(ticket, 'actors', f': {error}')
      return
    self._idle.append(actor)
    current.answer(ticket, evaluation)


class _Actor:
  """Runs in a process of the cluster."""

  def __init__(self, make_evaluate: Callable[[], Evaluate]):
    self._make_evaluate = make_evaluate

  def start(self) -> None:
    self._evaluate = self._make_evaluate()

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    return self._evaluate(policy)


def _import_ray() -> Any:
  try:
    return importlib.import_module('ray')
  except ImportError as error:
    raise ValueError(
        "executor 'ray' needs Ray: install requirements-ray.txt on every node"
    ) from error
