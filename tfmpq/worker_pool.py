"""Evaluates policies in worker processes of this machine.

What comes back, and in which order, depends neither on the number of workers
nor on their timing, if each of them evaluates alike. A worker that is lost, or
killed, is replaced, and what it was working on is done again.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import multiprocessing
import multiprocessing.connection
import signal
from typing import Any

from tfmpq.evaluation_pool import Evaluate
from tfmpq.evaluation_pool import EvaluationPool
from tfmpq.evaluation_pool import Round
from tfmpq.evaluation_pool import WorkerError


@dataclasses.dataclass
class _Worker:
  """A process and what it is working on: a ticket, or None."""

  process: Any
  connection: Any
  ticket: int | None = None


class WorkerPool(EvaluationPool):
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
    super().__init__(num_workers)
    self._make_evaluate = make_evaluate
    # Forked processes would share the threads and locks of TensorFlow.
    self._context: Any = multiprocessing.get_context('spawn')
    self._workers: list[_Worker] = []

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

  def _dispatch(self, current: Round) -> None:
    while len(self._workers) < self._num_workers:
      self._workers.append(self._start())
    for worker in self._workers:
      if worker.ticket is None and current.has_work:
        worker.ticket, policy = current.next_work()
        try:
          worker.connection.send((worker.ticket, policy))
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

  def _collect(self, current: Round) -> None:
    by_connection = {w.connection: w for w in self._workers}
    for connection in multiprocessing.connection.wait(list(by_connection)):
      self._receive(by_connection[connection], current)

  def _receive(self, worker: _Worker, current: Round) -> None:
    """Takes an answer; of a lost worker, takes back what it worked on."""
    try:
      ticket, evaluation, error = worker.connection.recv()
    except (EOFError, OSError):
      self._replace(worker, current)
      return
    worker.ticket = None
    if error:
      raise WorkerError(error)
    current.answer(ticket, evaluation)

  def _replace(self, worker: _Worker, current: Round) -> None:
    worker.connection.close()
    worker.process.join()
    self._workers.remove(worker)
    current.lose(
        worker.ticket,
        'workers',
        f'; the last one ended with exit code {worker.process.exitcode} (below '
        '0: a signal; -9: perhaps too little memory for --workers)',
    )


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
