"""Writes a small data set that looks to every program like ImageNet.

    imagenet_mock.write_builder_dir(folder, num_train=64, num_test=16)

prepares JPEGs of varied sizes as tfds prepares imagenet2012: the same features,
the same 1000 class names, TFRecord files, no network. The return value is the
folder of the prepared data set. A run is pointed to it in one of two ways:

    --dataset=tfds:imagenet2012 --data_dir=<folder>     as the configurations do
    --dataset=builder_dir:<return value>

so that `--config=paper_mobilenet_v1_... --data_dir=<folder>` needs nothing
else but fewer images: --num_reward_images=..., --num_calibration_images=...

`write_folder` writes the same images as <folder>/{train,test}/<class>/*.jpg,
for --dataset=folder:<folder>.

An image says which class it is of: the hue and the number of its stripes
depend on the label alone, everything else is random.
"""

from __future__ import annotations

from collections.abc import Iterator
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.datasets.imagenet2012 import imagenet_common

NUM_CLASSES = 1000
# (height, width): landscape, portrait, square and a tiny one.
SIZES = ((75, 100), (120, 80), (96, 96), (64, 90), (33, 40))
_JPEG_QUALITY = 90
_NAME, _VERSION = 'imagenet2012', '5.1.0'


def jpegs(
    num_images: int,
    num_classes: int = NUM_CLASSES,
    seed: int = 0,
    sizes: tuple[tuple[int, int], ...] = SIZES,
) -> Iterator[tuple[str, int, bytes]]:
  """Yields (file name, label, JPEG) of images whose size and label vary.

  Args:
    num_images: how many.
    num_classes: labels are spread evenly over 0..num_classes - 1.
    seed: another one, other images.
    sizes: (height, width), taken by turns.
  """
  rng = np.random.default_rng(seed)
  for index in range(num_images):
    # The step is prime: few images have distant labels, many have them all.
    label = (index * 379 + seed) % num_classes
    pixels = _pixels(rng, label, *sizes[index % len(sizes)])
    if index % 7 == 6:
      # As some of ImageNet are.
      pixels = pixels.mean(-1, keepdims=True).astype(np.uint8)
    jpeg = tf.io.encode_jpeg(pixels, quality=_JPEG_QUALITY).numpy()
    yield f'n{label:08d}_{seed}_{index}.JPEG', label, jpeg


def write_builder_dir(
    path,
    num_train: int,
    num_test: int,
    num_classes: int = NUM_CLASSES,
    seed: int = 0,
    num_shards: int = 2,
    sizes: tuple[tuple[int, int], ...] = SIZES,
) -> pathlib.Path:
  """Writes <path>/imagenet2012/5.1.0 and returns that folder.

  Args:
    path: what --data_dir is given.
    num_train: images of split 'train'.
    num_test: images of split 'validation'; 0: there is no such split.
    num_classes: 1000 for ImageNet's class names, otherwise they are numbers.
    seed: of the images.
    num_shards: record files of each split.
    sizes: (height, width) of the images, taken by turns.
  """
  folder = pathlib.Path(path) / _NAME / _VERSION
  folder.mkdir(parents=True)
  classes = {'num_classes': num_classes}
  if num_classes == NUM_CLASSES:
    classes = {'names_file': imagenet_common.label_names_file()}
  features = tfds.features.FeaturesDict(
      {
          'image': tfds.features.Image(encoding_format='jpeg'),
          'label': tfds.features.ClassLabel(**classes),
          'file_name': tfds.features.Text(),
      }
  )
  infos = []
  for index, (split, count) in enumerate(
      (('train', num_train), ('validation', num_test))
  ):
    if count:
      images = jpegs(count, num_classes, seed + 1000 * index, sizes)
      records = [
          features.serialize_example(
              {'file_name': name, 'image': jpeg, 'label': label}
          )
          for name, label, jpeg in images
      ]
      infos.append(_write_split(folder, split, records, num_shards))
  tfds.folder_dataset.write_metadata(
      data_dir=str(folder),
      features=features,
      split_infos=infos,
      supervised_keys=('image', 'label'),
      check_data=False,
  )
  return folder


def _write_split(folder, split: str, records, num_shards: int):
  """Deals records out to files and returns what tfds is told about them."""
  for index in range(num_shards):
    name = f'{_NAME}-{split}.tfrecord-{index:05d}-of-{num_shards:05d}'
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
      for record in records[index::num_shards]:
        writer.write(record)
  return tfds.core.SplitInfo(
      name=split,
      shard_lengths=[len(records[i::num_shards]) for i in range(num_shards)],
      num_bytes=sum(map(len, records)),
  )


def write_folder(
    path,
    num_train: int,
    num_test: int,
    num_classes: int,
    seed: int = 0,
    sizes: tuple[tuple[int, int], ...] = SIZES,
) -> pathlib.Path:
  """Writes <path>/{train,test}/<class>/<file> and returns `path`."""
  path = pathlib.Path(path)
  for index, (split, count) in enumerate(
      (('train', num_train), ('test', num_test))
  ):
    for label in range(num_classes):
      (path / split / f'class_{label:04d}').mkdir(parents=True, exist_ok=True)
    for name, label, jpeg in jpegs(
        count, num_classes, seed + 1000 * index, sizes
    ):
      (path / split / f'class_{label:04d}' / name).write_bytes(jpeg)
  return path


def _pixels(rng, label: int, height: int, width: int) -> np.ndarray:
  """Returns stripes, smooth noise and grain: uint8 [height, width, 3]."""
  across = np.linspace(0, 1, width)[None, :, None]
  down = np.linspace(0, 1, height)[:, None, None]
  tilt = rng.uniform(-0.5, 0.5)
  hue = 2 * np.pi * (label * 0.618 + np.arange(3) / 3)
  stripes = np.sin(2 * np.pi * (2 + label % 7) * (across + tilt * down))
  shade = rng.uniform(-40, 40, 3) * across + rng.uniform(-40, 40, 3) * down
  grain = rng.normal(0, 6, (height, width, 3))
  pixels = 128 + 55 * stripes * np.cos(hue) + 35 * np.sin(hue) + shade + grain
  return np.clip(pixels, 0, 255).astype(np.uint8)
