"""Labelled images as uint8 arrays in three splits: train, reward and test.

One interface for every source:

  fashion_mnist   the default; from Debian's package or by download
  tfds:<name>     any tfds data set of images with integer labels
  builder_dir:<path>  the same, by the folder that tfds has prepared
  folder:<path>   <path>/{train,test}/<class>/*.{png,jpg,jpeg}
  npz:<path>      arrays x_train, y_train, x_test, y_test
  csv:<path>      a list of files with their labels; see labelled_files

These are in memory, whole; `data_loading` also reads those that do not fit.

The *reward* split is held out of the training images and drives the search;
the test split is for the final figures only.

The order of the examples and the choice of the reward split depend on the
images' content alone. The same data set therefore has the same splits wherever
it comes from, and no reward image of one source is a training image of another.

The network's input contract is here too: `to_input` and `to_codes`.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import hashlib
import os
import pathlib
from typing import Protocol

import numpy as np

from tfmpq import dataset_sources
from tfmpq import tfds_builders
from tfmpq import training_batches

DEFAULT_DATASET = 'fashion_mnist'
DEFAULT_DATA_DIR = pathlib.Path('~/.cache/tfmpq/tfds')
# The reward split of Fashion-MNIST: 5,000 of 60,000 images.
_TRAIN_IMAGES_PER_REWARD_IMAGE = 12
_INPUT_OFFSET = 128


class Batches(Protocol):
  """Shuffled, augmented batches of a training split by step number.

  `batch(step)` returns images uint8 [B, H, W, C] and labels [B].
  """

  @property
  def steps_per_epoch(self) -> int:
    ...

  def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    ...


class Split(Protocol):
  """Images with labels, in memory (`Examples`) or not."""

  @property
  def images(self) -> np.ndarray:
    ...

  @property
  def labels(self) -> np.ndarray:
    ...

  @property
  def image_shape(self) -> tuple[int, int, int]:
    ...

  def __len__(self) -> int:
    ...

  def take(self, num: int) -> Examples:
    """Returns the first `num` examples in memory."""
    ...

  def subset(self, num: int) -> Split:
    """Returns the first `num` examples, read no sooner than needed."""
    ...

  def batches(self, batch_size: int) -> Iterator[Examples]:
    """Yields all examples in order; the last batch may be smaller."""
    ...

  def training_batches(
      self,
      batch_size: int,
      seed: int,
      augmentation: training_batches.Augmentation | None = None,
  ) -> Batches:
    """Returns the batches to train on.

    `augmentation` is of small images; photographs are augmented by their
    preprocessing and refuse another one than the default.
    """
    ...


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """Images with their labels.

  Attributes:
    images: uint8 [N, H, W, C].
    labels: int32 [N], 0..num_classes - 1.
  """

  images: np.ndarray
  labels: np.ndarray

  def __post_init__(self):
    if self.images.dtype != np.uint8 or self.images.ndim != 4:
      raise ValueError(
          'expected images of type uint8 and shape [N, H, W, C], got'
          f' {self.images.dtype} {self.images.shape}'
      )
    if self.labels.shape != self.images.shape[:1]:
      raise ValueError(
          f'expected {len(self.images)} labels, one per image, got shape'
          f' {self.labels.shape}'
      )

  def __len__(self) -> int:
    return len(self.images)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    height, width, channels = self.images.shape[1:]
    return height, width, channels

  def take(self, num: int) -> Examples:
    """Returns the first `num` examples, a fixed and unsorted-by-class sample.

    Raises:
      ValueError: There are fewer.
    """
    if not 0 <= num <= len(self):
      raise ValueError(f'expected 0 to {len(self)} examples, asked for {num}')
    return Examples(self.images[:num], self.labels[:num])

  def subset(self, num: int) -> Examples:
    """Returns the same as `take`; see `Split`."""
    return self.take(num)

  def batches(self, batch_size: int) -> Iterator[Examples]:
    """Yields all examples in order; the last batch may be smaller."""
    for start in range(0, len(self), batch_size):
      part = slice(start, start + batch_size)
      yield Examples(self.images[part], self.labels[part])

  def training_batches(
      self,
      batch_size: int,
      seed: int,
      augmentation: training_batches.Augmentation | None = None,
  ) -> training_batches.TrainingBatches:
    """Returns the batches to train on, by default shifted and mirrored."""
    return training_batches.TrainingBatches(
        self.images,
        self.labels,
        batch_size,
        seed,
        augmentation or training_batches.Augmentation(),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A classification data set.

  Attributes:
    name: As given to `load_dataset`.
    class_names: One per class, in the order of the labels.
    train: For training and calibration.
    reward: Held out of training; drives search and early stopping.
    test: For the final figures only.
  """

  name: str
  class_names: tuple[str, ...]
  train: Split
  reward: Split
  test: Split

  def __post_init__(self):
    for split in ('train', 'reward', 'test'):
      if not isinstance(getattr(self, split), Examples):
        continue  # Checked when they are read.
      labels = getattr(self, split).labels
      if len(labels) and not 0 <= labels.min() <= labels.max() < len(
          self.class_names
      ):
        raise ValueError(
            f"data set '{self.name}', split '{split}': expected labels from 0"
            f' to {len(self.class_names) - 1}, found {labels.min()} to'
            f' {labels.max()}'
        )

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return self.train.image_shape

  @property
  def num_classes(self) -> int:
    return len(self.class_names)


def to_input(images: np.ndarray) -> np.ndarray:
  """Returns the network's real inputs, float32: (pixel - 128) / 128."""
  return to_codes(images).astype(np.float32) / np.float32(_INPUT_OFFSET)


def to_codes(images: np.ndarray) -> np.ndarray:
  """Returns the network's integer inputs, int8: pixel - 128 exactly.

  The scale is 1/128 and the zero point 0, so that real = code / 128 equals
  `to_input`.

  Raises:
    ValueError: The images are not uint8.
  """
  if images.dtype != np.uint8:
    raise ValueError(f'expected uint8 pixels, got {images.dtype}')
  return (images.astype(np.int16) - _INPUT_OFFSET).astype(np.int8)


def load_dataset(
    name: str = DEFAULT_DATASET,
    *,
    data_dir=None,
    download: bool = False,
    manual_dir: pathlib.Path | None = None,
    image_size: tuple[int, int] | None = None,
    num_reward: int | None = None,
    reward_from_train: bool = False,
) -> Dataset:
  """Returns a data set by name; the module's docstring lists the names.

  Without `download` nothing reaches for the network.

  Args:
    name: 'fashion_mnist', 'tfds:<name>', 'builder_dir:<path>',
      'folder:<path>', 'npz:<path>' or 'csv:<path>'.
    data_dir: tfds data directory; None for $TFDS_DATA_DIR or, where that is
      not set, ~/.cache/tfmpq/tfds.
    download: Whether tfds may download what is missing.
    manual_dir: archives of data sets that nobody may offer for download.
    image_size: (height, width) to which images of a folder or list are
      resized; None where all have the same size.
    num_reward: Images held out of training for the reward; None for one in
      twelve (5,000 of Fashion-MNIST's 60,000).
    reward_from_train: the training images are the reward images, too. For
      small samples on which nothing is trained.

  Raises:
    FileNotFoundError: The data are not there; the message says what was looked
      for, where, and what to do.
    ValueError: The name or the data do not have the form above.
  """
  places = find_places(data_dir, download, manual_dir)
  source = dataset_sources.read(name, places, image_size)
  return make_dataset(name, source, num_reward, reward_from_train)


def make_dataset(
    name: str,
    source: dataset_sources.SourceData,
    num_reward: int | None = None,
    reward_from_train: bool = False,
) -> Dataset:
  """Returns the data set of a source: ordered, with the reward split held out.

  The reward split has the classes in the proportions of the training images,
  exactly `num_reward` images; see `load_dataset` for the arguments.
  """
  train = _in_content_order(source.train_images, source.train_labels)
  test = _in_content_order(source.test_images, source.test_labels)
  class_names = tuple(source.class_names)
  if reward_from_train:
    return Dataset(name, class_names, train=train, reward=train, test=test)
  if num_reward is None:
    num_reward = max(1, len(train) // _TRAIN_IMAGES_PER_REWARD_IMAGE)
  if not 1 <= num_reward < len(train):
    raise ValueError(
        f"data set '{name}': expected 1 to {len(train) - 1} reward images (they"
        f' are held out of {len(train)} training images), got {num_reward}'
    )
  held_out = _stratified_mask(train.labels, num_reward)
  return Dataset(
      name=name,
      class_names=class_names,
      train=Examples(train.images[~held_out], train.labels[~held_out]),
      reward=Examples(train.images[held_out], train.labels[held_out]),
      test=test,
  )


def find_places(
    data_dir, download: bool, manual_dir: pathlib.Path | None
) -> tfds_builders.Places:
  """Returns where data sets lie; see `load_dataset`."""
  chosen = data_dir or os.environ.get('TFDS_DATA_DIR') or DEFAULT_DATA_DIR
  return tfds_builders.Places(
      pathlib.Path(chosen).expanduser(), download, manual_dir
  )


def _in_content_order(images: np.ndarray, labels: np.ndarray) -> Examples:
  """Orders examples by a digest of their pixels: fixed, and well mixed."""
  images = np.ascontiguousarray(images)
  keys = [
      (hashlib.blake2b(image, digest_size=16).digest(), int(label))
      for image, label in zip(images, labels, strict=True)
  ]
  order = sorted(range(len(keys)), key=keys.__getitem__)
  return Examples(images[order], np.asarray(labels, np.int32)[order])


def _stratified_mask(labels: np.ndarray, num_chosen: int) -> np.ndarray:
  """Chooses `num_chosen` examples with each class in proportion: bool [N].

  The i-th of a class's n examples sits at (i + 1/2) / n; the examples with the
  smallest positions are chosen.
  """
  positions = np.empty(len(labels))
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label)
    positions[members] = (np.arange(len(members)) + 0.5) / len(members)
  mask = np.zeros(len(labels), bool)
  mask[np.argsort(positions, kind='stable')[:num_chosen]] = True
  return mask
