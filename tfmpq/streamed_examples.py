"""Splits of large data sets: images are decoded when they are drawn.

`StreamedExamples` stands where `datasets.Examples` does, but holds no images.
Which images a split consists of, and their order, depends on their ids alone:
ids are ordered by a digest, the first ones are held out for the reward, the
others are for training. So no reward image is a training image, the splits are
the same on every machine, and the first images of a split are a fixed, well
mixed sample. Their classes are in proportion on average only, because the
labels are not known until the images are read.

A batch depends on nothing but the seed and its number, as in
`training_batches`: any image can be read at any time, so training goes on in
the middle of an epoch without reading what came before.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
import copy
import hashlib
import os

import numpy as np
import tensorflow as tf

from tfmpq import datasets
from tfmpq import encoded_images
from tfmpq import preprocessing as preprocessing_lib
from tfmpq import training_batches

# 5,000 images of 224x224 pixels take 0.75 GB.
_LARGEST_BYTES = 4 * 2**30
_READING_THREADS = 16
_EVALUATION_BATCH_SIZE = 256
# Batches that are made while the training computes.
_BATCHES_AHEAD = 3
# Independent random streams of one seed; those of `training_batches` differ.
_SHUFFLE_STREAM, _AUGMENT_STREAM = 2, 3


def order_by_id(ids: tuple[str, ...]) -> np.ndarray:
  """Returns the images' indices in the order of their ids' digests: int64."""
  digests = [hashlib.blake2b(i.encode(), digest_size=16).digest() for i in ids]
  return np.array(sorted(range(len(ids)), key=digests.__getitem__), np.int64)


class StreamedExamples:
  """Images with labels, as in `datasets.Examples`, decoded when needed."""

  def __init__(
      self,
      source: encoded_images.EncodedImages,
      indices: np.ndarray,
      size: tuple[int, int],
      preprocessing: preprocessing_lib.Preprocessing,
  ):
    """Reads nothing.

    Args:
      source: encoded images.
      indices: int64 [N], those of the split in their order.
      size: (H, W) of the decoded images.
      preprocessing: how they are made.
    """
    self._indices = indices
    self._decoder = _Decoder(source, size, preprocessing)
    self._taken: datasets.Examples | None = None

  def __len__(self) -> int:
    return len(self._indices)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels)."""
    return (*self._decoder.size, 3)

  @property
  def images(self) -> np.ndarray:
    """All images, uint8 [N, H, W, 3], prepared as for evaluation."""
    return self.take(len(self)).images

  @property
  def labels(self) -> np.ndarray:
    """All labels, int32 [N]."""
    return self.take(len(self)).labels

  def take(self, num: int) -> datasets.Examples:
    """Returns the first `num` examples, prepared as for evaluation.

    They stay in memory: another call for as many or fewer decodes nothing.

    Raises:
      ValueError: there are fewer, or they would take more than 4 GiB.
    """
    if not 0 <= num <= len(self):
      raise ValueError(f'expected 0 to {len(self)} examples, asked for {num}')
    num_bytes = num * int(np.prod(self.image_shape))
    if num_bytes > _LARGEST_BYTES:
      raise ValueError(
          f'{self._decoder.source.name}: {num} images of {self.image_shape} '
          f'would take {num_bytes / 1e9:.1f} GB; read them in batches, or take '
          'fewer, such as with --num_test_images'
      )
    if self._taken is None or len(self._taken) < num:
      self._taken = self._decoded(num)
    return self._taken.take(num)

  def _decoded(self, num: int) -> datasets.Examples:
    images = np.empty((num, *self.image_shape), np.uint8)
    labels = np.empty(num, np.int32)
    start = 0
    for batch in self.subset(num).batches(_EVALUATION_BATCH_SIZE):
      part = slice(start, start + len(batch))
      images[part], labels[part] = batch.images, batch.labels
      start += len(batch)
    return datasets.Examples(images, labels)

  def subset(self, num: int) -> StreamedExamples:
    """Returns the first `num` examples, still encoded.

    Raises:
      ValueError: there are fewer.
    """
    if not 0 <= num <= len(self):
      raise ValueError(f'expected 0 to {len(self)} examples, asked for {num}')
    part = copy.copy(self)
    part._indices, part._taken = self._indices[:num], None
    return part

  def batches(self, batch_size: int) -> Iterator[datasets.Examples]:
    """Yields all examples in order, prepared as for evaluation."""
    starts = range(0, len(self), batch_size)
    with futures.ThreadPoolExecutor(1) as thread:
      ahead = [
          thread.submit(
              self._decoder.evaluation,
              self._indices[start : start + batch_size],
          )
          for start in starts[:1]
      ]
      for start in starts:
        following = start + batch_size
        ready = ahead.pop().result()
        if following < len(self):
          ahead.append(
              thread.submit(
                  self._decoder.evaluation,
                  self._indices[following : following + batch_size],
              )
          )
        yield datasets.Examples(*ready)

  def training_batches(
      self,
      batch_size: int,
      seed: int,
      augmentation: training_batches.Augmentation | None = None,
  ) -> StreamedBatches:
    """Returns shuffled batches, prepared as for training.

    Raises:
      ValueError: the batch size does not fit the number of examples, or
        another augmentation than the default one is asked for.
    """
    if augmentation not in (None, training_batches.Augmentation()):
      raise ValueError(
          f"images prepared as in '{self._decoder.preprocessing.name}' are "
          f'augmented by that, received {augmentation}'
      )
    return StreamedBatches(self._decoder, self._indices, batch_size, seed)


class StreamedBatches:
  """Batches of a training split, addressed by step number.

  Every epoch is a new permutation of the examples; the last incomplete batch
  of an epoch is left out. Calls in the order of the steps are fast: the next
  batches are made meanwhile, on all processor cores.
  """

  def __init__(
      self,
      decoder: _Decoder,
      indices: np.ndarray,
      batch_size: int,
      seed: int,
  ):
    """See `StreamedExamples.training_batches`.

    Raises:
      ValueError: the batch size does not fit the number of examples.
    """
    if not 1 <= batch_size <= len(indices):
      raise ValueError(
          f'expected a batch size from 1 to {len(indices)} (the number of'
          f' training examples), got {batch_size}'
      )
    self._decoder, self._indices = decoder, indices
    self._batch_size, self._seed = batch_size, seed
    self._orders: dict[int, np.ndarray] = {}
    self._threads = futures.ThreadPoolExecutor(_BATCHES_AHEAD)
    self._ahead: dict[int, futures.Future] = {}

  @property
  def steps_per_epoch(self) -> int:
    return len(self._indices) // self._batch_size

  def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [B, H, W, 3] and labels [B] of step 0, 1, 2, ...

    Raises:
      ValueError: an image cannot be decoded, or has a label out of range; the
        message names it.
    """
    wanted = range(step, step + 1 + _BATCHES_AHEAD)
    for other in [s for s in self._ahead if s not in wanted]:
      self._ahead.pop(other).cancel()
    for each in wanted:
      if each not in self._ahead:
        self._ahead[each] = self._threads.submit(
            self._decoder.training, *self._draw(each)
        )
    return self._ahead.pop(step).result()

  def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns image indices [B], seeds int32 [B, 2], mirrored bool [B]."""
    epoch, position = divmod(step, self.steps_per_epoch)
    start = position * self._batch_size
    chosen = self._epoch_order(epoch)[start : start + self._batch_size]
    rng = np.random.default_rng([self._seed, _AUGMENT_STREAM, step])
    seeds = rng.integers(0, 2**31 - 1, (len(chosen), 2), np.int32)
    return self._indices[chosen], seeds, rng.random(len(chosen)) < 0.5

  def _epoch_order(self, epoch: int) -> np.ndarray:
    """Returns the epoch's permutation; keeps two, batches ahead need both."""
    if epoch not in self._orders:
      rng = np.random.default_rng([self._seed, _SHUFFLE_STREAM, epoch])
      order = rng.permutation(len(self._indices))
      kept = {e: o for e, o in self._orders.items() if abs(e - epoch) == 1}
      self._orders = {**kept, epoch: order}
    return self._orders[epoch]


class _Decoder:
  """Turns indices of encoded images into arrays, on all processor cores."""

  def __init__(self, source, size, preprocessing):
    self.source, self.size = source, size
    self.preprocessing = preprocessing
    self._readers = futures.ThreadPoolExecutor(_READING_THREADS)
    # One trace for all batch sizes.
    self._evaluation = tf.function(
        self._decode_evaluation,
        input_signature=[
            tf.TensorSpec([None], tf.string),
            tf.TensorSpec([None], tf.int64),
        ],
    )
    self._training = tf.function(
        self._decode_training,
        input_signature=[
            tf.TensorSpec([None], tf.string),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None, 2], tf.int32),
            tf.TensorSpec([None], tf.bool),
        ],
    )

  def evaluation(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [B, H, W, 3] and labels int32 [B]."""
    return self._run(self._evaluation, indices)

  def training(
      self, indices: np.ndarray, seeds: np.ndarray, mirrored: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [B, H, W, 3] and labels int32 [B]."""
    return self._run(self._training, indices, seeds, mirrored)

  def _run(self, decode, indices, *arguments):
    payloads = np.array(
        list(self._readers.map(self.source.read, indices)), object
    )
    try:
      images, labels = decode(payloads, indices, *arguments)
    except tf.errors.InvalidArgumentError as error:
      raise self._undecodable(payloads, indices) from error
    labels = labels.numpy()
    wrong = (labels < 0) | (labels >= self.source.num_classes)
    if wrong.any():
      first = np.flatnonzero(wrong)[0]
      raise ValueError(
          f'{self.source.name}: expected labels from 0 to '
          f'{self.source.num_classes - 1}, image '
          f"'{self.source.ids()[indices[first]]}' has {labels[first]}"
      )
    return images.numpy(), labels.astype(np.int32)

  def _undecodable(self, payloads, indices) -> ValueError:
    """Returns the error that names the first image that cannot be decoded."""
    for payload, index in zip(payloads, indices, strict=True):
      try:
        self._evaluation([payload], [index])
      except tf.errors.InvalidArgumentError as error:
        return ValueError(
            f"{self.source.name}: image '{self.source.ids()[index]}' of "
            f'{len(payload)} bytes is no JPEG or PNG file, or damaged: '
            f'{error.message}'
        )
    raise AssertionError('all images of the batch decode one by one')

  def _decode_evaluation(self, payloads, indices):
    def decode(payload, index):
      encoded, label = self.source.parse(payload, index)
      return self.preprocessing.evaluation_image(encoded, self.size), label

    return _in_parallel(decode, payloads, indices)

  def _decode_training(self, payloads, indices, seeds, mirrored):
    def decode(payload, index, seed, mirror):
      encoded, label = self.source.parse(payload, index)
      image = self.preprocessing.training_image(
          encoded, self.size, seed, mirror
      )
      return image, label

    return _in_parallel(decode, payloads, indices, seeds, mirrored)


def _in_parallel(decode, *tensors):
  """Returns `decode` of every element, stacked; each is computed alone."""
  num_cores = len(os.sched_getaffinity(0))
  options = tf.data.Options()
  options.deterministic = True
  # TensorFlow's own threads are few where results must be reproducible; here
  # no sum is split between them.
  options.threading.private_threadpool_size = num_cores
  options.threading.max_intra_op_parallelism = 1
  with tf.device('CPU:0'):
    elements = tf.data.Dataset.from_tensor_slices(tensors)
    decoded = elements.map(decode, num_cores, deterministic=True)
    batch = decoded.batch(tf.size(tensors[1], tf.int64))
    return batch.with_options(options).get_single_element()
