"""Tests of tfds_builders: prepared data sets, or what has to lie where."""

import json
import re
import time

import pytest
import tensorflow_datasets as tfds

from tests import imagenet_mock
from tfmpq import tfds_builders


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
  def refuse(*args, **kwargs):
    raise AssertionError('no data set is downloaded in tests')

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', refuse)


def _refusal(error_type, function, *arguments):
  """Returns the message, which must come at once."""
  start = time.monotonic()
  with pytest.raises(error_type) as error:
    function(*arguments)
  assert time.monotonic() - start < 20
  return str(error.value)


def test_prepared_imagenet_is_found_by_name_and_by_folder(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 6, 3)
  by_name = tfds_builders.open_named(
      'imagenet2012', tfds_builders.Places(tmp_path)
  )
  by_folder = tfds_builders.open_directory(path)
  for builder in (by_name, by_folder):
    assert tfds_builders.is_imagenet_name(builder.name)
    assert builder.info.splits['train'].num_examples == 6
    assert tfds_builders.test_split(builder) == 'validation'
    tfds_builders.require_images(builder)
    assert builder.info.features['label'].names[0] == 'n01440764'


def test_absent_imagenet_says_where_it_was_looked_for_and_what_to_do(tmp_path):
  places = tfds_builders.Places(tmp_path)
  message = _refusal(
      FileNotFoundError, tfds_builders.open_named, 'imagenet2012', places
  )
  for part in (
      f'looked in {tmp_path}',
      '--data_dir',
      '--dataset=builder_dir:<path>',
      'ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar',
      f'into {tmp_path}/downloads/manual (or --manual_dir)',
      '--download',
  ):
    assert part in message


def test_missing_archives_are_named_before_anything_is_prepared(tmp_path):
  manual = tmp_path / 'archives'
  manual.mkdir()
  (manual / 'ILSVRC2012_img_train.tar').write_bytes(b'')
  places = tfds_builders.Places(tmp_path / 'data', True, manual)
  message = _refusal(
      FileNotFoundError, tfds_builders.open_named, 'imagenet2012', places
  )
  assert f'in {manual} (or --manual_dir)' in message
  # tfds itself would go on without the validation images.
  assert "did not find ['ILSVRC2012_img_val.tar']" in message
  assert 'https://image-net.org' in message


def test_with_all_archives_in_place_the_data_set_is_prepared(
    tmp_path, monkeypatch
):
  for name in ('train', 'val'):
    (tmp_path / f'ILSVRC2012_img_{name}.tar').write_bytes(b'')
  calls = []
  monkeypatch.setattr(
      tfds.core.DatasetBuilder,
      'download_and_prepare',
      lambda self, download_config: calls.append(download_config.manual_dir),
  )
  tfds_builders.open_named(
      'imagenet2012', tfds_builders.Places(tmp_path / 'data', True, tmp_path)
  )
  assert calls == [tmp_path]


def test_a_folder_that_is_no_data_set_is_refused_with_a_hint(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 4, 2)
  for wrong, hint in (
      (path.parent, f"did you mean 'builder_dir:{path}'?"),
      (tmp_path / 'absent', 'there is no such folder'),
  ):
    message = _refusal(FileNotFoundError, tfds_builders.open_directory, wrong)
    assert 'expected dataset_info.json, features.json' in message
    assert hint in message
  (path / 'features.json').unlink()
  message = _refusal(FileNotFoundError, tfds_builders.open_directory, path)
  assert "did not find ['features.json'], only [" in message


def test_imagenet_without_validation_images_is_refused(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 4, 0)
  builder = tfds_builders.open_directory(path)
  message = _refusal(ValueError, tfds_builders.test_split, builder)
  assert 'expected the splits train and validation' in message
  assert "found ['train']" in message


def test_the_unlabelled_test_images_of_imagenet_are_not_used(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 4, 2)
  info = json.loads((path / 'dataset_info.json').read_text())
  split = dict(info['splits'][1], name='test')
  info['splits'].append(split)
  (path / 'dataset_info.json').write_text(json.dumps(info))
  builder = tfds_builders.open_directory(path)
  assert 'test' in builder.info.splits
  assert tfds_builders.test_split(builder) == 'validation'


def test_data_sets_without_images_or_labels_are_refused(tmp_path):
  path = imagenet_mock.write_builder_dir(tmp_path, 4, 2)
  features = path / 'features.json'
  features.write_text(re.sub('"label"', '"target"', features.read_text()))
  builder = tfds_builders.open_directory(path)
  message = _refusal(ValueError, tfds_builders.require_images, builder)
  assert "expected the features 'image' and 'label'" in message
