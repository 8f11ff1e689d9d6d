"""Tests of --float_model: networks from .tflite, .h5 and .keras files."""

import numpy as np
import pytest
import tf_keras as keras

from tests import calibration_models
from tests import tflite_files
from tfmpq import datasets
from tfmpq import float_models
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import models
from tfmpq import specs
from tfmpq import tflite_graph

layers = keras.layers
_schema = tflite_graph.schema
_NUM_IMAGES = 60


def _model(name):
  return calibration_models.randomize(
      {
          'bottlenecks': calibration_models.bottlenecks,
          'pools': calibration_models.pools,
          'residual': lambda: models.build_model(
              'resnet8', input_shape=(12, 10, 3), width=0.25
          ),
      }[name](),
      seed=0,
  )


def _images(model):
  return calibration_models.images(model.input_shape[1:], _NUM_IMAGES, seed=5)


def _logits(network, images):
  logits = float_ops.logits(network, datasets.to_input(images))
  return logits.reshape(len(images), -1)


def _read(folder, content: bytes, **kwargs):
  path = folder / 'model.tflite'
  path.write_bytes(content)
  return float_models.read(path, float_models.Reading(**kwargs))


@pytest.fixture(scope='module', name='small')
def _small():
  """(model, images, int8 file) of a network with few layers."""
  inputs = keras.Input((8, 6, 3))
  x = layers.Conv2D(4, 3, 2, 'same', activation='relu6')(inputs)
  x = layers.DepthwiseConv2D(3, activation='relu')(x)
  x = layers.GlobalAveragePooling2D()(x)
  model = keras.Model(inputs, layers.Dense(5)(x))
  calibration_models.randomize(model, seed=1)
  images = _images(model)
  return model, images, tflite_files.int8(model, datasets.to_input(images))


@pytest.mark.parametrize('name', ['bottlenecks', 'pools', 'residual'])
def test_a_float_file_holds_the_network_it_was_made_of(name, tmp_path):
  model = _model(name)
  images = _images(model)
  network = _read(tmp_path, tflite_files.float32(model))
  expected = _logits(keras_graph.fold(model), images)
  assert expected.std() > 0.1
  np.testing.assert_allclose(
      _logits(network, images), expected, rtol=0, atol=1e-5 * expected.std()
  )


@pytest.mark.parametrize(
    'name,kind',
    [('bottlenecks', 'int8'), ('pools', 'uint8'), ('residual', 'uint8')],
)
def test_a_quantized_file_computes_what_stock_kernels_do(name, kind, tmp_path):
  model = _model(name)
  images = _images(model)
  file = getattr(tflite_files, kind)(model, datasets.to_input(images))
  received = _logits(_read(tmp_path, file), images)
  expected = tflite_files.run(file, images)
  # Stock kernels round activations to 8 bits; nothing else differs. A wrong
  # padding, zero point or activation function is off by a multiple of this.
  assert np.abs(received - expected).std() < 0.02 * expected.std()
  agreement = received.argmax(axis=1) == expected.argmax(axis=1)
  assert agreement.mean() >= 0.95


def test_weights_are_dequantized_per_channel_or_per_tensor(small, tmp_path):
  model, images, per_channel = small
  inputs = datasets.to_input(images)
  original = keras_graph.fold(model)
  for file, shared in (
      (per_channel, False),
      (tflite_files.int8(model, inputs, per_channel=False), True),
      (tflite_files.uint8(model, inputs), True),
  ):
    network = _read(tmp_path, file)
    pairs = zip(network.spec.layers, original.spec.layers, strict=True)
    for layer, other in pairs:
      if layer.weight is None:
        continue
      read, exact = (
          network.weights[layer.weight],
          original.weights[other.weight],
      )
      channel = -1 if layer.op is specs.Op.DEPTHWISE_CONV_2D else 0
      axes = tuple(np.delete(np.arange(exact.ndim), channel))
      largest = np.abs(exact).max(axis=None if shared else axes, keepdims=True)
      assert (np.abs(read - exact) <= largest / 127 * 0.501).all()
      assert (read != exact).any()


def test_the_codes_of_an_activation_bound_it(small, tmp_path):
  model, _, file = small
  network = _read(tmp_path, file)
  relu6, relu = (layer.output for layer in network.spec.layers[:2])
  assert 0 < network.ceilings[relu6] <= 6.0
  assert network.ceilings[relu] > 0
  assert not network.spec.tensor(relu).signed
  assert network.spec.tensor(network.spec.output).signed
  assert model.layers[1].name != relu6  # named after the operators


def _to_pixels(file, scale, offset):
  """Changes what the network reads to `scale * (pixel - offset)`, int8."""

  def change(model):
    quantization = (
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization
    )
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([offset - 128], np.int64)

  return tflite_files.edit(file, change)


def test_other_input_scales_and_zero_points_are_folded(small, tmp_path):
  _, images, file = small
  # Stock kernels take the bias for given in accumulator steps, so only the
  # reader can be asked: the file now means other numbers.
  plain = _read(tmp_path, file)
  network = _read(tmp_path, _to_pixels(file, 1 / 255, 0))
  codes = images.astype(np.float32) / 255
  expected = float_ops.logits(plain, codes).reshape(len(images), -1)
  np.testing.assert_allclose(_logits(network, images), expected, atol=1e-5)
  # The first layer pads with its own zero, so a layer in front shifts.
  first = network.spec.layers[0]
  assert first.op is specs.Op.DEPTHWISE_CONV_2D
  assert network.spec.tensor(first.output).fixed_bits == 8
  assert network.spec.tensor(first.weight).fixed_bits == 8
  assert not network.spec.tensor(first.output).signed
  # Without a shift nothing is added.
  scaled = _read(tmp_path, _to_pixels(file, 1 / 64, 128))
  assert scaled.spec == plain.spec


@pytest.mark.parametrize('suffix', ['.h5', '.keras'])
@pytest.mark.parametrize(
    'input_range,to_real',
    [
        ('', lambda p: (p - 128) / 128),
        ('0,255', lambda p: p),
        ('-1,1', lambda p: p / 127.5 - 1),
    ],
)
def test_keras_files_read_what_they_were_trained_on(
    suffix, input_range, to_real, tmp_path
):
  inputs = keras.Input((6, 6, 2))
  x = layers.Conv2D(4, 3, padding='same')(inputs)
  x = layers.BatchNormalization()(x)
  x = layers.ReLU()(x)
  x = layers.GlobalAveragePooling2D()(x)
  x = layers.Dense(4)(x)
  model = calibration_models.randomize(keras.Model(inputs, x), seed=2)
  images = _images(model)
  model.save(tmp_path / f'model{suffix}')
  reading = float_models.Reading(input_range=input_range)
  network = float_models.read(tmp_path / f'model{suffix}', reading)
  real = to_real(images.astype(np.float64))
  expected = model.predict(real, verbose=0)
  np.testing.assert_allclose(
      _logits(network, images), expected, rtol=1e-4, atol=1e-4 * expected.std()
  )


def test_a_layer_without_padding_takes_the_shift_itself(tmp_path):
  model = keras.Sequential(
      [
          keras.Input((4, 5, 2)),
          layers.DepthwiseConv2D(3),
          layers.Flatten(),
          layers.Dense(3),
      ]
  )
  calibration_models.randomize(model, seed=3)
  model.save(tmp_path / 'model.h5')
  reading = float_models.Reading(input_range='0,1')
  network = float_models.read(tmp_path / 'model.h5', reading)
  assert len(network.spec.layers) == 2
  images = _images(model)
  expected = model.predict(images / 255.0, verbose=0)
  np.testing.assert_allclose(_logits(network, images), expected, atol=1e-5)


def test_first_outputs_can_be_left_out(small, tmp_path):
  _, images, file = small
  whole = _logits(_read(tmp_path, file), images)
  network = _read(tmp_path, file, skip_outputs=2)
  np.testing.assert_array_equal(_logits(network, images), whole[:, 2:])
  with pytest.raises(ValueError, match='cannot leave out 5 outputs'):
    _read(tmp_path, file, skip_outputs=5)


def _subgraph_change(change):
  return lambda model: change(model.subgraphs[0])


def _set_option(kind, name, value):
  def change(subgraph):
    for operator in subgraph.operators:
      if hasattr(operator.builtinOptions, kind):
        setattr(operator.builtinOptions, name, value)

  return _subgraph_change(change)


def _make_int16(subgraph):
  subgraph.tensors[subgraph.inputs[0]].type = _schema.TensorType.INT16


def _forget_scales(subgraph):
  for tensor in subgraph.tensors:
    if tensor.shape is not None and len(tensor.shape) == 4:
      tensor.quantization.scale = None


def _rename_first_op(model):
  code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
  code.builtinCode = _schema.BuiltinOperator.LOGISTIC
  code.deprecatedBuiltinCode = _schema.BuiltinOperator.LOGISTIC


@pytest.mark.parametrize(
    'change,message',
    [
        (
            _rename_first_op,
            r'operator 0 \(LOGISTIC\) is not supported; supported: ADD, ',
        ),
        (
            _set_option('dilationHFactor', 'dilationHFactor', 2),
            r'operator 0 \(CONV_2D\), output .*: dilation must be 1',
        ),
        (
            _set_option(
                'fusedActivationFunction',
                'fusedActivationFunction',
                _schema.ActivationFunctionType.TANH,
            ),
            r'\(CONV_2D\).*fused activation function 4 is not supported',
        ),
        (_subgraph_change(_make_int16), 'expected quantized UINT8 or INT8'),
        (_subgraph_change(_forget_scales), 'expected quantized'),
        (lambda model: model.subgraphs.append(model.subgraphs[0]), 'subgraph'),
        (
            _subgraph_change(lambda s: setattr(s, 'outputs', s.outputs[:0])),
            'expected one output',
        ),
    ],
)
def test_what_is_not_supported_is_named(small, change, message, tmp_path):
  _, _, file = small
  with pytest.raises(ValueError, match=message):
    _read(tmp_path, tflite_files.edit(file, change))


def test_files_that_cannot_be_read_are_refused(small, tmp_path):
  model, _, file = small
  with pytest.raises(FileNotFoundError, match='does not exist'):
    float_models.read(tmp_path / 'none.tflite')
  with pytest.raises(ValueError, match='not a .tflite file'):
    _read(tmp_path, b'something else')
  with pytest.raises(ValueError, match='damaged'):
    _read(tmp_path, file[: len(file) // 2])
  with pytest.raises(ValueError, match='says itself how it reads pixels'):
    _read(tmp_path, file, input_range='0,1')
  for text in ('1', '1,0', 'a,b', '0,1,2'):
    with pytest.raises(ValueError, match='expected LOW,HIGH'):
      float_models.parse_range(text)
  other = tmp_path / 'model.onnx'
  other.write_bytes(b'')
  with pytest.raises(ValueError, match='expected a file .tflite, .h5'):
    float_models.read(other)
  model.save_weights(tmp_path / 'weights.h5')
  with pytest.raises(ValueError, match='no whole model'):
    float_models.read(tmp_path / 'weights.h5')


@pytest.mark.parametrize('kind', ['float32', 'uint8'])
def test_a_tflite_can_be_read_for_images_of_another_size(kind, tmp_path):
  # 'same' padding depends on the size: 16 and 12 are even, 11 and 9 odd.
  def build(shape):
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, 2, 'same', activation='relu6')(inputs)
    x = layers.DepthwiseConv2D(3, 2, 'same', activation='relu')(x)
    x = layers.AveragePooling2D(x.shape[1:3])(x)
    x = layers.Conv2D(5, 1)(x)
    return keras.Model(inputs, layers.Reshape((5,))(x))

  model = calibration_models.randomize(build((16, 12, 3)), seed=1)
  if kind == 'float32':
    file = tflite_files.float32(model)
  else:
    file = tflite_files.uint8(model, datasets.to_input(_images(model)))
  other = build((11, 9, 3))
  other.set_weights(model.get_weights())
  network = _read(tmp_path, file, image_size=(11, 9))
  assert network.spec.tensor(network.spec.input).shape == (11, 9, 3)
  images = _images(other)
  expected = _logits(keras_graph.fold(other), images)
  received = _logits(network, images)
  # Weights of 8 bits in the second file.
  atol = (1e-5 if kind == 'float32' else 0.1) * expected.std()
  np.testing.assert_allclose(received, expected, rtol=0, atol=atol)
  same = _read(tmp_path, file, image_size=(16, 12))
  assert same.spec == _read(tmp_path, file).spec


def test_a_flattened_image_keeps_a_tflite_to_its_size(tmp_path):
  inputs = keras.Input((8, 6, 3))
  model = keras.Model(inputs, layers.Dense(5)(layers.Flatten()(inputs)))
  with pytest.raises(ValueError, match='RESHAPE|FULLY_CONNECTED'):
    _read(tmp_path, tflite_files.float32(model), image_size=(12, 6))


def test_a_pool_cannot_take_a_scale(tmp_path):
  model = keras.Sequential(
      [keras.Input((4, 4, 1)), layers.AveragePooling2D(2), layers.Flatten()]
  )
  model.add(layers.Dense(2))
  model.save(tmp_path / 'model.h5')
  assert float_models.read(tmp_path / 'model.h5').spec.layers
  with pytest.raises(ValueError, match='average_pooling2d.* reads the network'):
    float_models.read(
        tmp_path / 'model.h5', float_models.Reading(input_range='0,1')
    )
