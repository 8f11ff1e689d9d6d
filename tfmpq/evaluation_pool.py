"""What pools of workers share: which policies wait, are lost, are done.

What comes back, and in which order, depends neither on the number of workers
nor on their timing, if each of them evaluates alike.
"""

from __future__ import annotations

import abc
import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy

Evaluate = Callable[[QuantizationPolicy], Evaluation]

# A policy that ends its worker that often does so for a reason of its own.
MAX_LOSSES = 3


class WorkerError(RuntimeError):
  """A worker could not start, or a policy could not be evaluated."""


class Round:
  """Policies that are evaluated together, each known by its ticket.

  Answers to tickets of an earlier round, whose caller has stopped listening,
  are passed over.
  """

  def __init__(self, first_ticket: int, policies: Sequence[QuantizationPolicy]):
    self.tickets = dict(enumerate(policies, start=first_ticket))
    self._waiting = collections.deque(self.tickets)
    self._losses: collections.Counter[int] = collections.Counter()
    self._done: dict[int, Evaluation] = {}

  @property
  def has_work(self) -> bool:
    return bool(self._waiting)

  def next_work(self) -> tuple[int, QuantizationPolicy]:
    """Returns the ticket and the policy that are to be evaluated next."""
    ticket = self._waiting.popleft()
    return ticket, self.tickets[ticket]

  def answer(self, ticket: int, evaluation: Evaluation) -> None:
    """Keeps an evaluation until it is asked for."""
    if ticket in self.tickets:
      self._done[ticket] = evaluation

  def lose(self, ticket: int | None, workers: str, reason: str) -> None:
    """Has a policy evaluated again whose worker was lost.

    Args:
      ticket: what the worker was working on, or None.
      workers: what workers are called.
      reason: follows the policy in the message, with what is between them.

    Raises:
      WorkerError: MAX_LOSSES workers were lost over that policy.
    """
    if ticket not in self.tickets:
      return
    self._losses[ticket] += 1
    if self._losses[ticket] == MAX_LOSSES:
      raise WorkerError(
          f'{MAX_LOSSES} {workers} were lost over the policy '
          f'{self.tickets[ticket].as_dict()}{reason}'
      )
    self._waiting.appendleft(ticket)

  def is_done(self, ticket: int) -> bool:
    return ticket in self._done

  def take(self, ticket: int) -> Evaluation:
    """Returns an evaluation and forgets it."""
    return self._done.pop(ticket)


class EvaluationPool(abc.ABC):
  """Workers that evaluate policies; a context manager that ends them."""

  def __init__(self, num_workers: int):
    if num_workers < 1:
      raise ValueError(f'workers: expected at least 1, received {num_workers}')
    self._num_workers = num_workers
    self._num_tickets = 0

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused_exception) -> None:
    self.close()

  @abc.abstractmethod
  def close(self) -> None:
    """Ends the workers, whatever they are doing."""

  @abc.abstractmethod
  def _dispatch(self, current: Round) -> None:
    """Gives work to idle workers; starts those that are missing."""

  @abc.abstractmethod
  def _collect(self, current: Round) -> None:
    """Waits until some worker has an answer or is lost, and deals with it."""

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    """Returns the evaluation of one policy."""
    return next(self.evaluate_all([policy]))

  def evaluate_all(
      self, policies: Sequence[QuantizationPolicy]
  ) -> Iterator[Evaluation]:
    """Yields the evaluation of each policy, in their order, once it is known.

    Raises:
      WorkerError: a worker could not start, an evaluation raised an error, or
        several workers were lost over the same policy.
    """
    current = Round(self._num_tickets, policies)
    self._num_tickets += len(policies)
    for ticket in current.tickets:
      while not current.is_done(ticket):
        self._dispatch(current)
        self._collect(current)
      yield current.take(ticket)
