"""Float networks from files of other programs: .tflite, .h5 and .keras."""

from __future__ import annotations

import pathlib

import tensorflow as tf
import tf_keras as keras

from tfmpq import float_ends
from tfmpq import float_network
from tfmpq import keras_graph
from tfmpq import tflite_graph
from tfmpq import tflite_keras

_KERAS_SUFFIXES = ('.h5', '.hdf5', '.keras')
_LAST_PIXEL = 255


def read(
    path: pathlib.Path, input_range: str = '', skip_outputs: int = 0
) -> float_network.FloatNetwork:
  """Returns the network in a file; it reads pixels as all networks here do.

  Args:
    path: .tflite (uint8, int8 or float32, builtin operators), or a whole
      model (not weights alone) that Keras 2 saved as .h5 or .keras.
    input_range: 'LOW,HIGH', the real numbers that the model expects for pixels
      0 and 255; '' for `(pixel - 128) / 128`, or for what a quantized .tflite
      says.
    skip_outputs: number of logits to leave out at the front, such as that of
      a class 'background'.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file cannot be read, or something in the model is not
      supported; the message names it.
  """
  if not path.is_file():
    raise FileNotFoundError(f'--float_model: {path} does not exist')
  encoding = None
  if path.suffix == '.tflite':
    model, encoding = tflite_keras.build(tflite_graph.read(path))
  elif path.suffix in _KERAS_SUFFIXES:
    model = _read_keras(path)
  else:
    raise ValueError(
        f'--float_model: expected a file .tflite, {", ".join(_KERAS_SUFFIXES)},'
        f' received {path}'
    )
  network = keras_graph.fold(model)
  if input_range:
    if encoding is not None:
      raise ValueError(
          f'{path} says itself how it reads pixels (scale {encoding.scale}, '
          f'offset {encoding.offset}); leave --input_range out'
      )
    encoding = parse_range(input_range)
  if encoding is not None:
    network = float_ends.reading_pixels(
        network, encoding.scale, encoding.offset
    )
  return float_ends.without_first_outputs(network, skip_outputs)


def parse_range(text: str) -> tflite_keras.InputEncoding:
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
  return tflite_keras.InputEncoding(scale, -low / scale)


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
