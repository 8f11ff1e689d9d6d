"""Tests of encoded_images: record files and folders of images."""

import pathlib

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests import imagenet_mock
from tfmpq import encoded_images


def _parsed(images, index):
  payload = tf.constant(images.read(index))
  file, label = images.parse(payload, tf.constant(index, tf.int64))
  return file.numpy(), int(label)


def test_records_are_the_images_that_tfds_reads_under_its_ids(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 23, 5, num_shards=3)
  builder = tfds.builder_from_directory(path)
  images = encoded_images.RecordImages(builder, 'train')
  assert images.num_classes == 1000
  expected = {
      example['tfds_id'].decode(): (example['image'], int(example['label']))
      for example in builder.as_dataset(
          split='train',
          read_config=tfds.ReadConfig(add_tfds_id=True),
          decoders={'image': tfds.decode.SkipDecoding()},
      ).as_numpy_iterator()
  }
  assert len(expected) == 23
  assert set(images.ids()) == set(expected)
  for index, name in enumerate(images.ids()):
    assert _parsed(images, index) == expected[name]


def test_records_are_read_from_copies_where_there_is_a_folder(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path / 'far', 6, 2)
  images = encoded_images.RecordImages(
      tfds.builder_from_directory(path), 'validation', tmp_path / 'near'
  )
  expected = encoded_images.RecordImages(
      tfds.builder_from_directory(path), 'validation'
  )
  copies = [p for p in (tmp_path / 'near').rglob('*') if p.is_file()]
  assert len(copies) == 2  # Of this split alone.
  for file in pathlib.Path(path).glob('*-validation*'):
    file.write_bytes(bytes(file.stat().st_size))
  assert images.ids() == expected.ids()
  assert _parsed(images, 0)[0].startswith(b'\xff\xd8')


def test_a_missing_record_file_is_named(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 6, 2, num_shards=3)
  (path / 'imagenet2012-train.tfrecord-00001-of-00003').unlink()
  builder = tfds.builder_from_directory(path)
  with pytest.raises(FileNotFoundError) as error:
    encoded_images.RecordImages(builder, 'train')
  assert "split 'train'" in str(error.value)
  assert 'the 3 files' in str(error.value)
  assert f'in {path}, found no imagenet2012-train' in str(error.value)
  assert '00001-of-00003' in str(error.value)


def test_a_folder_gives_files_and_labels_by_the_name_of_the_class(tmp_path):
  folder = imagenet_mock.write_folder(tmp_path, 12, 4, 3) / 'train'
  (folder / 'class_0001' / 'notes.txt').write_text('no image')
  names = encoded_images.class_folders(folder)
  assert names == ('class_0000', 'class_0001', 'class_0002')
  images = encoded_images.FolderImages(folder, names)
  assert len(images.ids()) == 12
  for index, name in enumerate(images.ids()):
    file, label = _parsed(images, index)
    assert file == (folder / name).read_bytes()
    assert name.startswith(names[label])


def test_labels_of_a_test_folder_are_those_of_the_training_classes(tmp_path):
  root = imagenet_mock.write_folder(tmp_path, 9, 3, 3)
  names = encoded_images.class_folders(root / 'train')
  for path in (root / 'test' / 'class_0000').iterdir():
    path.unlink()
  (root / 'test' / 'class_0000').rmdir()  # Without which others would move up.
  images = encoded_images.FolderImages(root / 'test', names)
  assert {_parsed(images, i)[1] for i in range(2)} == {1, 2}
  (root / 'test' / 'class_0009').mkdir()
  with pytest.raises(ValueError, match="the 3 classes .*'class_0009'"):
    encoded_images.FolderImages(root / 'test', names)


def test_files_of_a_folder_are_copied_when_they_are_first_read(tmp_path):
  folder = imagenet_mock.write_folder(tmp_path / 'far', 6, 2, 2) / 'train'
  names = encoded_images.class_folders(folder)
  images = encoded_images.FolderImages(folder, names, tmp_path / 'near')
  assert not (tmp_path / 'near').exists()
  assert images.read(2) == (folder / images.ids()[2]).read_bytes()
  assert len([p for p in (tmp_path / 'near').rglob('*') if p.is_file()]) == 1


def test_empty_folders_are_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match='one folder per class in'):
    encoded_images.class_folders(tmp_path / 'absent')
  (tmp_path / 'cat').mkdir()
  with pytest.raises(ValueError, match='expected files .jpg.*found none'):
    encoded_images.FolderImages(tmp_path, ('cat',))
