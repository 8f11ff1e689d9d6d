"""Tests of data_loading: large data sets are streamed, small ones are not."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests import imagenet_mock
from tfmpq import data_loading
from tfmpq import datasets
from tfmpq import preprocessing
from tfmpq import streamed_examples
from tfmpq import tfds_builders

_SIZE = (32, 32)


@pytest.fixture(name='imagenet', scope='module')
def _imagenet(tmp_path_factory):
  """A folder for --data_dir with ImageNet's names."""
  folder = tmp_path_factory.mktemp('imagenet')
  imagenet_mock.write_builder_dir(folder, 50, 12, num_shards=3)
  return folder


def _request(folder, name='tfds:imagenet2012', **changes):
  fields = {'image_size': _SIZE, 'model': 'mobilenet_v1', 'num_reward': 10}
  return data_loading.Request(
      name, tfds_builders.Places(folder), **(fields | changes)
  )


def _keys(examples):
  return {image.tobytes() for image in examples.images}


def test_imagenet_is_streamed_with_its_class_names(imagenet):
  data = data_loading.load(_request(imagenet))
  assert isinstance(data.train, streamed_examples.StreamedExamples)
  assert (len(data.train), len(data.reward), len(data.test)) == (40, 10, 12)
  assert data.num_classes == 1000 and data.class_names[0] == 'n01440764'
  assert data.image_shape == (*_SIZE, 3)


def test_reward_images_are_no_training_images(imagenet):
  data = data_loading.load(_request(imagenet))
  train, reward = _keys(data.train), _keys(data.reward)
  assert (len(train), len(reward)) == (40, 10)
  assert not train & reward
  # Fewer reward images are the first of them.
  fewer = data_loading.load(_request(imagenet, num_reward=4))
  np.testing.assert_array_equal(fewer.reward.images, data.reward.take(4).images)
  again = data_loading.load(_request(imagenet))
  np.testing.assert_array_equal(again.reward.images, data.reward.images)
  np.testing.assert_array_equal(
      again.train.take(7).images, data.train.take(7).images
  )


def test_streamed_images_equal_those_that_tfds_decodes(imagenet):
  data = data_loading.load(_request(imagenet))
  expected = {
      preprocessing.INCEPTION.evaluation_image(
          tf.io.encode_png(example['image']), _SIZE
      )
      .numpy()
      .tobytes(): int(example['label'])
      for example in tfds.builder('imagenet2012', data_dir=imagenet).as_dataset(
          split='validation'
      )
  }
  # Half of the sizes are multiples of 16, whose parts decode alike.
  found = {
      image.tobytes(): int(label)
      for image, label in zip(data.test.images, data.test.labels, strict=True)
  }
  same = found.keys() & expected.keys()
  assert len(same) >= 4
  assert {key: found[key] for key in same} == {k: expected[k] for k in same}
  assert sorted(found.values()) == sorted(expected.values())


def test_every_way_to_name_the_data_gives_the_same_splits(imagenet):
  by_name = data_loading.load(_request(imagenet))
  path = imagenet / 'imagenet2012' / '5.1.0'
  by_folder = data_loading.load(_request(imagenet, f'builder_dir:{path}'))
  for split in ('train', 'reward', 'test'):
    np.testing.assert_array_equal(
        getattr(by_name, split).images, getattr(by_folder, split).images
    )
    np.testing.assert_array_equal(
        getattr(by_name, split).labels, getattr(by_folder, split).labels
    )


def test_copies_change_nothing(imagenet, tmp_path):
  plain = data_loading.load(_request(imagenet))
  copied = data_loading.load(_request(imagenet, cache_dir=tmp_path))
  np.testing.assert_array_equal(plain.reward.images, copied.reward.images)
  assert len([p for p in tmp_path.rglob('*') if p.is_file()]) == 6


def test_the_family_decides_how_images_of_imagenet_are_prepared(imagenet):
  found = {
      model: data_loading.load(_request(imagenet, model=model)).test.images
      for model in ('mobilenet_v1', 'mobilenet_v2', 'mnasnet_b1')
  }
  np.testing.assert_array_equal(found['mobilenet_v1'], found['mobilenet_v2'])
  assert (found['mobilenet_v1'] != found['mnasnet_b1']).any()
  asked = data_loading.load(_request(imagenet, preprocessing='mnasnet'))
  np.testing.assert_array_equal(asked.test.images, found['mnasnet_b1'])
  with pytest.raises(ValueError, match='preprocessing=inception'):
    data_loading.load(_request(imagenet, model=''))


def test_without_preprocessing_imagenet_is_resized_in_memory(imagenet):
  data = data_loading.load(_request(imagenet, preprocessing='none'))
  assert isinstance(data.train, datasets.Examples)
  assert data.image_shape == (*_SIZE, 3)


def test_a_split_that_would_fill_the_memory_names_the_flag(
    imagenet, monkeypatch
):
  monkeypatch.setattr('tfmpq.dataset_sources._LARGEST_BYTES', 50 * 32 * 32)
  with pytest.raises(ValueError, match='50 images .*--preprocessing=inception'):
    data_loading.load(_request(imagenet, preprocessing='none'))


def test_a_folder_is_streamed_where_a_preprocessing_is_named(tmp_path):
  folder = imagenet_mock.write_folder(tmp_path, 30, 6, 3)
  name = f'folder:{folder}'
  data = data_loading.load(_request(tmp_path, name, preprocessing='mnasnet'))
  assert isinstance(data.train, streamed_examples.StreamedExamples)
  assert (len(data.train), len(data.reward), len(data.test)) == (20, 10, 6)
  assert data.class_names == ('class_0000', 'class_0001', 'class_0002')
  assert not _keys(data.train) & _keys(data.reward)
  small = data_loading.load(_request(tmp_path, name))
  assert isinstance(small.train, datasets.Examples)


def test_small_data_sets_are_what_they_were(tmp_path):
  rng = np.random.default_rng(3)
  arrays = {
      'x_train': rng.integers(0, 256, (48, 8, 8, 1), np.uint8),
      'y_train': np.arange(48) % 3,
      'x_test': rng.integers(0, 256, (6, 8, 8, 1), np.uint8),
      'y_test': np.arange(6) % 3,
  }
  np.savez(tmp_path / 'data.npz', **arrays)
  name = f'npz:{tmp_path / "data.npz"}'
  found = data_loading.load(_request(tmp_path, name, image_size=None))
  expected = datasets.load_dataset(name)
  for split in ('train', 'reward', 'test'):
    np.testing.assert_array_equal(
        getattr(found, split).images, getattr(expected, split).images
    )
  with pytest.raises(ValueError, match='for photographs.*preprocessing=none'):
    data_loading.load(_request(tmp_path, name, preprocessing='mnasnet'))


def test_requests_that_cannot_be_met_are_refused(imagenet, tmp_path):
  with pytest.raises(ValueError, match='expected an image size'):
    data_loading.load(_request(imagenet, image_size=None))
  for num_reward in (0, 50):
    with pytest.raises(ValueError, match='1 to 49 reward images .*of 50'):
      data_loading.load(_request(imagenet, num_reward=num_reward))
  with pytest.raises(FileNotFoundError, match='ILSVRC2012_img_train.tar'):
    data_loading.load(_request(tmp_path))
  with pytest.raises(FileNotFoundError, match='no such folder'):
    data_loading.load(
        _request(tmp_path, f'folder:{tmp_path}', preprocessing='inception')
    )


def test_test_images_can_be_fewer(imagenet):
  data = data_loading.load(_request(imagenet))
  fewer = data_loading.load(_request(imagenet, num_test=5))
  np.testing.assert_array_equal(fewer.test.images, data.test.images[:5])
  with pytest.raises(ValueError, match='12 test images, --num_test_images=13'):
    data_loading.load(_request(imagenet, num_test=13))


def test_reward_images_may_be_training_images(imagenet):
  data = data_loading.load(_request(imagenet, reward_from_train=True))
  assert (len(data.train), len(data.reward)) == (50, 10)
  np.testing.assert_array_equal(data.train.take(10).images, data.reward.images)
