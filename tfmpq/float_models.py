"""Float networks from files of other programs: whole models and state dicts."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import float_ends
from tfmpq import float_network
from tfmpq import keras_graph
from tfmpq import models
from tfmpq import state_dicts
from tfmpq import tflite_graph
from tfmpq import tflite_keras
from tfmpq import torch_files

_KERAS_SUFFIXES = ('.h5', '.hdf5', '.keras')
_TORCH_SUFFIXES = ('.pth', '.pt')
_STATE_SUFFIXES = (*_TORCH_SUFFIXES, '.npz')
_LAST_PIXEL = 255
_STATE_IMAGE_SIZE = (224, 224)
_STATE_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Reading:
  """How a file is to be read.

  Attributes:
    model: name of the network of a state dict; such a file does not say it.
    width: its channel multiplier.
    image_size: (height, width) of the network's input; None for what a whole
      model says, 224x224 for a state dict. Keras models have one size.
    input_range: 'LOW,HIGH', the real numbers that the network expects for
      pixels 0 and 255; '' for `(pixel - 128) / 128`, for what a quantized
      .tflite says, or for what the networks of a state dict are trained on.
    input_mean: with input_std, per channel and comma-separated: the network
      expects `(pixel / 255 - mean) / std`. Instead of input_range.
    input_std: see input_mean.
    input_shift: 'layer' or 'bias'; see float_ends.reading_pixels.
    skip_outputs: number of logits to leave out at the front, such as that of
      a class 'background'.
  """

  model: str = ''
  width: float = 1.0
  image_size: tuple[int, int] | None = None
  input_range: str = ''
  input_mean: str = ''
  input_std: str = ''
  input_shift: str = 'layer'
  skip_outputs: int = 0

  def encoding(self) -> float_ends.InputEncoding | None:
    """Returns what input_range, or input_mean and input_std, ask for."""
    if not (self.input_mean or self.input_std):
      return parse_range(self.input_range) if self.input_range else None
    if self.input_range:
      raise ValueError(
          'expected --input_range, or --input_mean and --input_std; received '
          f"'{self.input_range}' and '{self.input_mean}', '{self.input_std}'"
      )
    mean = _numbers('input_mean', self.input_mean)
    deviation = _numbers('input_std', self.input_std)
    if len(mean) != len(deviation) or min(deviation) <= 0:
      raise ValueError(
          '--input_mean, --input_std: expected as many of either, the second '
          f'positive, received {mean} and {deviation}'
      )
    return float_ends.normalization(mean, deviation)


def read(
    path: pathlib.Path, reading: Reading = Reading()
) -> float_network.FloatNetwork:
  """Returns the network in a file; it reads pixels as all networks here do.

  Args:
    path: .tflite (uint8, int8 or float32, builtin operators); a whole model
      (not weights alone) that Keras 2 saved as .h5 or .keras; or a state dict
      in PyTorch's layout, .pth, .pt or .npz, of one of `state_dicts.FORMATS`.
    reading: what the file does not say.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file cannot be read, or something in the model is not
      supported; the message names it.
  """
  if not path.is_file():
    raise FileNotFoundError(f'--float_model: {path} does not exist')
  encoding = reading.encoding()
  if path.suffix == '.tflite':
    network, own = _from_tflite(path, reading)
    if own is not None and encoding is not None:
      raise ValueError(
          f'{path} says itself how it reads pixels (scale {own.scale}, offset '
          f'{own.offset}); leave --input_range, --input_mean, --input_std out'
      )
  elif path.suffix in _KERAS_SUFFIXES:
    network, own = keras_graph.fold(_read_keras(path)), None
  elif path.suffix in _STATE_SUFFIXES:
    network, own = _from_state_dict(path, reading)
  else:
    raise ValueError(
        '--float_model: expected a file .tflite, '
        f'{", ".join((*_KERAS_SUFFIXES, *_STATE_SUFFIXES))}, received {path}'
    )
  encoding = encoding or own
  if encoding is not None:
    network = float_ends.reading_pixels(network, encoding, reading.input_shift)
  return float_ends.without_first_outputs(network, reading.skip_outputs)


def parse_range(text: str) -> float_ends.InputEncoding:
  """Returns the encoding for 'LOW,HIGH', the values of pixels 0 and 255."""
  try:
    low, high = (float(number) for number in text.split(','))
  except ValueError:
    low = high = 0.0
  if low >= high:
    raise ValueError(
        '--input_range: expected LOW,HIGH, the values of pixels 0 and 255, such'
        f" as '0,1' or '-1,1', received '{text}'"
    )
  scale = (high - low) / _LAST_PIXEL
  return float_ends.InputEncoding(scale, -low / scale)


def _numbers(flag: str, text: str) -> tuple[float, ...]:
  try:
    return tuple(float(number) for number in text.split(','))
  except ValueError:
    raise ValueError(
        f"--{flag}: expected numbers such as '0.485,0.456,0.406', one per "
        f"channel of pixels divided by 255, received '{text}'"
    ) from None


def _from_tflite(path: pathlib.Path, reading: Reading):
  """Returns (network, how it reads pixels or None)."""
  model, encoding = tflite_keras.build(
      tflite_graph.read(path), reading.image_size
  )
  return keras_graph.fold(model), encoding


def _from_state_dict(path: pathlib.Path, reading: Reading):
  """Returns (network, how the networks of that format read pixels)."""
  state_format = state_dicts.FORMATS.get(reading.model)
  if state_format is None:
    raise ValueError(
        f'{path} holds weights alone: expected --model='
        f'{" or ".join(state_dicts.FORMATS)}, received {reading.model!r}'
    )
  if path.suffix in _TORCH_SUFFIXES:
    arrays = torch_files.read(path)
  else:
    arrays = _read_npz(path)
  try:
    model = models.build_model(
        reading.model,
        (*(reading.image_size or _STATE_IMAGE_SIZE), _STATE_CHANNELS),
        state_dicts.number_of_classes(arrays, state_format, reading.width),
        reading.width,
    )
    network = state_dicts.to_network(
        arrays, state_format, keras_graph.fold(model), reading.width
    )
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
  return network, state_format.encoding


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    with np.load(path, allow_pickle=False) as archive:
      return {name: archive[name] for name in archive.files}
  except (OSError, ValueError, AttributeError) as error:
    raise ValueError(
        f'--float_model: {path} is no .npz of arrays: {error}'
    ) from error


def _read_keras(path: pathlib.Path) -> keras.Model:
  try:
    return keras.models.load_model(
        path, compile=False, custom_objects={'relu6': tf.nn.relu6}
    )
  except (OSError, TypeError, ValueError, KeyError, AttributeError) as error:
    raise ValueError(
        f'--float_model: {path} is no whole model that Keras 2 (tf_keras) can '
        f'load: {error}'
    ) from error
