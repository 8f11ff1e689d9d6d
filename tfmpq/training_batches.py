"""Shuffled, augmented training batches as a pure function of the step.

Because batch `n` depends on nothing but the seed and `n`, training can stop
anywhere and go on from a step number alone, bit for bit.
"""

import dataclasses

import numpy as np

# Independent random streams of one seed.
_SHUFFLE_STREAM = 0
_AUGMENT_STREAM = 1


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes to a training image that keep its class.

  Attributes:
    max_shift: Largest shift in pixels, both ways in both directions; uncovered
      pixels become 0. 0 for none.
    flip: Whether half of the images are mirrored left to right.
  """

  max_shift: int = 2
  flip: bool = True

  def __post_init__(self):
    if self.max_shift < 0:
      raise ValueError(f'expected max_shift >= 0, got {self.max_shift}')


NO_AUGMENTATION = Augmentation(max_shift=0, flip=False)


def augment(
    images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> np.ndarray:
  """Returns shifted and mirrored copies of uint8 images [N, H, W, C]."""
  num, height, width, _ = images.shape
  if augmentation.flip:
    mirrored = rng.random((num,)) < 0.5
    images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
  shift = augmentation.max_shift
  if shift:
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    top, left = rng.integers(0, 2 * shift + 1, size=(2, num, 1, 1))
    images = padded[
        np.arange(num)[:, None, None],
        top + np.arange(height)[:, None],
        left + np.arange(width),
    ]
  return images


class TrainingBatches:
  """Batches of a training split, addressed by step number.

  Every epoch is a new permutation of the examples; the last incomplete batch
  of an epoch is left out.
  """

  def __init__(
      self,
      images: np.ndarray,
      labels: np.ndarray,
      batch_size: int,
      seed: int,
      augmentation: Augmentation = Augmentation(),
  ):
    """Makes the sequence of batches; copies nothing.

    Args:
      images: uint8 [N, H, W, C].
      labels: int [N].
      batch_size: Examples per batch, 1..N.
      seed: >= 0; fixes order and augmentation of every step.
      augmentation: What happens to an image each time that it is drawn.

    Raises:
      ValueError: The batch size does not fit the number of examples, or there
        are not as many labels as images.
    """
    if len(images) != len(labels):
      raise ValueError(
          'expected one label per image, got'
          f' {len(images)} images and {len(labels)} labels'
      )
    if not 1 <= batch_size <= len(images):
      raise ValueError(
          f'expected a batch size from 1 to {len(images)} (the number of'
          f' training examples), got {batch_size}'
      )
    self._images = images
    self._labels = labels
    self._batch_size = batch_size
    self._seed = seed
    self._augmentation = augmentation
    self._ordered_epoch = -1
    self._order = np.empty(0, np.int64)

  @property
  def steps_per_epoch(self) -> int:
    return len(self._images) // self._batch_size

  def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [B, H, W, C] and labels [B] of step 0, 1, 2, ..."""
    epoch, position = divmod(step, self.steps_per_epoch)
    start = position * self._batch_size
    chosen = self._epoch_order(epoch)[start : start + self._batch_size]
    rng = np.random.default_rng([self._seed, _AUGMENT_STREAM, step])
    images = augment(self._images[chosen], self._augmentation, rng)
    return images, self._labels[chosen]

  def _epoch_order(self, epoch: int) -> np.ndarray:
    """Returns the epoch's permutation; keeps the last one, it takes 1 ms."""
    if epoch != self._ordered_epoch:
      rng = np.random.default_rng([self._seed, _SHUFFLE_STREAM, epoch])
      self._order = rng.permutation(len(self._images))
      self._ordered_epoch = epoch
    return self._order
