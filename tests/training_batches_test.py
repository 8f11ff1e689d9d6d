"""Tests of shuffled, augmented training batches."""

import numpy as np
import pytest

from tfmpq import training_batches


def _batches(seed=3, **kwargs):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (10, 6, 5, 2), np.uint8)
  return images, training_batches.TrainingBatches(
      images, np.arange(10), 4, seed, **kwargs
  )


def test_batch_is_a_function_of_seed_and_step():
  _, straight = _batches()
  expected = [straight.batch(step) for step in range(5)]
  _, again = _batches()
  for step in (4, 0, 3, 1, 2):  # Any order, as after a restart.
    images, labels = again.batch(step)
    np.testing.assert_array_equal(images, expected[step][0])
    np.testing.assert_array_equal(labels, expected[step][1])
  _, other_seed = _batches(seed=4)
  assert not np.array_equal(other_seed.batch(0)[1], expected[0][1])


def test_epoch_draws_no_example_twice():
  images, batches = _batches(augmentation=training_batches.NO_AUGMENTATION)
  assert batches.steps_per_epoch == 2
  for epoch in range(3):
    drawn = [batches.batch(2 * epoch + i) for i in range(2)]
    labels = np.concatenate([d[1] for d in drawn])
    assert len(set(labels)) == 8
    np.testing.assert_array_equal(
        np.concatenate([d[0] for d in drawn]), images[labels]
    )


def test_augmented_image_is_a_shifted_and_perhaps_mirrored_copy():
  images = np.random.default_rng(5).integers(1, 256, (64, 6, 5, 1), np.uint8)
  augmented = training_batches.augment(
      images, training_batches.Augmentation(1, True), np.random.default_rng(6)
  )
  seen = set()
  for image, result in zip(images, augmented, strict=True):
    matches = [
        (flip, dy, dx)
        for flip in (False, True)
        for dy in range(3)
        for dx in range(3)
        if np.array_equal(
            np.pad(image[:, ::-1] if flip else image, ((1, 1), (1, 1), (0, 0)))[
                dy : dy + 6, dx : dx + 5
            ],
            result,
        )
    ]
    assert len(matches) == 1
    seen.update(matches)
  assert len(seen) >= 15  # Of 18; 64 draws miss few.


def test_batch_size_beyond_the_examples_is_refused():
  with pytest.raises(ValueError, match='from 1 to 3 .*got 4'):
    training_batches.TrainingBatches(
        np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, np.int32), 4, 0
    )
