"""Images named in a list: `csv:<path>`, a file of `file,label[,split]` lines.

The list has a header. Files lie beside it; labels are numbers from 0. `split`
is 'train' or 'test'; without that column the first image goes to train, the
second to test and so on, so that a small labelled sample falls into two halves.

Images are prepared as the evaluation of ImageNet networks does it: the central
square of 87.5 % of the shorter side, resized by a bicubic filter.
"""

from __future__ import annotations

import csv
import pathlib

import numpy as np

SPLITS = ('train', 'test')
# 224 of 256.
_CENTRAL_SHARE = 0.875
_Images = tuple[np.ndarray, np.ndarray]


def read(
    path: pathlib.Path, image_size: tuple[int, int] | None
) -> dict[str, _Images]:
  """Returns split -> (uint8 [N, H, W, 3], int [N]).

  Args:
    path: the list.
    image_size: (height, width) of the result.

  Raises:
    FileNotFoundError: the list or an image is not there.
    ValueError: the list does not have the form above, a split is empty, or
      there is no image size.
  """
  if not path.is_file():
    raise FileNotFoundError(f"data set 'csv:{path}': found no such file")
  if image_size is None:
    raise ValueError(
        f"data set 'csv:{path}': expected an image size; it comes with "
        '--float_model, or give --image_size=HEIGHT,WIDTH'
    )
  rows = _rows(path)
  examples = {}
  for split in SPLITS:
    chosen = [(name, label) for name, label, own in rows if own == split]
    if not chosen:
      raise ValueError(f"data set 'csv:{path}': no image in split '{split}'")
    examples[split] = (
        np.stack([_image(path.parent / n, image_size) for n, _ in chosen]),
        np.array([label for _, label in chosen], np.int32),
    )
  return examples


def _rows(path: pathlib.Path) -> list[tuple[str, int, str]]:
  """Returns (file, label, split) of each line."""
  rows = []
  with path.open(newline='', encoding='utf-8') as lines:
    for index, row in enumerate(csv.DictReader(lines)):
      split = row.get('split') or SPLITS[index % 2]
      label = row.get('label') or ''
      if not row.get('file') or not label.isdigit() or split not in SPLITS:
        raise ValueError(
            f"data set 'csv:{path}', line {index + 2}: expected the columns "
            f'file, label (a number) and, optionally, split {SPLITS}, received '
            f'{dict(row)}'
        )
      rows.append((row['file'], int(label), split))
  return rows


def _image(path: pathlib.Path, size: tuple[int, int]) -> np.ndarray:
  import tensorflow as tf  # pylint: disable=import-outside-toplevel

  image = tf.io.decode_image(
      path.read_bytes(), channels=3, expand_animations=False
  )
  height, width, _ = image.shape
  side = round(min(height, width) * _CENTRAL_SHARE)
  top, left = (height - side) // 2, (width - side) // 2
  square = image[top : top + side, left : left + side]
  resized = tf.image.resize(square, size, 'bicubic', antialias=True)
  return tf.cast(
      tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8
  ).numpy()
