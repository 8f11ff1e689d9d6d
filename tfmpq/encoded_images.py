"""Image files that stay encoded until they are drawn, in any order.

Two sources: the record files of a prepared tfds data set, and a folder with one
folder per class. An image has an id that depends on where it lies in the source
and on nothing else; what is chosen by id is chosen again on every machine.
"""

from __future__ import annotations

import abc
import os
import pathlib

import numpy as np
import tensorflow as tf

from tfmpq import local_copies
from tfmpq import record_files

_SUFFIXES = ('.jpg', '.jpeg', '.png')


class EncodedImages(abc.ABC):
  """Encoded images with labels.

  Attributes:
    name: of the source and split, for messages.
    num_classes: labels are below it.
  """

  name: str
  num_classes: int

  @abc.abstractmethod
  def ids(self) -> tuple[str, ...]:
    """Returns a name for each image."""

  @abc.abstractmethod
  def read(self, index: int) -> bytes:
    """Returns the bytes that hold an image; may be called by many threads."""

  @abc.abstractmethod
  def parse(
      self, payload: tf.Tensor, index: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a file, scalar string, and its label, int64; to be traced.

    Args:
      payload: what `read` returned, scalar string.
      index: for which image, scalar int64.
    """


class RecordImages(EncodedImages):
  """A split of a prepared tfds data set in TFRecord files."""

  def __init__(
      self, builder, split: str, cache_dir: pathlib.Path | None = None
  ):
    """Finds all records, without reading what is in them.

    Args:
      builder: of tfds, with the features 'image' and 'label'.
      split: its name.
      cache_dir: where the record files are copied to; None: nowhere.

    Raises:
      FileNotFoundError: a record file is not there.
      ValueError: a file is damaged or of another format than TFRecord.
    """
    self.name = f"data set '{builder.name}', split '{split}'"
    info = builder.info.splits[split]
    if builder.info.file_format.value != 'tfrecord':
      raise ValueError(
          f'{self.name} in {builder.data_dir}: expected TFRecord files, found '
          f"'{builder.info.file_format.value}'; prepare it as tfrecord"
      )
    copies = local_copies.LocalCopies(pathlib.Path(builder.data_dir), cache_dir)
    paths = [pathlib.Path(os.fspath(path)) for path in info.filepaths]
    for path in paths:
      if not path.is_file():
        raise FileNotFoundError(
            f'{self.name}: expected the {len(paths)} files {paths[0].name} to '
            f'{paths[-1].name} in {path.parent}, found no {path.name}; copy or '
            'prepare the data set anew'
        )
    self._records = record_files.RecordFiles(
        [copies.path(path.name) for path in paths], info.shard_lengths
    )
    self._features = builder.info.features
    self.num_classes = self._features['label'].num_classes

  def ids(self) -> tuple[str, ...]:
    return self._records.ids()

  def read(self, index: int) -> bytes:
    return self._records.read(index)

  def parse(self, payload, index):
    import tensorflow_datasets as tfds  # pylint: disable=import-outside-toplevel

    example = self._features.deserialize_example(
        payload, decoders={'image': tfds.decode.SkipDecoding()}
    )
    return example['image'], example['label']


class FolderImages(EncodedImages):
  """Files <folder>/<class>/*.{jpg,jpeg,png}."""

  def __init__(
      self,
      folder: pathlib.Path,
      class_names: tuple[str, ...],
      cache_dir: pathlib.Path | None = None,
  ):
    """Lists the files, without reading them.

    Args:
      folder: holds one folder per class.
      class_names: names of these folders in the order of the labels.
      cache_dir: where a file is copied to when it is first read; None: nowhere.

    Raises:
      ValueError: the folders are not those of the classes, or empty.
    """
    self.name = f"images in '{folder}'"
    self.num_classes = len(class_names)
    found = class_folders(folder)
    if not set(found) <= set(class_names):
      raise ValueError(
          f'{folder}: expected the {len(class_names)} classes of the training '
          f'images, {class_names[:3]} ..., found others: '
          f'{sorted(set(found) - set(class_names))[:3]}'
      )
    names = [
        (label, _files(folder / name))
        for label, name in enumerate(class_names)
        if name in found
    ]
    self._ids = tuple(
        f'{class_names[label]}/{file}'
        for label, files in names
        for file in files
    )
    self._labels = np.repeat(
        [label for label, _ in names], [len(files) for _, files in names]
    ).astype(np.int64)
    if not self._ids:
      raise ValueError(
          f'{folder}: expected files {", ".join(_SUFFIXES)} in the folders of '
          'the classes, found none'
      )
    self._copies = local_copies.LocalCopies(folder, cache_dir)

  def ids(self) -> tuple[str, ...]:
    return self._ids

  def read(self, index: int) -> bytes:
    return self._copies.path(self._ids[index]).read_bytes()

  def parse(self, payload, index):
    return payload, tf.gather(tf.constant(self._labels), index)


def class_folders(folder: pathlib.Path) -> tuple[str, ...]:
  """Returns the names of the folders in a folder, sorted.

  Raises:
    FileNotFoundError: there is no such folder, or nothing in it.
  """
  found: tuple[str, ...] = ()
  if folder.is_dir():
    with os.scandir(folder) as entries:
      found = tuple(sorted(entry.name for entry in entries if entry.is_dir()))
  if not found:
    raise FileNotFoundError(
        f'expected one folder per class in {folder}, found no such folder'
    )
  return found


def _files(folder: pathlib.Path) -> list[str]:
  with os.scandir(folder) as entries:
    return sorted(
        entry.name
        for entry in entries
        if entry.name.lower().endswith(_SUFFIXES)
    )
