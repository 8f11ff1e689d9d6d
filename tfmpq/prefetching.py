"""Prepares the next batches in a thread while a step computes."""

from __future__ import annotations

from collections.abc import Generator
from concurrent import futures
import itertools

import numpy as np

from tfmpq import datasets


def prefetch(
    batches: datasets.Batches, first_step: int, end_step: int, depth: int = 2
) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
  """Yields the batches of steps first_step..end_step - 1, in order.

  One thread asks for them one after the other; the result is the same as
  without it. Close the iterator (`contextlib.closing`) if you leave it early.

  Args:
    batches: where they come from.
    first_step: the first one.
    end_step: one behind the last one; nothing beyond is prepared.
    depth: batches that are prepared ahead, at least 1.

  Raises:
    Whatever `batches.batch` raises, when that batch's turn has come.
  """
  if depth < 1:
    raise ValueError(f'expected a depth of at least 1, received {depth}')
  steps = iter(range(first_step, end_step))
  executor = futures.ThreadPoolExecutor(1, thread_name_prefix='batches')
  try:
    waiting = [
        executor.submit(batches.batch, step)
        for step in itertools.islice(steps, depth)
    ]
    while waiting:
      ready = waiting.pop(0).result()
      waiting += [
          executor.submit(batches.batch, step)
          for step in itertools.islice(steps, 1)
      ]
      yield ready
  finally:
    # Otherwise a batch of a training that has ended is still being made.
    executor.shutdown(wait=True, cancel_futures=True)
