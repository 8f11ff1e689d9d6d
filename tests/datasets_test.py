"""Tests of data sets and of the input contract."""

import gzip
import struct

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfmpq import dataset_sources
from tfmpq import datasets
from tfmpq import fashion_mnist

_NO_NETWORK = 'no data set is downloaded in tests'


def _random_arrays(num_train=240, num_test=40, shape=(28, 28), classes=10):
  rng = np.random.default_rng(7)
  return {
      'x_train': rng.integers(0, 256, (num_train, *shape), np.uint8),
      'y_train': (np.arange(num_train) % classes).astype(np.uint8),
      'x_test': rng.integers(0, 256, (num_test, *shape), np.uint8),
      'y_test': (np.arange(num_test) % classes).astype(np.uint8),
  }


def _write_idx(path, array):
  header = struct.pack('>HBB', 0, 8, array.ndim)
  header += struct.pack(f'>{array.ndim}I', *array.shape)
  with gzip.open(path, 'wb') as file:
    file.write(header + array.tobytes())


def _write_idx_files(folder, arrays):
  folder.mkdir()
  for split, prefix in (('train', 'train'), ('test', 't10k')):
    _write_idx(folder / f'{prefix}-images-idx3-ubyte.gz', arrays[f'x_{split}'])
    _write_idx(folder / f'{prefix}-labels-idx1-ubyte.gz', arrays[f'y_{split}'])


def _save_npz(tmp_path, **arrays):
  np.savez(tmp_path / 'data.npz', **arrays)
  return f'npz:{tmp_path / "data.npz"}'


def _image_keys(examples):
  return {image.tobytes() for image in examples.images}


# --- Input contract.


def test_input_code_is_pixel_minus_128_and_real_is_code_over_128():
  pixels = np.arange(256, dtype=np.uint8)
  codes = datasets.to_codes(pixels)
  assert codes.dtype == np.int8
  np.testing.assert_array_equal(codes, np.arange(-128, 128))
  inputs = datasets.to_input(pixels)
  assert inputs.dtype == np.float32
  np.testing.assert_array_equal(inputs * 128, codes)  # Exact in float32.


def test_pixels_that_are_not_uint8_are_refused():
  with pytest.raises(ValueError, match='uint8 pixels, got float32'):
    datasets.to_codes(np.zeros(3, np.float32))


# --- Splits.


def test_reward_split_is_a_twelfth_held_out_with_balanced_classes(tmp_path):
  data = datasets.load_dataset(_save_npz(tmp_path, **_random_arrays()))
  assert (len(data.train), len(data.reward), len(data.test)) == (220, 20, 40)
  np.testing.assert_array_equal(np.bincount(data.reward.labels), [2] * 10)
  assert not _image_keys(data.train) & _image_keys(data.reward)
  assert data.image_shape == (28, 28, 1)
  assert data.num_classes == 10


def test_splits_do_not_depend_on_the_order_of_the_source(tmp_path):
  arrays = _random_arrays()
  order = np.random.default_rng(1).permutation(len(arrays['x_train']))
  shuffled = dict(
      arrays,
      x_train=arrays['x_train'][order],
      y_train=arrays['y_train'][order],
  )
  first = datasets.load_dataset(_save_npz(tmp_path, **arrays))
  second = datasets.load_dataset(_save_npz(tmp_path, **shuffled))
  for split in ('train', 'reward', 'test'):
    a, b = getattr(first, split), getattr(second, split)
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.labels, b.labels)


def test_images_keep_their_labels(tmp_path):
  arrays = _random_arrays()
  arrays['x_train'][:, 0, 0] = arrays['y_train']  # The image tells its label.
  data = datasets.load_dataset(_save_npz(tmp_path, **arrays))
  for split in (data.train, data.reward):
    np.testing.assert_array_equal(split.images[:, 0, 0, 0], split.labels)


def test_reward_split_has_the_requested_size_for_unequal_classes():
  images = _random_arrays(num_train=100)['x_train'][..., None]
  labels = np.repeat([0, 1], [90, 10])
  source = dataset_sources.SourceData(
      ('a', 'b'), images, labels, images[:5], labels[:5]
  )
  data = datasets.make_dataset('unequal', source, num_reward=20)
  np.testing.assert_array_equal(np.bincount(data.reward.labels), [18, 2])


def test_too_many_reward_images_are_refused(tmp_path):
  name = _save_npz(tmp_path, **_random_arrays())
  with pytest.raises(ValueError, match='1 to 239 reward images.*got 240'):
    datasets.load_dataset(name, num_reward=240)


def test_take_returns_the_first_examples_and_refuses_more_than_there_are():
  images = np.zeros((3, 2, 2, 1), np.uint8)
  examples = datasets.Examples(images, np.arange(3, dtype=np.int32))
  np.testing.assert_array_equal(examples.take(2).labels, [0, 1])
  with pytest.raises(ValueError, match='0 to 3 examples, asked for 4'):
    examples.take(4)


# --- Sources.


def test_fashion_mnist_files_are_converted_once_then_read_from_tfds(
    tmp_path, monkeypatch
):
  arrays = _random_arrays()
  _write_idx_files(tmp_path / 'debian', arrays)
  builder = fashion_mnist.prepare(tmp_path / 'cache', tmp_path / 'debian')
  assert builder.is_prepared()
  for file in (tmp_path / 'debian').iterdir():
    file.unlink()  # From here on, only the prepared data set exists.
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'cache'))
  data = datasets.load_dataset('fashion_mnist')
  expected = datasets.load_dataset(_save_npz(tmp_path, **arrays))
  assert data.class_names == fashion_mnist.CLASS_NAMES
  np.testing.assert_array_equal(data.reward.images, expected.reward.images)
  np.testing.assert_array_equal(data.test.images, expected.test.images)
  np.testing.assert_array_equal(data.test.labels, expected.test.labels)


def test_absent_fashion_mnist_says_where_it_looked_and_what_to_do(
    tmp_path, monkeypatch
):
  monkeypatch.setattr(fashion_mnist, 'DEBIAN_DIR', tmp_path / 'debian')
  with pytest.raises(FileNotFoundError) as error:
    datasets.load_dataset(data_dir=tmp_path / 'cache')
  message = str(error.value)
  for part in (
      str(tmp_path / 'cache'),
      'train-images-idx3-ubyte.gz',
      f'in {tmp_path / "debian"}.',
      'apt-get install dataset-fashion-mnist',
      '--download',
  ):
    assert part in message


def test_downloaded_fashion_mnist_is_read_where_the_package_is_absent(
    tmp_path, monkeypatch
):
  monkeypatch.setattr(fashion_mnist, 'DEBIAN_DIR', tmp_path / 'debian')
  _write_idx_files(tmp_path / 'idx', _random_arrays())
  downloaded = []

  class FakeTfdsBuilder:
    """Stands in for tfds' own builder, which would fetch 30 MB."""

    name = 'fashion_mnist'

    @property
    def info(self):
      return downloaded[0].info

    def is_prepared(self):
      return bool(downloaded)

    def download_and_prepare(self):
      downloaded.append(
          fashion_mnist.prepare(tmp_path / 'downloaded', tmp_path / 'idx')
      )

    def as_dataset(self, split):
      return downloaded[0].as_dataset(split=split)

  monkeypatch.setattr(tfds, 'builder', lambda name, data_dir: FakeTfdsBuilder())
  with pytest.raises(FileNotFoundError):
    datasets.load_dataset(data_dir=tmp_path / 'cache')
  assert not downloaded
  first = datasets.load_dataset(data_dir=tmp_path / 'cache', download=True)
  again = datasets.load_dataset(data_dir=tmp_path / 'cache')
  assert len(downloaded) == 1
  assert len(first.test) == 40
  np.testing.assert_array_equal(first.test.images, again.test.images)


def test_damaged_idx_file_is_refused(tmp_path):
  path = tmp_path / 'images.gz'
  with gzip.open(path, 'wb') as file:
    file.write(struct.pack('>HBBI', 0, 8, 1, 10) + bytes(9))
  with pytest.raises(ValueError, match=r'10 elements .* found 9; .* damaged'):
    fashion_mnist.read_idx(path)
  with gzip.open(path, 'wb') as file:
    file.write(struct.pack('>HBBI', 0, 13, 1, 0))
  with pytest.raises(ValueError, match='idx file of uint8'):
    fashion_mnist.read_idx(path)


def test_tfds_data_set_is_never_downloaded_unasked(tmp_path, monkeypatch):
  def refuse(*args, **kwargs):
    raise AssertionError(_NO_NETWORK)

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', refuse)
  with pytest.raises(FileNotFoundError, match="'tfds:cifar10'.*--download"):
    datasets.load_dataset('tfds:cifar10', data_dir=tmp_path)
  with pytest.raises(ValueError, match="did you mean 'cifar10'"):
    datasets.load_dataset('tfds:cifar-10', data_dir=tmp_path)


def test_tfds_data_set_is_read(tmp_path):
  # Any prepared tfds data set will do; this one can be made without network.
  _write_idx_files(tmp_path / 'idx', _random_arrays())
  fashion_mnist.prepare(tmp_path / 'cache', tmp_path / 'idx')
  data = datasets.load_dataset(
      'tfds:local_fashion_mnist', data_dir=tmp_path / 'cache'
  )
  assert data.image_shape == (28, 28, 1)
  assert data.class_names[-1] == 'Ankle boot'
  assert (len(data.train), len(data.reward), len(data.test)) == (220, 20, 40)


def _write_folder(root, sizes=((6, 4),)):
  rng = np.random.default_rng(11)
  for split, num in (('train', 6), ('test', 2)):
    for label in ('cat', 'dog'):
      (root / split / label).mkdir(parents=True)
      for i in range(num):
        width, height = sizes[i % len(sizes)]
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        path = root / split / label / f'{i}.png'
        path.write_bytes(tf.io.encode_png(pixels).numpy())


def test_folder_is_read_with_its_class_names(tmp_path):
  _write_folder(tmp_path)
  data = datasets.load_dataset(f'folder:{tmp_path}')
  assert data.class_names == ('cat', 'dog')
  assert data.image_shape == (4, 6, 3)
  assert (len(data.train), len(data.reward), len(data.test)) == (11, 1, 4)


def test_folder_of_different_sizes_needs_an_image_size(tmp_path):
  _write_folder(tmp_path, sizes=((6, 4), (8, 8)))
  with pytest.raises(ValueError, match='images of one shape.*--image_size'):
    datasets.load_dataset(f'folder:{tmp_path}')
  data = datasets.load_dataset(f'folder:{tmp_path}', image_size=(5, 7))
  assert data.image_shape == (5, 7, 3)


def test_folder_without_test_images_is_refused(tmp_path):
  (tmp_path / 'train').mkdir()
  with pytest.raises(FileNotFoundError, match='test, found no such folder'):
    datasets.load_dataset(f'folder:{tmp_path}')


def test_npz_without_an_array_is_refused(tmp_path):
  arrays = _random_arrays()
  del arrays['y_test']
  with pytest.raises(ValueError, match=r"missing \['y_test'\]"):
    datasets.load_dataset(_save_npz(tmp_path, **arrays))
  with pytest.raises(FileNotFoundError, match='absent.npz'):
    datasets.load_dataset(f'npz:{tmp_path / "absent.npz"}')


def test_npz_of_floats_is_refused(tmp_path):
  arrays = _random_arrays()
  arrays['x_train'] = arrays['x_train'] / 255
  with pytest.raises(ValueError, match='type uint8.*got float64'):
    datasets.load_dataset(_save_npz(tmp_path, **arrays))


def test_test_labels_beyond_the_training_classes_are_refused(tmp_path):
  arrays = _random_arrays()
  arrays['y_test'][3] = 10
  with pytest.raises(ValueError, match="split 'test': .*from 0 to 9, found 0"):
    datasets.load_dataset(_save_npz(tmp_path, **arrays))


def test_unknown_data_set_names_the_nearest():
  with pytest.raises(ValueError, match="did you mean 'fashion_mnist'"):
    datasets.load_dataset('fashion-mnist')


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN_DIR.is_dir(),
    reason='needs the Debian package dataset-fashion-mnist',
)
def test_debian_package_has_the_documented_splits():
  arrays = [
      fashion_mnist.read_idx(fashion_mnist.DEBIAN_DIR / name)
      for name in (
          'train-images-idx3-ubyte.gz',
          'train-labels-idx1-ubyte.gz',
          't10k-images-idx3-ubyte.gz',
          't10k-labels-idx1-ubyte.gz',
      )
  ]
  arrays[0], arrays[2] = arrays[0][..., None], arrays[2][..., None]
  data = datasets.make_dataset(
      'package',
      dataset_sources.SourceData(fashion_mnist.CLASS_NAMES, *arrays),
  )
  for split, per_class in (('train', 5500), ('reward', 500), ('test', 1000)):
    examples = getattr(data, split)
    assert examples.images.shape == (10 * per_class, 28, 28, 1)
    np.testing.assert_array_equal(
        np.bincount(examples.labels), [per_class] * 10
    )
