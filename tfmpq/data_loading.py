"""Reads any data set, small ones into memory and large ones when needed.

The small ones are those of `datasets`. A data set is large where photographs
are prepared as the authors of a family of networks do it (`preprocessing`):
tfds:imagenet2012, and any tfds:<name>, builder_dir:<path> or folder:<path>
with --preprocessing other than 'none'. Of those, no more is decoded than the
images that score policies, those for calibration, and the batch at hand.
"""

from __future__ import annotations

import dataclasses
import pathlib

from absl import logging

from tfmpq import dataset_sources
from tfmpq import datasets
from tfmpq import encoded_images
from tfmpq import preprocessing as preprocessing_lib
from tfmpq import streamed_examples
from tfmpq import tfds_builders

AUTO, NONE = 'auto', 'none'
_STREAMED_KINDS = ('tfds', 'builder_dir', 'folder')


@dataclasses.dataclass(frozen=True)
class Request:
  """What to read.

  Attributes:
    name: see `datasets.load_dataset`.
    places: where data sets lie.
    image_size: (height, width) of the result; None where all images have the
      same size.
    preprocessing: 'auto', 'none' or a name of `preprocessing`. 'auto': 'none',
      but for ImageNet what the authors of `model` do.
    model: of tfmpq/models.py; '' if the family is not known.
    num_reward: images of the reward split of a large data set.
    reward_from_train: the reward images are training images, too.
    num_test: test images, the first ones; 0: all.
    cache_dir: where files of a large data set are copied to when they are
      read; None: nowhere.
  """

  name: str
  places: tfds_builders.Places
  image_size: tuple[int, int] | None = None
  preprocessing: str = AUTO
  model: str = ''
  num_reward: int = 5000
  reward_from_train: bool = False
  num_test: int = 0
  cache_dir: pathlib.Path | None = None


def load(request: Request) -> datasets.Dataset:
  """Returns a data set.

  Raises:
    FileNotFoundError: the data are not there; the message says what was looked
      for, where, and what to do.
    ValueError: the name or the data do not have the form that is expected, or
      cannot be prepared as asked for.
  """
  data = _load(request)
  if not request.num_test:
    return data
  if request.num_test > len(data.test):
    raise ValueError(
        f"data set '{request.name}' has {len(data.test)} test images, "
        f'--num_test_images={request.num_test} asks for more'
    )
  return dataclasses.replace(data, test=data.test.subset(request.num_test))


def _load(request: Request) -> datasets.Dataset:
  way = _way(request)
  if way is None:
    return datasets.load_dataset(
        request.name,
        data_dir=request.places.data_dir,
        download=request.places.download,
        manual_dir=request.places.manual_dir,
        image_size=request.image_size,
        reward_from_train=request.reward_from_train,
    )
  if request.image_size is None:
    raise ValueError(
        f"data set '{request.name}': expected an image size; it comes with "
        '--float_model, or give --image_size=HEIGHT,WIDTH'
    )
  logging.info("images are prepared as in '%s'", way.name)
  return _stream(request, way, *_sources(request))


def _way(request: Request) -> preprocessing_lib.Preprocessing | None:
  """Returns how photographs are prepared; None: the data set is small."""
  kind, _, rest = request.name.partition(':')
  if request.preprocessing == NONE:
    return None
  if request.preprocessing != AUTO:
    if kind not in _STREAMED_KINDS or not rest:
      raise ValueError(
          f"data set '{request.name}': --preprocessing="
          f'{request.preprocessing} is for photographs of any size '
          f'({", ".join(f"{k}:..." for k in _STREAMED_KINDS)}); give '
          '--preprocessing=none'
      )
    return preprocessing_lib.by_name(request.preprocessing)
  if kind not in ('tfds', 'builder_dir') or not rest:
    return None
  if kind == 'tfds' and not tfds_builders.is_imagenet_name(rest):
    return None
  if not tfds_builders.is_imagenet_name(_open(request).name):
    return None
  return preprocessing_lib.of_model(request.model)


def _open(request: Request):
  """Returns the tfds builder of tfds:<name> or builder_dir:<path>."""
  kind, _, rest = request.name.partition(':')
  if kind == 'tfds':
    return tfds_builders.open_named(rest, request.places)
  return tfds_builders.open_directory(pathlib.Path(rest).expanduser())


def _sources(
    request: Request,
) -> tuple[
    tuple[str, ...],
    encoded_images.EncodedImages,
    encoded_images.EncodedImages,
]:
  """Returns class names, training images and test images."""
  kind, _, rest = request.name.partition(':')
  cache = request.cache_dir
  if kind == 'folder':
    root = pathlib.Path(rest).expanduser()
    dataset_sources.require_folders(root)
    names = encoded_images.class_folders(root / 'train')
    return (
        names,
        encoded_images.FolderImages(root / 'train', names, cache),
        encoded_images.FolderImages(root / 'test', names, cache),
    )
  builder = _open(request)
  tfds_builders.require_images(builder)
  return (
      tuple(builder.info.features['label'].names),
      encoded_images.RecordImages(builder, 'train', cache),
      encoded_images.RecordImages(
          builder, tfds_builders.test_split(builder), cache
      ),
  )


def _stream(
    request: Request,
    way: preprocessing_lib.Preprocessing,
    class_names: tuple[str, ...],
    train: encoded_images.EncodedImages,
    test: encoded_images.EncodedImages,
) -> datasets.Dataset:
  """Returns the three splits; nothing is decoded."""
  assert request.image_size is not None

  def examples(source, indices):
    return streamed_examples.StreamedExamples(
        source, indices, request.image_size, way
    )

  order = streamed_examples.order_by_id(train.ids())
  num_reward, num_train = request.num_reward, len(order)
  if not 1 <= num_reward < num_train:
    raise ValueError(
        f"data set '{request.name}': expected 1 to {num_train - 1} reward "
        f'images (they are held out of {num_train} training images), got '
        f'--num_reward_images={num_reward}'
    )
  held_out = 0 if request.reward_from_train else num_reward
  return datasets.Dataset(
      name=request.name,
      class_names=class_names,
      train=examples(train, order[held_out:]),
      reward=examples(train, order[:num_reward]),
      test=examples(test, streamed_examples.order_by_id(test.ids())),
  )
