"""Fashion-MNIST from local idx files as a prepared tfds data set.

The Debian package `dataset-fashion-mnist` installs the original four gzipped
idx files. `prepare` turns them once into a tfds data set in the cache
directory; from then on everything reads tfds.

Source: Xiao et al., "Fashion-MNIST" (arXiv:1708.07747); MIT licence.
"""

import gzip
import pathlib
import struct

import numpy as np
import tensorflow_datasets as tfds

DEBIAN_DIR = pathlib.Path('/usr/share/datasets/fashion-mnist')
CLASS_NAMES = (
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
)
# Split -> (images, labels).
_FILES = {
    'train': ('train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'),
    'test': ('t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz'),
}
_IDX_UNSIGNED_BYTE = 0x08


class LocalFashionMnist(tfds.core.GeneratorBasedBuilder):
  """Reads the idx files in the manual directory (not tfds' own builder)."""

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'apt-get install dataset-fashion-mnist, which fills'
      f' {DEBIAN_DIR}, or put the four original .gz files in one folder.'
  )

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description='Fashion-MNIST, from the original idx files.',
        features=tfds.features.FeaturesDict(
            {
                'image': tfds.features.Image(shape=(28, 28, 1)),
                'label': tfds.features.ClassLabel(names=list(CLASS_NAMES)),
            }
        ),
        supervised_keys=('image', 'label'),
        homepage='https://github.com/zalandoresearch/fashion-mnist',
    )

  def _split_generators(self, dl_manager):
    folder = pathlib.Path(dl_manager.manual_dir)
    return {
        split: self._generate_examples(folder / images, folder / labels)
        for split, (images, labels) in _FILES.items()
    }

  def _generate_examples(self, images_path, labels_path):
    images = read_idx(images_path)
    labels = read_idx(labels_path)
    if images.shape != (len(labels), 28, 28):
      raise ValueError(
          f'{images_path}: expected {len(labels)} images of 28x28 (one per'
          f' label in {labels_path.name}), found {images.shape}'
      )
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield index, {'image': image[:, :, None], 'label': int(label)}


def prepare(data_dir, source_dir=None) -> tfds.core.DatasetBuilder:
  """Returns the prepared data set; converts the idx files on the first call.

  Args:
    data_dir: tfds data directory to read from and to write to.
    source_dir: Folder with the four idx-ubyte.gz files, needed only once; None
      for the Debian package's.

  Raises:
    FileNotFoundError: Neither the prepared data set nor the files exist.
  """
  builder = LocalFashionMnist(data_dir=data_dir)
  if builder.is_prepared():
    return builder
  source_dir = pathlib.Path(source_dir or DEBIAN_DIR)
  names = [name for pair in _FILES.values() for name in pair]
  missing = [name for name in names if not (source_dir / name).is_file()]
  if missing:
    raise FileNotFoundError(
        'Fashion-MNIST is not on this machine: looked for the prepared data'
        f' set in {builder.data_dir} and for {", ".join(missing)} in'
        f' {source_dir}. Install the Debian package (apt-get install'
        ' dataset-fashion-mnist) or allow the download with --download'
    )
  builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(manual_dir=source_dir)
  )
  return builder


def read_idx(path) -> np.ndarray:
  """Returns the uint8 array in a gzipped idx file.

  The format is big-endian: two zero bytes, one byte for the element type (8 is
  uint8), one byte for the rank, one uint32 per dimension, then the elements.

  Raises:
    ValueError: The file is not an idx file of uint8, or is cut short.
  """
  with gzip.open(path, 'rb') as file:
    content = file.read()
  zeros, dtype, rank = struct.unpack_from('>HBB', content)
  if zeros != 0 or dtype != _IDX_UNSIGNED_BYTE:
    raise ValueError(
        f'{path}: expected an idx file of uint8 (bytes 00 00 08), found'
        f' {content[:3].hex(" ")}'
    )
  shape = struct.unpack_from(f'>{rank}I', content, 4)
  elements = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
  if elements.size != np.prod(shape):
    raise ValueError(
        f'{path}: expected {np.prod(shape)} elements for shape {shape}, found'
        f' {elements.size}; the file is damaged'
    )
  return elements.reshape(shape)
