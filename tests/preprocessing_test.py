"""Tests of preprocessing: photographs become network inputs."""

import numpy as np
import pytest
import tensorflow as tf

from tfmpq import preprocessing

_ALL = (
    preprocessing.INCEPTION,
    preprocessing.MNASNET,
    preprocessing.TORCHVISION,
)
_SIZES = ((375, 500), (500, 375), (96, 96), (61, 43), (224, 1000))


def _image(height, width, seed=4):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, 3), np.uint8)


def _png(pixels):
  return tf.io.encode_png(pixels)


def _window(height, width, way, size):
  """Returns the central window as the authors' code rounds it."""
  if way is preprocessing.INCEPTION:
    top = int((height - height * 0.875) / 2)
    left = int((width - width * 0.875) / 2)
    return top, left, height - 2 * top, width - 2 * left
  share = size / (size + 32) if way is preprocessing.MNASNET else 0.875
  side = int(min(height, width) * share)
  return (height - side + 1) // 2, (width - side + 1) // 2, side, side


def _bilinear_weights(before, after):
  """Sampling of TensorFlow 1.x: [after, before]."""
  weights = np.zeros((after, before))
  for i in range(after):
    place = i * before / after
    low = int(place)
    weights[i, low] += 1 - (place - low)
    weights[i, min(low + 1, before - 1)] += place - low
  return weights


def _bicubic_weights(before, after):
  """Keys' kernel with a = -0.75, its argument rounded to 1/1024."""
  a = -0.75
  weights = np.zeros((after, before))
  for i in range(after):
    place = i * before / after
    low = int(place)
    fraction = np.rint((place - low) * 1024) / 1024
    for offset in (-1, 0, 1, 2):
      x = abs(fraction - offset)
      if x <= 1:
        value = (a + 2) * x**3 - (a + 3) * x**2 + 1
      else:
        value = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
      weights[i, np.clip(low + offset, 0, before - 1)] += value
  return weights


def _antialias_weights(before, after):
  """A triangle that grows with the image, pixel centres at i + 1/2."""
  scale = before / after
  radius = max(scale, 1)
  places = (np.arange(after)[:, None] + 0.5) * scale
  distance = np.abs(np.arange(before) + 0.5 - places) / radius
  weights = np.maximum(0, 1 - distance)
  return weights / weights.sum(1, keepdims=True)


def _reference(pixels, way, size):
  """Returns the values before rounding, float64 [H, W, 3]."""
  top, left, height, width = _window(*pixels.shape[:2], way, size[0])
  part = pixels[top : top + height, left : left + width].astype(np.float64)
  make = {
      'inception': _bilinear_weights,
      'mnasnet': _bicubic_weights,
      'torchvision': _antialias_weights,
  }[way.name]
  rows, columns = make(height, size[0]), make(width, size[1])
  whole = np.einsum('ih,hwc,jw->ijc', rows, part, columns, optimize=True)
  return whole.clip(0, 255)


@pytest.mark.parametrize('way', _ALL, ids=lambda way: way.name)
@pytest.mark.parametrize('shape', _SIZES)
def test_evaluation_equals_a_plain_reference(way, shape):
  pixels = _image(*shape)
  size = (61, 61)
  expected = _reference(pixels, way, size)
  found = way.evaluation_image(_png(pixels), size).numpy()
  assert found.dtype == np.uint8 and found.shape == (61, 61, 3)
  # float32 of up to 60 summands: a value at .5 may go either way.
  tie = np.abs(expected - np.floor(expected) - 0.5) < 2e-3
  np.testing.assert_array_equal(found[~tie], np.rint(expected[~tie]))
  assert np.abs(found - expected).max() <= 0.503
  assert tie.mean() < 0.02


def test_central_parts_have_the_known_sizes():
  for way, shape, size, expected in (
      (preprocessing.INCEPTION, (375, 500), 224, [23, 31, 329, 438]),
      (preprocessing.MNASNET, (375, 500), 224, [24, 86, 328, 328]),
      # 192 of 224, and not 7/8.
      (preprocessing.MNASNET, (375, 500), 192, [27, 90, 321, 321]),
      (preprocessing.TORCHVISION, (256, 341), 224, [16, 59, 224, 224]),
      (preprocessing.TORCHVISION, (1, 1), 224, [0, 0, 1, 1]),
  ):
    window = way.central_window(tf.constant([*shape, 3]), (size, size))
    np.testing.assert_array_equal(window, expected)


@pytest.mark.parametrize('way', _ALL, ids=lambda way: way.name)
def test_a_jpeg_gives_what_its_whole_decoded_image_gives(way):
  # Smooth, because the decoder fills colours in differently at an edge.
  down, across = np.mgrid[0:300, 0:400]
  pixels = np.stack([down / 300, across / 400, (down + across) / 700], -1)
  jpeg = tf.io.encode_jpeg((255 * pixels).astype(np.uint8), quality=95)
  of_jpeg = way.evaluation_image(jpeg, (96, 96)).numpy().astype(int)
  of_png = way.evaluation_image(_png(tf.io.decode_jpeg(jpeg)), (96, 96)).numpy()
  assert np.abs(of_jpeg - of_png).max() <= 2


def test_a_grey_jpeg_has_three_equal_channels():
  grey = tf.io.encode_jpeg(_image(80, 60)[:, :, :1], format='grayscale')
  found = preprocessing.MNASNET.evaluation_image(grey, (32, 32)).numpy()
  assert found.shape == (32, 32, 3)
  np.testing.assert_array_equal(found[..., 0], found[..., 1])
  np.testing.assert_array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize('way', _ALL, ids=lambda way: way.name)
def test_random_parts_have_the_areas_ratios_and_places_of_the_family(way):
  height, width = 600, 800
  shape = tf.constant([height, width, 3])

  @tf.function
  def draw(seeds):
    return tf.map_fn(lambda seed: way.random_window(shape, seed), seeds)

  windows = draw(tf.constant([[7, i] for i in range(1500)])).numpy()
  top, left, h, w = windows.T
  assert (top >= 0).all() and (top + h <= height).all()
  assert (left >= 0).all() and (left + w <= width).all()
  area, ratio = h * w / (height * width), w / h
  assert (area > max(way.area[0], 0.1) - 0.01).all()
  assert np.quantile(area, 0.02) < 0.2 and np.quantile(area, 0.98) > 0.8
  whole = area == 1
  assert (np.abs(ratio[~whole] - 1.04) < 0.31).all()  # 0.73..1.35.
  assert np.quantile(ratio, 0.05) < 0.8 and np.quantile(ratio, 0.95) > 1.25
  # Any place is as likely as any other.
  for begin, extent, side in ((top, h, height), (left, w, width)):
    free = side > extent
    place = begin[free] / (side - extent[free])
    assert abs(place.mean() - 0.5) < 0.03
    assert abs(place.std() - 12**-0.5) < 0.03


def test_a_training_image_is_a_function_of_seed_and_mirroring():
  pixels = _image(120, 90)
  way, size = preprocessing.MNASNET, (48, 48)

  def make(seed, mirrored):
    return way.training_image(
        _png(pixels), size, tf.constant(seed), tf.constant(mirrored)
    ).numpy()

  first = make([3, 5], False)
  np.testing.assert_array_equal(first, make([3, 5], False))
  np.testing.assert_array_equal(first[:, ::-1], make([3, 5], True))
  assert not np.array_equal(first, make([3, 6], False))


def test_every_family_of_the_study_has_its_way_and_others_must_say():
  assert preprocessing.of_model('mobilenet_v1') is preprocessing.INCEPTION
  assert preprocessing.of_model('mnasnet_b1') is preprocessing.MNASNET
  with pytest.raises(ValueError, match="'resnet8'.*preprocessing=inception"):
    preprocessing.of_model('resnet8')
  for way in _ALL:
    assert preprocessing.by_name(way.name) is way
