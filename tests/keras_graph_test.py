"""Tests of keras_graph: what it folds computes what Keras computes."""

from absl import logging
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import models
from tfmpq import specs

layers = keras.layers


def _randomize(model, seed=0):
  """Gives every variable random values, BatchNorm statistics included."""
  rng = np.random.default_rng(seed)
  for variable in model.variables:
    shape = tuple(variable.shape)
    if 'moving_variance' in variable.name or 'gamma' in variable.name:
      values = rng.uniform(0.3, 2.0, shape)
    elif len(shape) > 1:
      fan_in = np.prod(shape) / shape[-1 if shape[-1] > 1 else -2]
      values = rng.normal(0, np.sqrt(1 / fan_in), shape)
    else:
      values = rng.normal(0, 0.3, shape)
    variable.assign(values)
  return model


def _assert_equals_keras(model, seed=0):
  _randomize(model, seed)
  network = keras_graph.fold(model)
  rng = np.random.default_rng(seed + 1)
  inputs = rng.uniform(-1, 1, (3, *model.input_shape[1:])).astype(np.float32)
  expected = model.predict(inputs, verbose=0)
  full = network.spec.tensor(network.spec.input).shape
  received = float_ops.logits(network, inputs.reshape(3, *full))
  # Relative to the largest value, so that deep random networks, whose values
  # grow or shrink, are judged alike.
  largest = np.abs(expected).max()
  assert largest > 1e-3, f'seed {seed}: the network computes nothing'
  np.testing.assert_allclose(
      received.reshape(expected.shape) / largest,
      expected / largest,
      atol=1e-5,
      rtol=0,
      err_msg=f'seed {seed}',
  )
  return network


def _functional(shape, *stack):
  inputs = x = keras.Input(shape, name='input')
  for layer in stack:
    x = layer(x)
  return keras.Model(inputs, x, name='net')


@pytest.mark.parametrize(
    'name,shape',
    [
        ('mobilenet_v1_small', (28, 28, 1)),
        ('mobilenet_v1_small', (27, 33, 3)),
        ('mobilenet_v1', (64, 48, 3)),
        ('mobilenet_v2', (64, 64, 3)),
        ('resnet8', (32, 32, 3)),
        ('resnet8', (31, 17, 3)),
        ('ds_cnn', (49, 10, 1)),
    ],
)
def test_folded_network_equals_the_keras_model(name, shape):
  model = models.build_model(name, input_shape=shape, width=0.5)
  network = _assert_equals_keras(model)
  assert network.spec.output == 'logits'
  assert network.spec.tensor('logits').fixed_bits == 8
  assert network.spec.tensor('input').fixed_bits == 8


@pytest.mark.parametrize('padding', ['same', 'valid'])
@pytest.mark.parametrize('stride', [1, 2, 3, (2, 1), (1, 3)])
@pytest.mark.parametrize('size', [(7, 8), (9, 6)])
def test_every_padding_and_stride_equals_keras(padding, stride, size):
  same_strides = isinstance(stride, int)
  _assert_equals_keras(
      _functional(
          (*size, 3),
          layers.Conv2D(5, (3, 2), stride, padding, activation='relu'),
          layers.DepthwiseConv2D(2, stride if same_strides else 1, padding),
          layers.BatchNormalization(),
          layers.ReLU(6),
          layers.GlobalAveragePooling2D(),
          layers.Dense(4),
      )
  )


@pytest.mark.parametrize('padding', ['same', 'valid'])
@pytest.mark.parametrize('stride', [1, 2, (2, 1)])
@pytest.mark.parametrize('kind', [layers.AveragePooling2D, layers.MaxPooling2D])
def test_pools_equal_keras(kind, stride, padding):
  network = _assert_equals_keras(
      _functional(
          (8, 7, 2),
          layers.Conv2D(3, 2),
          kind((3, 2), stride, padding, name='pool'),
          layers.Conv2D(2, 1, name='last'),
      )
  )
  shares = network.spec.tensor('pool').bits_of
  assert (shares is not None) == (kind is layers.MaxPooling2D)


def test_pooling_ends_of_networks_equal_keras():
  _assert_equals_keras(
      _functional(
          (6, 5, 3),
          layers.SeparableConv2D(4, 3, 2, 'same', activation='relu'),
          layers.GlobalAveragePooling2D(keepdims=True),
          layers.Dropout(0.5),
          layers.Conv2D(3, 1),
          layers.Reshape((3,)),
      )
  )
  network = _assert_equals_keras(
      _functional(
          (6, 5, 3), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(name='top')
      )
  )
  owner = network.spec.bits_owner('top')
  assert network.spec.tensor(owner).fixed_bits == 8


def test_flatten_and_dense_become_a_convolution():
  network = _assert_equals_keras(
      _functional(
          (6, 5, 3),
          layers.Conv2D(4, 3, activation='relu'),
          layers.Flatten(),
          layers.Dropout(0.1),
          layers.Dense(7, activation='relu', name='hidden'),
          layers.Dense(2, name='last'),
      )
  )
  hidden, last = network.spec.layers[1:]
  assert hidden.op is specs.Op.CONV_2D
  assert hidden.kernel_size == (4, 3)
  assert last.op is specs.Op.FULLY_CONNECTED


def test_vector_inputs_and_dense_layers_per_pixel_equal_keras():
  _assert_equals_keras(
      _functional((9,), layers.Dense(4), layers.BatchNormalization())
  )
  _assert_equals_keras(
      _functional((4, 4, 3), layers.Dense(4, activation='relu'))
  )


def test_sequential_models_equal_keras():
  _assert_equals_keras(
      keras.Sequential(
          [
              layers.Conv2D(4, 3, input_shape=(6, 6, 2), use_bias=False),
              layers.BatchNormalization(scale=False),
              layers.Activation('relu'),
              layers.MaxPooling2D(),
              layers.Flatten(),
              layers.Dense(3),
          ]
      )
  )


def test_zero_padding_is_merged_into_its_readers():
  network = _assert_equals_keras(
      _functional(
          (8, 8, 2),
          layers.ZeroPadding2D(((0, 1), (1, 0))),
          layers.Conv2D(3, 3, 2, activation='relu', name='first'),
          layers.ZeroPadding2D(1),
          layers.DepthwiseConv2D(4, 1, 'same', name='second'),
          layers.Activation(tf.nn.relu6),
          layers.ZeroPadding2D(1),
          layers.MaxPooling2D(3, 2, name='third'),
      )
  )
  assert [layer.padding for layer in network.spec.layers] == [
      (0, 1, 1, 0),
      (2, 2, 3, 3),
      (1, 1, 1, 1),
  ]


def test_a_relu_after_a_pool_equals_keras():
  for kind in (layers.MaxPooling2D, layers.AveragePooling2D):
    network = _assert_equals_keras(
        _functional(
            (8, 8, 2),
            layers.Conv2D(3, 3, name='conv'),
            kind(name='pool'),
            layers.ReLU(),
            layers.Conv2D(2, 1),
        )
    )
    assert not network.spec.tensor('pool').signed
    assert network.spec.tensor('conv').signed == (
        kind is layers.AveragePooling2D
    )


def test_a_sum_is_signed_only_where_it_can_be_negative():
  inputs = keras.Input((4, 4, 3), name='input')
  first = layers.Conv2D(2, 1, activation='relu')(inputs)
  second = layers.Conv2D(2, 1, activation='relu')(inputs)
  third = layers.Conv2D(2, 1)(inputs)
  both = layers.Add(name='both_rectified')([first, second])
  total = layers.Add(name='total')([both, third])
  rectified = layers.ReLU(max_value=0.5)(total)
  model = keras.Model(inputs, layers.Conv2D(2, 1)(rectified))
  network = _assert_equals_keras(model)
  assert not network.spec.tensor('both_rectified').signed
  assert not network.spec.tensor('total').signed
  assert network.ceilings == {'total': 0.5}


def test_names_and_values_are_deterministic():
  model = _randomize(models.build_model('resnet8', width=0.5))
  first, second = keras_graph.fold(model), keras_graph.fold(model)
  assert first.spec == second.spec
  for name, weight in first.weights.items():
    np.testing.assert_array_equal(weight, second.weights[name])
  names = [t.name for t in first.spec.tensors]
  assert names[:3] == ['input', 'conv_stem/weight', 'conv_stem']
  assert 'stack_2_shortcut/weight' in names
  assert 'stack_3_relu' not in names  # part of the tensor stack_3_add


def test_a_final_softmax_is_left_out_with_a_note(caplog):
  logging.set_verbosity(logging.INFO)
  variants = (
      [layers.Dense(3, activation='softmax', name='last')],
      [layers.Dense(3), layers.Softmax(name='last')],
      [layers.Dense(3), layers.Activation('softmax', name='last')],
  )
  for stack in variants:
    caplog.clear()
    model = _functional((5,), *stack)
    network = keras_graph.fold(model)
    assert network.spec.layers[-1].op is specs.Op.FULLY_CONNECTED
    assert "layer 'last': softmax left out" in caplog.text


@pytest.mark.parametrize(
    'stack,message',
    [
        ([layers.UpSampling2D(name='up')], r"'up' \(UpSampling2D\).*supported"),
        ([layers.Conv2D(2, 1, dilation_rate=2, name='x')], "'x'.*dilation"),
        ([layers.Conv2D(2, 1, groups=2, name='x')], "'x'.*groups"),
        (
            [layers.DepthwiseConv2D(1, depth_multiplier=2, name='x')],
            "'x'.*depth_multiplier",
        ),
        ([layers.Conv2D(2, 1, activation='tanh', name='x')], "'x'.*'tanh'"),
        ([layers.Conv2D(2, 1), layers.LeakyReLU(name='x')], "'x'"),
        (
            [layers.Conv2D(2, 1), layers.ReLU(negative_slope=0.1, name='x')],
            "'x'.*negative_slope",
        ),
        ([layers.ReLU(name='x')], "'x'.*must follow"),
        ([layers.BatchNormalization(name='x')], "'x'.*must follow"),
        (
            [
                layers.Conv2D(2, 1, activation='relu'),
                layers.BatchNormalization(name='x'),
            ],
            "'x'.*after an activation",
        ),
        (
            [layers.ZeroPadding2D(1), layers.AveragePooling2D(2, name='x')],
            "'x'.*padding='same'",
        ),
        ([layers.Conv2D(2, 1), layers.Flatten(name='x')], "'x'.*last"),
        ([layers.Reshape((2, 4, 4), name='x')], "'x'.*reshaping"),
        (
            [layers.Dense(2), layers.Softmax(name='s'), layers.ReLU(name='x')],
            "'x'.*softmax",
        ),
        ([layers.Dropout(0.5)], 'no layer computes'),
    ],
)
def test_what_is_not_supported_is_named(stack, message):
  with pytest.raises(ValueError, match=message):
    keras_graph.fold(_functional((4, 4, 2), *stack))


def test_topologies_that_are_not_supported_are_named():
  inputs = keras.Input((4, 4, 2), name='input')
  conv = layers.Conv2D(2, 1, name='conv')
  x = conv(inputs)
  relu = layers.ReLU(name='relu')(x)
  with pytest.raises(ValueError, match="'both' reads.*'conv' computes before"):
    keras_graph.fold(keras.Model(inputs, layers.Add(name='both')([x, relu])))
  with pytest.raises(ValueError, match=r"'conv' \(Conv2D\) is used 2 times"):
    keras_graph.fold(keras.Model(inputs, conv(x)))
  added = layers.Add(name='sum')([relu, relu])
  with pytest.raises(ValueError, match="'norm'.*must follow"):
    keras_graph.fold(
        keras.Model(inputs, layers.BatchNormalization(name='norm')(added))
    )
  with pytest.raises(ValueError, match='one input and one output'):
    keras_graph.fold(keras.Model(inputs, [x, relu]))
  free = keras.Input((None, None, 2), name='free')
  with pytest.raises(ValueError, match="'free'.*fixed shape"):
    keras_graph.fold(keras.Model(free, layers.Conv2D(2, 1)(free)))
  with pytest.raises(ValueError, match="'plus'.*supported layers"):
    keras_graph.fold(keras.Model(inputs, layers.Lambda(abs, name='plus')(x)))
