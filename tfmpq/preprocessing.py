"""How photographs of any size become network inputs, by the family's authors.

Evaluation takes the central part of an image, training a random part of it,
mirrored half of the time; either is resized to what the network reads. Results
are uint8 pixels, the network's input contract: (pixel - 128) / 128 is
`datasets.to_input`'s.

  inception    MobileNetV1 and V2, tensorflow/models, research/slim,
               inception_preprocessing.py: 7/8 of both sides, bilinear; without
               its distortion of colours, which MobileNets want less of
               (arXiv:1704.04861, section 3.2).
  mnasnet      MnasNet and EfficientNet(-Lite), tensorflow/tpu, models/official:
               a square of size / (size + 32) of the shorter side, bicubic.
  torchvision  its MobileNetV2: a square of 7/8 of the shorter side (224 of
               256), bilinear with a filter against aliasing.

Where the authors round nowhere, this project rounds to whole pixels, because
those are what a device gets.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import tensorflow as tf

_CENTRAL_SHARE = 0.875
# A random part covers at least this share of the image, in all families.
_MIN_COVERED = 0.1
_Window = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """One way to prepare images.

  Attributes:
    name: of the flag --preprocessing.
    square: evaluation takes a square; otherwise a part of the image's own
      shape, which resizing distorts.
    border: pixels around the network's input that evaluation cuts off, in
      units of the result; None: 7/8 are kept.
    method: 'bilinear' or 'bicubic'.
    antialias: whether the filter grows with the image; otherwise the sampling
      of TensorFlow 1.x, in which pixel i of the result lies at i * scale.
    area: of a training image's part, in shares of the image, (low, high).
    ratio: of its width to its height, (low, high).
    attempts: to find such a part; the whole image after that.
  """

  name: str
  square: bool
  border: int | None
  method: str
  antialias: bool
  area: tuple[float, float]
  ratio: tuple[float, float]
  attempts: int

  def evaluation_image(
      self, encoded: tf.Tensor, size: tuple[int, int]
  ) -> tf.Tensor:
    """Returns the central part, uint8 [H, W, 3].

    Args:
      encoded: a JPEG or PNG file, scalar string.
      size: (H, W).
    """
    image = _decode(encoded, lambda shape: self.central_window(shape, size))
    return self._resize(image, size)

  def training_image(
      self,
      encoded: tf.Tensor,
      size: tuple[int, int],
      seed: tf.Tensor,
      mirrored: tf.Tensor,
  ) -> tf.Tensor:
    """Returns a random part, uint8 [H, W, 3].

    Args:
      encoded: a JPEG or PNG file, scalar string.
      size: (H, W).
      seed: int [2]; the same seed, the same part.
      mirrored: scalar bool, whether left and right are exchanged.
    """
    image = _decode(encoded, lambda shape: self.random_window(shape, seed))
    image = self._resize(image, size)
    return tf.where(mirrored, image[:, ::-1], image)

  def central_window(
      self, shape: tf.Tensor, size: tuple[int, int]
  ) -> tf.Tensor:
    """Returns (top, left, height, width) of the central part."""
    height, width = shape[0], shape[1]
    if not self.square:
      # A 16th of each side on either hand.
      top, left = height // 16, width // 16
      return tf.stack([top, left, height - 2 * top, width - 2 * left])
    shorter = tf.cast(tf.minimum(height, width), tf.float64)
    share = _CENTRAL_SHARE
    if self.border is not None:
      share = min(size) / (min(size) + self.border)
    side = tf.maximum(1, tf.cast(shorter * share, tf.int32))
    return tf.stack(
        [(height - side + 1) // 2, (width - side + 1) // 2, side, side]
    )

  def random_window(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns (top, left, height, width) of a random part."""
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.stack([shape[0], shape[1], 3]),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed,
        min_object_covered=_MIN_COVERED,
        aspect_ratio_range=self.ratio,
        area_range=self.area,
        max_attempts=self.attempts,
    )
    return tf.concat([begin[:2], extent[:2]], 0)

  def _resize(self, image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    if self.antialias:
      resized = tf.image.resize(image, size, self.method, antialias=True)
    else:
      op = {
          'bilinear': tf.raw_ops.ResizeBilinear,
          'bicubic': tf.raw_ops.ResizeBicubic,
      }[self.method]
      resized = op(images=image[None], size=size)[0]
    pixels = tf.round(tf.clip_by_value(resized, 0.0, 255.0))
    return tf.ensure_shape(tf.cast(pixels, tf.uint8), (*size, 3))


INCEPTION = Preprocessing(
    name='inception',
    square=False,
    border=None,
    method='bilinear',
    antialias=False,
    area=(0.05, 1.0),
    ratio=(0.75, 1.33),
    attempts=100,
)
MNASNET = Preprocessing(
    name='mnasnet',
    square=True,
    border=32,
    method='bicubic',
    antialias=False,
    area=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    attempts=10,
)
TORCHVISION = Preprocessing(
    name='torchvision',
    square=True,
    border=None,
    method='bilinear',
    antialias=True,
    area=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    attempts=10,
)
_ALL = (INCEPTION, MNASNET, TORCHVISION)
_OF_MODEL = {
    'mobilenet_v1': INCEPTION,
    'mobilenet_v2': INCEPTION,
    'mnasnet_b1': MNASNET,
    'efficientnet_lite0': MNASNET,
}


def by_name(name: str) -> Preprocessing:
  """Returns the preprocessing of that name; KeyError if there is none."""
  return {item.name: item for item in _ALL}[name]


def of_model(model: str) -> Preprocessing:
  """Returns what the authors of --model do.

  Raises:
    ValueError: nothing is known about photographs for it.
  """
  if model not in _OF_MODEL:
    raise ValueError(
        f"--preprocessing=auto: of model '{model}' it is not known how its "
        f'authors prepare images of ImageNet, only of {", ".join(_OF_MODEL)}; '
        f'give --preprocessing={"|".join(item.name for item in _ALL)}|none'
    )
  return _OF_MODEL[model]


def _decode(encoded: tf.Tensor, window: _Window) -> tf.Tensor:
  """Returns a part of an image, uint8 [h, w, 3].

  Of a JPEG, only the blocks of that part are decoded, which saves half of the
  time and more.

  Args:
    encoded: a JPEG or PNG file.
    window: (height, width, ...) of the image -> (top, left, h, w).
  """

  def of_jpeg():
    shape = tf.image.extract_jpeg_shape(encoded)
    return tf.image.decode_and_crop_jpeg(encoded, window(shape), channels=3)

  def of_others():
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    top, left, height, width = tf.unstack(window(tf.shape(image)))
    return image[top : top + height, left : left + width]

  return tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_others)
