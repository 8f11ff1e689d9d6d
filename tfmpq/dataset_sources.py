"""Reads the images of each kind of source into uint8 arrays, unsorted.

tfds takes seconds to import, so it is imported only where it is needed. Data
sets that do not fit into memory are read by `streamed_examples` instead.
"""

import dataclasses
import difflib
import pathlib

import numpy as np

from tfmpq import tfds_builders

_NPZ_ARRAYS = ('x_train', 'y_train', 'x_test', 'y_test')
_READ_BATCH_SIZE = 512
# Of one split in memory.
_LARGEST_BYTES = 16 * 2**30
_FORMS = (
    'fashion_mnist',
    'tfds:<name>',
    'builder_dir:<path>',
    'folder:<path>',
    'npz:<path>',
    'csv:<path>',
)


@dataclasses.dataclass(frozen=True, eq=False)
class SourceData:
  """What a source holds.

  Attributes:
    class_names: One per class, in the order of the labels.
    train_images: uint8 [N, H, W, C].
    train_labels: int [N].
    test_images: uint8 [M, H, W, C].
    test_labels: int [M].
  """

  class_names: tuple[str, ...]
  train_images: np.ndarray
  train_labels: np.ndarray
  test_images: np.ndarray
  test_labels: np.ndarray


def read(name, places: tfds_builders.Places, image_size) -> SourceData:
  """Returns the data of `name`; `datasets.load_dataset` has the contract."""
  kind, _, rest = name.partition(':')
  if name == 'fashion_mnist':
    return _read_fashion_mnist(places.data_dir, places.download)
  if kind == 'tfds' and rest:
    return _read_tfds(tfds_builders.open_named(rest, places), image_size)
  if kind == 'builder_dir' and rest:
    path = pathlib.Path(rest).expanduser()
    return _read_tfds(tfds_builders.open_directory(path), image_size)
  if kind == 'folder' and rest:
    return _read_folder(pathlib.Path(rest).expanduser(), image_size)
  if kind == 'npz' and rest:
    return _read_npz(pathlib.Path(rest).expanduser())
  if kind == 'csv' and rest:
    return _read_csv(pathlib.Path(rest).expanduser(), image_size)
  raise unknown(name)


def unknown(name: str) -> ValueError:
  """Returns the error that names the nearest form of a data set's name."""
  nearest = difflib.get_close_matches(name, _FORMS, n=1, cutoff=0)[0]
  return ValueError(
      f"unknown data set '{name}'; did you mean '{nearest}'? Expected one of"
      f' {", ".join(_FORMS)}'
  )


def _read_fashion_mnist(data_dir, download):
  import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

  from tfmpq import fashion_mnist  # pylint: disable=import-outside-toplevel

  try:
    builder = fashion_mnist.prepare(data_dir)
  except FileNotFoundError:
    builder = tfds.builder('fashion_mnist', data_dir=data_dir)
    if not builder.is_prepared():
      if not download:
        raise
      builder.download_and_prepare()
  return _read_builder(builder, 'test', None)


def _read_tfds(builder, image_size):
  return _read_builder(builder, tfds_builders.test_split(builder), image_size)


def _read_builder(builder, test_split, image_size):
  """Reads the splits 'train' and `test_split` of a prepared tfds data set."""
  tfds_builders.require_images(builder)
  for split in ('train', test_split):
    _require_memory(builder, split, image_size)
  train = _read_split(builder, 'train', image_size)
  test = _read_split(builder, test_split, image_size)
  names = builder.info.features['label'].names
  return SourceData(tuple(names), *train, *test)


def _require_memory(builder, split, image_size):
  """Raises ValueError if the decoded split would fill the memory."""
  stored = builder.info.features['image'].shape
  shape = (*(image_size or stored[:2]), stored[-1])
  if None in shape:
    return  # Whether all images have one shape is seen when they are read.
  num_images = builder.info.splits[split].num_examples
  num_bytes = num_images * int(np.prod(shape))
  if num_bytes > _LARGEST_BYTES:
    raise ValueError(
        f"data set '{builder.name}', split '{split}': {num_images} images of"
        f' {shape} would take {num_bytes / 1e9:.0f} GB of memory; with'
        ' --preprocessing=inception, mnasnet or torchvision images are'
        ' decoded when they are needed'
    )


def _read_split(builder, split, image_size):
  import tensorflow as tf  # pylint: disable=import-outside-toplevel

  def prepare(example):
    image = example['image']
    if image_size is not None:
      resized = tf.image.resize(image, image_size, antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)
    return image, example['label']

  examples = builder.as_dataset(split=split).map(
      prepare, num_parallel_calls=tf.data.AUTOTUNE
  )
  if not examples.element_spec[0].shape.is_fully_defined():
    _check_one_shape(builder.name, split, examples)
  batches = list(examples.batch(_READ_BATCH_SIZE).as_numpy_iterator())
  images, labels = zip(*batches, strict=True)
  return np.concatenate(images), np.concatenate(labels).astype(np.int32)


def _check_one_shape(name, split, examples):
  shapes = sorted({image.shape for image, _ in examples.as_numpy_iterator()})
  if len(shapes) != 1:
    raise ValueError(
        f"data set '{name}', split '{split}': expected images of one shape,"
        f' found {shapes[:3]}; give --image_size=HEIGHT,WIDTH to resize them'
    )


def _read_folder(path, image_size):
  import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

  require_folders(path)
  return _read_builder(tfds.ImageFolder(str(path)), 'test', image_size)


def require_folders(path: pathlib.Path) -> None:
  """Raises FileNotFoundError unless there are folders 'train' and 'test'."""
  for split in ('train', 'test'):
    if not (path / split).is_dir():
      raise FileNotFoundError(
          f"data set 'folder:{path}': expected one folder per class in"
          f' {path / split}, found no such folder'
      )


def _read_csv(path, image_size):
  from tfmpq import labelled_files  # pylint: disable=import-outside-toplevel

  examples = labelled_files.read(path, image_size)
  num_classes = 1 + max(int(labels.max()) for _, labels in examples.values())
  names = tuple(str(label) for label in range(num_classes))
  return SourceData(names, *examples['train'], *examples['test'])


def _read_npz(path):
  if not path.is_file():
    raise FileNotFoundError(f"data set 'npz:{path}': found no such file")
  with np.load(path, allow_pickle=False) as archive:
    missing = [key for key in _NPZ_ARRAYS if key not in archive]
    if missing:
      raise ValueError(
          f"data set 'npz:{path}': expected the arrays {_NPZ_ARRAYS}, missing"
          f' {missing}'
      )
    arrays = {key: archive[key] for key in _NPZ_ARRAYS}
  for key in ('x_train', 'x_test'):
    if arrays[key].ndim == 3:
      arrays[key] = arrays[key][:, :, :, None]  # [N, H, W] -> [N, H, W, 1]
  num_classes = int(arrays['y_train'].max()) + 1
  names = tuple(str(label) for label in range(num_classes))
  # Published .npz files store labels as [N] or [N, 1].
  return SourceData(
      names,
      arrays['x_train'],
      arrays['y_train'].reshape(-1),
      arrays['x_test'],
      arrays['y_test'].reshape(-1),
  )
