"""Tests of labelled_files: images named in a list."""

import numpy as np
import pytest
import tensorflow as tf

from tfmpq import datasets


def _write(folder, rows, header='file,label'):
  """Writes images whose centre shows their label; the rest is white."""
  for index, row in enumerate(rows):
    image = np.full((80 + index, 64, 3), 255, np.uint8)
    # 7/8 of 64 pixels are 56; the central square is all that counts.
    top, left = (len(image) - 56) // 2, (64 - 56) // 2
    image[top : top + 56, left : left + 56] = 10 * int(row.split(',')[1])
    tf.io.write_file(str(folder / row.split(',')[0]), tf.io.encode_png(image))
  (folder / 'labels.csv').write_text('\n'.join([header, *rows]) + '\n')
  return f'csv:{folder / "labels.csv"}'


def _rows(count):
  return [f'{i}.png,{2 * i}' for i in range(count)]


def test_rows_fall_into_two_halves_by_turns(tmp_path):
  name = _write(tmp_path, _rows(6))
  data = datasets.load_dataset(name, image_size=(7, 7), reward_from_train=True)
  assert data.image_shape == (7, 7, 3)
  assert data.num_classes == 11
  assert sorted(data.train.labels) == [0, 4, 8]
  assert sorted(data.test.labels) == [2, 6, 10]
  for examples in (data.train, data.test):
    expected = 10 * examples.labels.reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(
        examples.images, np.broadcast_to(expected, examples.images.shape)
    )
  assert data.reward is data.train


def test_a_column_names_the_splits(tmp_path):
  rows = [
      f'{row},{"test" if i < 2 else "train"}' for i, row in enumerate(_rows(6))
  ]
  name = _write(tmp_path, rows, 'file,label,split')
  data = datasets.load_dataset(name, image_size=(8, 4), num_reward=1)
  assert sorted(data.test.labels) == [0, 2]
  assert len(data.train) == 3 and len(data.reward) == 1
  assert data.image_shape == (8, 4, 3)


def test_wrong_lists_are_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match='found no such file'):
    datasets.load_dataset(f'csv:{tmp_path}/none.csv', image_size=(4, 4))
  name = _write(tmp_path, _rows(2))
  with pytest.raises(ValueError, match='expected an image size'):
    datasets.load_dataset(name)
  for rows, header, message in (
      (['0.png,cat'], 'file,label', 'line 2: expected the columns'),
      (['0.png,1'], 'name,label', 'line 2: expected the columns'),
      (['0.png,1,dev'], 'file,label,split', 'line 2: expected the columns'),
      (['0.png,1'], 'file,label', "no image in split 'test'"),
  ):
    text = '\n'.join([header, *rows]) + '\n'
    (tmp_path / 'labels.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
      datasets.load_dataset(name, image_size=(4, 4))
