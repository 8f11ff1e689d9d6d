"""Tests of streamed_examples: splits whose images are decoded when drawn."""

import numpy as np
import pytest
import tensorflow as tf

from tests import imagenet_mock
from tfmpq import datasets
from tfmpq import encoded_images
from tfmpq import preprocessing
from tfmpq import streamed_examples
from tfmpq import training_batches

_SIZE = (24, 24)
_NUM_IMAGES, _NUM_CLASSES = 60, 7
# No part has such a ratio, so that all training images are whole.
_WHOLE = preprocessing.Preprocessing(
    name='whole',
    square=False,
    border=None,
    method='bilinear',
    antialias=False,
    area=(1.0, 1.0),
    ratio=(90.0, 91.0),
    attempts=2,
)


class _ListedImages(encoded_images.EncodedImages):
  """Images in memory that know how often each was read."""

  def __init__(self, jpegs, num_classes=_NUM_CLASSES):
    self.name, self.num_classes = 'listed', num_classes
    self._names, labels, self.files = zip(*jpegs, strict=True)
    self.labels = np.array(labels, np.int64)
    self.reads = []

  def ids(self):
    return self._names

  def read(self, index):
    self.reads.append(index)
    return self.files[index]

  def parse(self, payload, index):
    return payload, tf.gather(tf.constant(self.labels), index)


@pytest.fixture(name='source')
def _source():
  return _ListedImages(list(imagenet_mock.jpegs(_NUM_IMAGES, _NUM_CLASSES)))


def _examples(source, way=preprocessing.MNASNET, indices=None):
  if indices is None:
    indices = streamed_examples.order_by_id(source.ids())
  return streamed_examples.StreamedExamples(source, indices, _SIZE, way)


def test_the_order_depends_on_ids_alone():
  ids = [f'file-{i}' for i in range(200)]
  order = streamed_examples.order_by_id(tuple(ids))
  assert sorted(order) == list(range(200))
  shuffled = list(np.random.default_rng(2).permutation(ids))
  again = streamed_examples.order_by_id(tuple(shuffled))
  assert [shuffled[i] for i in again] == [ids[i] for i in order]
  # Well mixed: the halves of the list share the first places.
  assert 30 < (order[:100] < 100).sum() < 70


def test_streamed_images_equal_images_decoded_one_by_one(source):
  order = streamed_examples.order_by_id(source.ids())
  expected = np.stack(
      [
          preprocessing.MNASNET.evaluation_image(
              tf.constant(source.files[i]), _SIZE
          ).numpy()
          for i in order
      ]
  )
  examples = _examples(source)
  assert len(examples) == _NUM_IMAGES
  assert examples.image_shape == (*_SIZE, 3)
  np.testing.assert_array_equal(examples.images, expected)
  np.testing.assert_array_equal(examples.labels, source.labels[order])
  parts = list(examples.batches(25))
  assert [len(part) for part in parts] == [25, 25, 10]
  np.testing.assert_array_equal(
      np.concatenate([part.images for part in parts]), expected
  )
  np.testing.assert_array_equal(examples.subset(9).images, expected[:9])


def test_no_more_images_are_read_than_are_asked_for(source):
  examples = _examples(source)
  assert not source.reads
  examples.take(5)
  assert len(source.reads) == 5
  examples.take(4)  # Of those that are in memory.
  assert len(source.reads) == 5
  source.reads.clear()
  batches = examples.training_batches(4, seed=1)
  for step in range(3):
    batches.batch(step)
  # Three batches, and at most three that are made ahead.
  assert len(source.reads) <= 24 < _NUM_IMAGES


def test_reading_in_batches_stops_when_it_is_left(source):
  reading = _examples(source).batches(10)
  next(reading)
  reading.close()
  assert len(source.reads) <= 20


def test_a_batch_is_a_function_of_seed_and_step(source):
  examples = _examples(source)
  straight = examples.training_batches(8, seed=3)
  assert straight.steps_per_epoch == 7
  expected = [straight.batch(step) for step in range(16)]
  resumed = examples.training_batches(8, seed=3)
  # As after a restart in the middle of the second epoch, and in any order.
  for step in (10, 11, 12, 13, 14, 15, 2, 9, 0, 8):
    images, labels = resumed.batch(step)
    assert images.shape == (8, *_SIZE, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected[step][0])
    np.testing.assert_array_equal(labels, expected[step][1])
  other = examples.training_batches(8, seed=4).batch(0)
  assert not np.array_equal(other[0], expected[0][0])


def test_an_epoch_draws_no_image_twice_and_mirrors_half(source):
  examples = _examples(source, _WHOLE)
  plain = {
      _WHOLE.training_image(
          tf.constant(file), _SIZE, tf.constant([0, 0]), tf.constant(mirrored)
      )
      .numpy()
      .tobytes(): (index, mirrored)
      for index, file in enumerate(source.files)
      for mirrored in (False, True)
  }
  batches = examples.training_batches(10, seed=2)
  orders, num_mirrored = [], 0
  for epoch in range(3):
    found = []
    for step in range(6 * epoch, 6 * epoch + 6):
      images, labels = batches.batch(step)
      drawn = [plain[image.tobytes()] for image in images]
      np.testing.assert_array_equal(
          labels, [source.labels[index] for index, _ in drawn]
      )
      found += drawn
    assert sorted(index for index, _ in found) == list(range(_NUM_IMAGES))
    num_mirrored += sum(mirrored for _, mirrored in found)
    orders.append([index for index, _ in found])
  assert orders[0] != orders[1] != orders[2]
  assert 65 < num_mirrored < 115  # Of 180: four standard deviations.


def test_an_image_is_cut_out_anew_in_every_epoch(source):
  examples = _examples(source, indices=np.array([3]))
  batches = examples.training_batches(1, seed=0)
  seen = {batches.batch(step)[0].tobytes() for step in range(12)}
  assert len(seen) == 12


def test_damaged_images_and_wrong_labels_are_named(source):
  files = list(imagenet_mock.jpegs(12, _NUM_CLASSES))
  files[5] = (files[5][0], 0, b'no image at all')
  examples = _examples(_ListedImages(files))
  name = files[5][0]
  with pytest.raises(ValueError, match=f"listed: image '{name}' of 15 bytes"):
    examples.take(12)
  with pytest.raises(ValueError, match=f"listed: image '{name}' of 15 bytes"):
    examples.training_batches(12, seed=0).batch(0)
  wrong = _ListedImages(files[6:7] + [('odd', 9, files[7][2])])
  with pytest.raises(ValueError, match="labels from 0 to 6, image 'odd' has 9"):
    _examples(wrong).take(2)


def test_requests_that_cannot_be_met_are_refused(source):
  examples = _examples(source)
  for method in (examples.take, examples.subset):
    with pytest.raises(ValueError, match='0 to 60 examples, asked for 61'):
      method(61)
  with pytest.raises(ValueError, match='from 1 to 60 .*got 61'):
    examples.training_batches(61, seed=0)
  with pytest.raises(ValueError, match="'mnasnet' are augmented by that"):
    examples.training_batches(4, 0, training_batches.NO_AUGMENTATION)


def test_a_split_that_would_fill_the_memory_is_not_decoded(source):
  large = streamed_examples.StreamedExamples(
      source, np.zeros(50_000, np.int64), (224, 224), preprocessing.MNASNET
  )
  with pytest.raises(ValueError, match='50000 images .* 7.5 GB.*in batches'):
    _ = large.images
  assert not source.reads


def test_a_data_set_takes_streamed_splits(source):
  examples = _examples(source)
  data = datasets.Dataset('x', tuple('abcdefg'), examples, examples, examples)
  assert data.image_shape == (24, 24, 3)
  assert data.num_classes == 7
  assert not source.reads
