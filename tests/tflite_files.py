"""Writes .tflite files of builtin operators as other people have them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfmpq import tflite_graph

_schema = tflite_graph.schema
_TYPES = _schema.TensorType


def float32(model: keras.Model) -> bytes:
  """Returns a file with float32 input, weights and output."""
  return _converter(model).convert()


def int8(
    model: keras.Model,
    inputs: np.ndarray,
    per_channel: bool = True,
    io_type=tf.int8,
) -> bytes:
  """Returns an integer file.

  Args:
    model: float network.
    inputs: real [N, H, W, C], for the ranges of the activations.
    per_channel: whether each output channel of a weight has a scale.
    io_type: type of input and output.
  """
  converter = _converter(model)
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.representative_dataset = lambda: ([x[np.newaxis]] for x in inputs)
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
  converter.inference_input_type = io_type
  converter.inference_output_type = io_type
  # pylint: disable-next=protected-access
  converter._experimental_disable_per_channel = not per_channel
  return converter.convert()


def uint8(model: keras.Model, inputs: np.ndarray) -> bytes:
  """Returns a file with uint8 codes, as older converters wrote them."""
  file = edit(int8(model, inputs, per_channel=False), _to_uint8)
  return file


def edit(file: bytes, change) -> bytes:
  """Returns a file in which `change` has altered the schema's ModelT."""
  import flatbuffers  # pylint: disable=import-outside-toplevel

  model = _schema.ModelT.InitFromObj(_schema.Model.GetRootAs(file, 0))
  change(model)
  builder = flatbuffers.Builder(len(file))
  builder.Finish(model.Pack(builder), b'TFL3')
  return bytes(builder.Output())


def run(file: bytes, images: np.ndarray) -> np.ndarray:
  """Returns real [N, outputs] of stock TensorFlow Lite.

  Args:
    file: with 8-bit or float32 input.
    images: uint8 [N, H, W, C]; code = pixel or pixel - 128, float = code / 128.
  """
  interpreter = tf.lite.Interpreter(model_content=file)
  interpreter.allocate_tensors()
  (source,) = interpreter.get_input_details()
  (result,) = interpreter.get_output_details()
  codes = images.astype(np.float32) - 128
  if source['dtype'] == np.uint8:
    codes = codes + 128
  if source['dtype'] == np.float32:
    codes = codes / 128
  outputs = []
  for image in codes.astype(source['dtype']):
    interpreter.set_tensor(source['index'], image[np.newaxis])
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result['index'])[0])
  scale, zero_point = result['quantization']
  if not scale:
    return np.array(outputs, np.float64)
  return (np.array(outputs, np.float64) - zero_point) * scale


def _converter(model: keras.Model):
  function = tf.function(lambda x: model(x)).get_concrete_function(
      tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
  )
  return tf.lite.TFLiteConverter.from_concrete_functions([function], model)


def _to_uint8(model) -> None:
  """Adds 128 to every int8 code and zero point."""
  done = set()
  for tensor in model.subgraphs[0].tensors:
    if tensor.type != _TYPES.INT8:
      continue
    tensor.type = _TYPES.UINT8
    zero_points = np.asarray(tensor.quantization.zeroPoint, np.int64)
    tensor.quantization.zeroPoint = zero_points + 128
    buffer = model.buffers[tensor.buffer]
    if buffer.data is not None and len(buffer.data):
      assert tensor.buffer not in done
      done.add(tensor.buffer)
      buffer.data = np.asarray(buffer.data, np.uint8) ^ 0x80
