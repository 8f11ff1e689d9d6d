"""Evaluates policies in worker processes of this machine.

What comes back, and in which order, depends neither on the number of workers
nor on their timing, if each of them evaluates alike. A worker that is lost, or
killed, is replaced, and what it was working on is done again.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import multiprocessing
import multiprocessing.connection
import signal
from typing import Any

from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy

Evaluate = Callable[[QuantizationPolicy], Evaluation]

# A policy that ends its worker that often does so for a reason of its own.
MAX_LOSSES = 3


class WorkerError(RuntimeError):
  """A worker could not start, or a policy could not be evaluated."""


@dataclasses.dataclass
class _Worker:
  """A process and what it is working on: a ticket, or None."""

  process: Any
  connection: Any
  ticket: int | None = None


class WorkerPool:
  """Processes that evaluate policies, started when first needed.

  A context manager; at its end the processes end.
  """

  def __init__(self, num_workers: int, make_evaluate: Callable[[], Evaluate]):
    """Starts nothing yet.

    Args:
      num_workers: processes, at least 1.
      make_evaluate: returns what evaluates a policy; called once in each
        process, so it has to be picklable.
    """
    if num_workers < 1:
      raise ValueError(f'workers: expected at least 1, received {num_workers}')
    self._num_workers = num_workers
    self._make_evaluate = make_evaluate
    # Forked processes would share the threads and locks of TensorFlow.
    self._context: Any = multiprocessing.get_context('spawn')
    self._workers: list[_Worker] = []
    self._num_tickets = 0

  def __enter__(self) -> WorkerPool:
    return self

  def __exit__(self, *unused_exception) -> None:
    self.close()

  @property
  def process_ids(self) -> list[int]:
    """Of the workers that run."""
    return [worker.process.pid for worker in self._workers]

  def close(self) -> None:
    """Ends the processes, whatever they are doing."""
    for worker in self._workers:
      worker.connection.close()
      worker.process.terminate()
      worker.process.join()
    self._workers = []

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
    first = self._num_tickets
    self._num_tickets += len(policies)
    tickets = dict(enumerate(policies, start=first))
    waiting = collections.deque(tickets)
    losses: collections.Counter[int] = collections.Counter()
    done: dict[int, Evaluation] = {}
    for ticket in tickets:
      while ticket not in done:
        self._dispatch(tickets, waiting)
        for worker in self._ready():
          self._receive(worker, tickets, waiting, losses, done)
      yield done.pop(ticket)

  def _dispatch(self, tickets, waiting) -> None:
    """Gives work to idle workers; starts those that are missing."""
    while len(self._workers) < self._num_workers:
      self._workers.append(self._start())
    for worker in self._workers:
      if worker.ticket is None and waiting:
        worker.ticket = waiting.popleft()
        try:
          worker.connection.send((worker.ticket, tickets[worker.ticket]))
        except OSError:
          pass  # It is lost, which `_receive` finds out.

  def _start(self) -> _Worker:
    here, there = self._context.Pipe()
    process = self._context.Process(
        target=_serve, args=(there, self._make_evaluate), daemon=True
    )
    process.start()
    there.close()  # So that the end of the process is the end of the pipe.
    return _Worker(process, here)

  def _ready(self) -> list[_Worker]:
    """Waits until some worker has an answer or is lost."""
    by_connection = {w.connection: w for w in self._workers}
    ready = multiprocessing.connection.wait(list(by_connection))
    return [by_connection[connection] for connection in ready]

  def _receive(self, worker, tickets, waiting, losses, done) -> None:
    """Takes an answer; of a lost worker, takes back what it worked on."""
    try:
      ticket, evaluation, error = worker.connection.recv()
    except (EOFError, OSError):
      self._replace(worker, tickets, waiting, losses)
      return
    worker.ticket = None
    if error:
      raise WorkerError(error)
    if ticket in tickets:  # Otherwise its caller has stopped listening.
      done[ticket] = evaluation

  def _replace(self, worker: _Worker, tickets, waiting, losses) -> None:
    worker.connection.close()
    worker.process.join()
    self._workers.remove(worker)
    ticket = worker.ticket
    if ticket not in tickets:
      return
    losses[ticket] += 1
    if losses[ticket] == MAX_LOSSES:
      raise WorkerError(
          f'{MAX_LOSSES} workers were lost over the policy '
          f'{tickets[ticket].as_dict()}; the last one ended with exit code '
          f'{worker.process.exitcode} (below 0: a signal; -9: perhaps too '
          'little memory for --workers)'
      )
    waiting.appendleft(ticket)


def _serve(connection, make_evaluate: Callable[[], Evaluate]) -> None:
  """What a worker does: answers until the other end of the pipe is closed."""
  # Ctrl-C reaches every process of the terminal; the program ends its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  evaluate = None
  while True:
    try:
      ticket, policy = connection.recv()
    except EOFError:
      return
    try:
      if evaluate is None:
        evaluate = make_evaluate()
      answer = (ticket, evaluate(policy), '')
    except Exception as error:  # Whatever it is, the program has to hear of it.
      answer = (ticket, None, f'{type(error).__name__}: {error}')
    try:
      connection.send(answer)
    except OSError:
      return
