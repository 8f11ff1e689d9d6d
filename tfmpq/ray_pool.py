"""Evaluates policies on a Ray cluster (an optional extra).

Like `worker_pool`, with Ray's actors as workers. An actor that is lost, with
its process or its node, is replaced wherever the cluster has room.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
import importlib
from typing import Any

from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy
from tfmpq.worker_pool import Evaluate
from tfmpq.worker_pool import MAX_LOSSES
from tfmpq.worker_pool import WorkerError


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
      num_workers: actors, at least 1; each takes one processor. Those for which
        the cluster has no room do not start before it has.
      make_evaluate: see `WorkerPool`; it travels to the actors, files do not.
        Every node needs the same packages, and tfmpq on its PYTHONPATH.
      address: of the cluster ('host:port', 'auto', 'ray://host:port').

    Raises:
      ValueError: no workers, no address, or Ray is not installed.
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
    self._idle: list[Any] = []
    self._starting: dict[Any, Any] = {}  # What an actor first says -> actor.
    self._working: dict[Any, tuple[int, Any]] = {}  # Answer -> ticket, actor.
    self._num_tickets = 0

  def __enter__(self) -> RayPool:
    return self

  def __exit__(self, *unused_exception) -> None:
    self.close()

  def close(self) -> None:
    """Ends the actors and leaves the cluster."""
    busy = [actor for _, actor in self._working.values()]
    for actor in [*self._idle, *self._starting.values(), *busy]:
      self._ray.kill(actor)
    self._idle, self._starting, self._working = [], {}, {}
    self._ray.shutdown()

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    """Returns the evaluation of one policy."""
    return next(self.evaluate_all([policy]))

  def evaluate_all(
      self, policies: Sequence[QuantizationPolicy]
  ) -> Iterator[Evaluation]:
    """Yields the evaluation of each policy, in their order, once it is known.

    Raises:
      WorkerError: an actor could not start, an evaluation raised an error, or
        several actors were lost over the same policy.
    """
    first = self._num_tickets
    self._num_tickets += len(policies)
    tickets = dict(enumerate(policies, start=first))
    waiting = collections.deque(tickets)
    losses: collections.Counter[int] = collections.Counter()
    done: dict[int, Evaluation] = {}
    for ticket in tickets:
      while ticket not in done:
        self._dispatch(tickets, waiting)
        ready, _ = self._ray.wait([*self._starting, *self._working])
        for reference in ready:
          if reference in self._starting:
            self._receive_start(reference)
          else:
            self._receive(reference, tickets, waiting, losses, done)
      yield done.pop(ticket)

  def _dispatch(self, tickets, waiting) -> None:
    """Gives work to idle actors; starts those that are missing."""
    actor_class = self._ray.remote(num_cpus=1, max_restarts=0)(_Actor)
    while (
        len(self._idle) + len(self._starting) + len(self._working)
        < self._num_workers
    ):
      actor = actor_class.remote(self._recipe)
      self._starting[actor.start.remote()] = actor
    while self._idle and waiting:
      actor, ticket = self._idle.pop(0), waiting.popleft()
      answer = actor.evaluate.remote(tickets[ticket])
      self._working[answer] = ticket, actor

  def _receive_start(self, reference) -> None:
    actor = self._starting.pop(reference)
    try:
      self._ray.get(reference)
    except self._ray.exceptions.RayTaskError as error:
      raise WorkerError(f'an actor could not start: {error}') from error
    except self._ray.exceptions.RayActorError:
      return  # It is lost; `_dispatch` starts another one.
    self._idle.append(actor)

  def _receive(self, reference, tickets, waiting, losses, done) -> None:
    """Takes an answer; of a lost actor, takes back what it worked on."""
    ticket, actor = self._working.pop(reference)
    try:
      evaluation = self._ray.get(reference)
    except self._ray.exceptions.RayTaskError as error:
      raise WorkerError(str(error)) from error
    except self._ray.exceptions.RayActorError as error:
      if ticket not in tickets:
        return
      losses[ticket] += 1
      if losses[ticket] == MAX_LOSSES:
        raise WorkerError(
            f'{MAX_LOSSES} actors were lost over the policy '
            f'{tickets[ticket].as_dict()}: {error}'
        ) from error
      waiting.appendleft(ticket)
      return
    self._idle.append(actor)
    if ticket in tickets:  # Otherwise its caller has stopped listening.
      done[ticket] = evaluation


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
