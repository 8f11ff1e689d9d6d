"""Batches come in order, one thread ahead, and errors come in their turn."""

import contextlib
import threading
import time

import numpy as np
import pytest

from tfmpq import prefetching
from tfmpq import training_batches


class _Numbered:
  """Batch n holds n; remembers who asked for what."""

  steps_per_epoch = 4

  def __init__(self, wrong_step=None):
    self.calls, self.threads = [], set()
    self._wrong_step = wrong_step

  def batch(self, step):
    self.calls.append(step)
    self.threads.add(threading.get_ident())
    if step == self._wrong_step:
      raise OSError(f'batch {step} cannot be read')
    return np.array([step]), np.array([step])


def _wait_for_calls(batches, count):
  deadline = time.monotonic() + 20
  while len(batches.calls) != count:
    assert time.monotonic() < deadline
    time.sleep(0.001)


def test_batches_are_those_without_a_thread():
  rng = np.random.default_rng(5)
  batches = [
      training_batches.TrainingBatches(
          rng.integers(0, 256, (20, 6, 6, 1)).astype(np.uint8),
          np.arange(20),
          batch_size=3,
          seed=1,
      )
  ] * 2
  found = list(prefetching.prefetch(batches[0], 4, 15))
  assert len(found) == 11
  for step, (images, labels) in enumerate(found, start=4):
    expected_images, expected_labels = batches[1].batch(step)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize('depth', [1, 2, 3])
def test_one_other_thread_works_ahead_and_not_further(depth):
  batches = _Numbered()
  with contextlib.closing(
      prefetching.prefetch(batches, 0, 6, depth)
  ) as prefetched:
    for step in range(6):
      images, _ = next(prefetched)
      assert images[0] == step
      _wait_for_calls(batches, min(step + 1 + depth, 6))
    assert next(prefetched, None) is None
  assert batches.calls == list(range(6))
  assert len(batches.threads) == 1
  assert threading.get_ident() not in batches.threads


def test_an_error_is_raised_when_its_batch_has_its_turn():
  prefetched = prefetching.prefetch(_Numbered(wrong_step=2), 0, 6)
  assert [next(prefetched)[0][0] for _ in range(2)] == [0, 1]
  with pytest.raises(OSError, match='batch 2 cannot be read'):
    next(prefetched)


def test_leaving_early_ends_the_thread():
  before = threading.active_count()
  with contextlib.closing(
      prefetching.prefetch(_Numbered(), 0, 10**9)
  ) as prefetched:
    next(prefetched)
  assert threading.active_count() == before


def test_wrong_depth_is_refused():
  with pytest.raises(ValueError, match='depth of at least 1, received 0'):
    next(prefetching.prefetch(_Numbered(), 0, 1, depth=0))
