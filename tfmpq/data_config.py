"""The part of an ExperimentConfig that is about images and labels."""

from __future__ import annotations

import dataclasses

from tfmpq.config_parts import field as _field
from tfmpq.config_parts import Part as _Part

PREPROCESSINGS = ('auto', 'none', 'inception', 'mnasnet', 'torchvision')


@dataclasses.dataclass(frozen=True)
class DataConfig(_Part):
  """Images and labels."""

  dataset: str = _field(
      'fashion_mnist',
      'fashion_mnist, tfds:<name>, builder_dir:<path>, folder:<path>, '
      'npz:<path> or csv:<path>.',
  )
  data_dir: str = _field(
      '', 'Where prepared data sets lie (default: ~/.cache/tfmpq/tfds).'
  )
  download: bool = _field(
      False, 'Allow tfds to download and prepare the data set if it is absent.'
  )
  manual_dir: str = _field(
      '',
      'Where archives lie that one has to get oneself, such as those of '
      'ImageNet (default: <data_dir>/downloads/manual).',
  )
  data_cache: str = _field(
      '',
      'Folder on a local disk to which files of a large data set are copied '
      'when they are read; empty: none.',
  )
  preprocessing: str = _field(
      'auto',
      'How photographs become network inputs: as the authors of MobileNet '
      "('inception'), of MnasNet and EfficientNet ('mnasnet') or of "
      "torchvision do; 'none' resizes them whole. 'auto': as the authors of "
      "--model for imagenet2012, otherwise 'none'.",
      PREPROCESSINGS,
  )
  image_size: str = _field(
      '',
      "HEIGHT,WIDTH to which images are resized, such as '224,224'; empty: as "
      'they are, or what the network of --float_model reads.',
  )
  num_reward_images: int = _field(
      2000,
      'Images of the reward split that score a policy in the search.',
      minimum=1,
  )
  num_test_images: int = _field(
      0,
      'Images of the test split for the final figures; 0: all.',
      minimum=0,
  )
  reward_split: str = _field(
      'held_out',
      "Where reward images come from: 'held_out' of the training images, or "
      "'train', the training images themselves; for samples on which nothing "
      'is trained.',
      ('held_out', 'train'),
  )
  num_calibration_images: int = _field(
      512,
      'Unlabelled training images for ranges and channel statistics.',
      minimum=1,
  )

  def __post_init__(self):
    super().__post_init__()
    self.height_and_width()

  def height_and_width(self) -> tuple[int, int] | None:
    """Returns image_size as numbers, None if it is empty."""
    if not self.image_size:
      return None
    words = [word.strip() for word in self.image_size.split(',')]
    if len(words) != 2 or not all(w.isdigit() and int(w) for w in words):
      raise ValueError(
          "image_size: expected HEIGHT,WIDTH such as '224,224', received "
          f'{self.image_size!r}'
      )
    return int(words[0]), int(words[1])
