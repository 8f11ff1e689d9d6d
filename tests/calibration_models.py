"""Small Keras networks and images for tests of calibration and lowering."""

import numpy as np
import tf_keras as keras

from tfmpq import evaluators
from tfmpq import float_network
from tfmpq import keras_graph
from tfmpq import models
from tfmpq import specs

layers = keras.layers

NAMES = ('bottlenecks', 'residual', 'pools', 'wide_kernel')


def network(name: str, seed: int = 0) -> float_network.FloatNetwork:
  """Returns a small float network with random weights and BatchNorms.

  Args:
    name: one of NAMES; together they have every op, linear bottlenecks,
      residual adds with and without ReLU, padded pools and odd channels.
    seed: of the weights.
  """
  builder = {
      'bottlenecks': bottlenecks,
      'residual': lambda: models.build_model(
          'resnet8', input_shape=(12, 10, 3), width=0.25
      ),
      'pools': pools,
      'wide_kernel': lambda: models.build_model(
          'ds_cnn', input_shape=(19, 8, 1), width=0.2
      ),
  }[name]
  return keras_graph.fold(randomize(builder(), seed))


def randomize(model: keras.Model, seed: int) -> keras.Model:
  """Sets random weights that keep the spread of values from layer to layer."""
  rng = np.random.default_rng(seed)
  for variable in model.variables:
    shape = tuple(variable.shape)
    if 'moving_variance' in variable.name or 'gamma' in variable.name:
      values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
      fan_in = np.prod(shape) / shape[-1 if shape[-1] > 1 else -2]
      values = rng.normal(0, np.sqrt(2 / fan_in), shape)
    else:
      values = rng.normal(0, 0.2, shape)
    variable.assign(values)
  return model


def images(shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
  """Returns uint8 [count, H, W, C]: blurred noise of random contrast."""
  rng = np.random.default_rng(seed)
  noise = rng.normal(0, 1, (count, *shape))
  blurred = noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)
  contrast = rng.uniform(10, 60, (count, 1, 1, 1))
  offset = rng.uniform(60, 190, (count, 1, 1, 1))
  return np.clip(offset + contrast * blurred, 0, 255).astype(np.uint8)


def random_policy(
    spec: specs.NetworkSpec, rng: np.random.Generator
) -> specs.QuantizationPolicy:
  """Returns a policy with random widths wherever they are free."""
  return specs.QuantizationPolicy.of(
      {
          tensor.name: tensor.fixed_bits or int(rng.choice(specs.BIT_WIDTHS))
          for tensor in spec.policy_tensors
      }
  )


def evaluator(
    float_net: float_network.FloatNetwork, **kwargs
) -> evaluators.PostTrainingEvaluator:
  """Returns an evaluator over 64 calibration and 300 labelled images."""
  shape = float_net.spec.tensor(float_net.spec.input).shape
  classes = float_net.spec.tensor(float_net.spec.output).num_elements
  kwargs.setdefault('per_channel_zero_points', True)
  rng = np.random.default_rng(7)
  return evaluators.PostTrainingEvaluator(
      float_net,
      images(shape, 64, seed=1),
      images(shape, 300, seed=2),
      rng.integers(0, classes, 300),
      **kwargs,
  )


def bottlenecks() -> keras.Model:
  """Two inverted residuals as in MobileNetV2, with ReLU6."""
  inputs = keras.Input((9, 11, 3), name='input')
  x = layers.Conv2D(7, 3, 2, 'same', activation='relu6', name='stem')(inputs)
  for index in (1, 2):
    shortcut = x = layers.Conv2D(5, 1, name=f'in_{index}')(x)
    x = layers.Conv2D(13, 1, name=f'expand_{index}')(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6)(x)
    x = layers.DepthwiseConv2D(3, 1, 'same', name=f'dw_{index}')(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6)(x)
    x = layers.Conv2D(5, 1, name=f'project_{index}')(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add(name=f'add_{index}')([shortcut, x])
  x = layers.GlobalAveragePooling2D(name='pool')(x)
  return keras.Model(inputs, layers.Dense(10, name='logits')(x), name='v2')


def pools() -> keras.Model:
  """Padded and strided pools of both kinds, on signed and unsigned tensors."""
  inputs = keras.Input((13, 10, 2), name='input')
  x = layers.Conv2D(6, (3, 2), (2, 1), 'same', name='conv_1')(inputs)
  x = layers.MaxPooling2D(3, 1, 'same', name='max_1')(x)
  x = layers.AveragePooling2D((3, 2), 1, 'same', name='average_1')(x)
  x = layers.Conv2D(9, 3, activation='relu', name='conv_2')(x)
  x = layers.MaxPooling2D(2, 2, 'same', name='max_2')(x)
  x = layers.AveragePooling2D(2, 2, 'same', name='average_2')(x)
  x = layers.Flatten(name='flatten')(x)
  x = layers.Dense(11, activation='relu', name='hidden')(x)
  return keras.Model(inputs, layers.Dense(10, name='logits')(x), name='pools')
