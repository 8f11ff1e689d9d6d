"""The Keras model of quantization-aware training, and back to plain numbers.

The model is built layer by layer from a FloatNetwork (BatchNorm is folded, all
padding explicit) and every layer is wrapped by tfmot with our own
QuantizeConfig. Training starts where post-training calibration ended, and
ends as a CalibratedNetwork, which is what lowering reads. This is the only
module that knows how the variables of the wrapped layers are called.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
)
import tf_keras as keras

from tfmpq import calibrated_network
from tfmpq import compute_types
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantizers
from tfmpq import specs

# How far inside its rounding interval a weight starts, in steps, so that
# float32 rounding cannot move it to the next code.
_MARGIN = 1e-3


def build_model(
    network: float_network.FloatNetwork,
    start: calibrated_network.CalibratedNetwork,
    training_dtype: str = 'float32',
) -> keras.Model:
  """Returns a trainable fake-quantized model under the policy of `start`.

  Args:
    network: the float network.
    start: its post-training calibration: policy, scales, zero points, clips,
      codes. The model starts with exactly these codes.
    training_dtype: type in which convolutions compute when the model is called
      with `training=True`; see `compute_types`.

  Returns:
    float32 [N, H, W, C] real inputs -> float32 [N, classes] logits that are
    quantized to the 8 bits of the network output.
  """
  spec, policy = network.spec, start.policy
  tensors = {spec.input: keras.Input(spec.tensor(spec.input).shape)}
  for layer in spec.layers:
    inputs = [_padded(tensors[n], layer) for n in layer.inputs]
    keras_layer = _keras_layer(spec, layer, training_dtype)
    if layer.op is not specs.Op.MAX_POOL_2D:
      keras_layer = quantize_wrapper.QuantizeWrapperV2(
          keras_layer, _quantize_config(spec, policy, layer), name=layer.name
      )
    tensors[layer.output] = keras_layer(inputs if inputs[1:] else inputs[0])
  logits = keras.layers.Flatten()(tensors[spec.output])
  model = QatModel(tensors[spec.input], logits, name=spec.name)
  model.set_bias_units(spec, policy)
  _initialize(model, network, start)
  return model


def calibrated(
    model: keras.Model, start: calibrated_network.CalibratedNetwork
) -> calibrated_network.CalibratedNetwork:
  """Returns what the trained model has learned, in the form of `start`."""
  spec = start.spec
  weights, clips = {}, {}
  for layer in spec.layers:
    if layer.op is specs.Op.MAX_POOL_2D:
      continue
    variables = _variables(model, layer)
    clips[layer.output] = float(tf.exp(variables['log_clip']))
    if layer.weight is not None:
      weights[layer.weight] = _calibrated_weight(
          layer, variables, policy_bits=start.policy.bits(spec, layer.weight)
      )
  return dataclasses.replace(start, weights=weights, clips=clips)


def float_weights(
    model: keras.Model, network: float_network.FloatNetwork
) -> float_network.FloatNetwork:
  """Returns the network with the weights that lie behind the codes.

  Calibrating this network anew at fewer bits is how training goes on with the
  next phase of a progressive schedule.
  """
  weights, biases = {}, {}
  for layer in network.spec.layers:
    if layer.weight is not None:
      variables = _variables(model, layer)
      kernel = variables['weight'].numpy()
      weights[layer.weight] = _logical_layout(layer.op, kernel)
      biases[layer.name] = variables['bias'].numpy()
  return dataclasses.replace(network, weights=weights, biases=biases)


def _logical_layout(op: specs.Op, kernel: np.ndarray) -> np.ndarray:
  """Inverse of `float_ops.kernel_layout`."""
  if op is specs.Op.DEPTHWISE_CONV_2D:
    return kernel[..., 0]  # [kH, kW, C]
  if op is specs.Op.FULLY_CONNECTED:
    return kernel[0, 0].T  # [C_out, C_in]
  return kernel.transpose(3, 0, 1, 2)  # [C_out, kH, kW, C_in]


class QatModel(keras.Model):
  """A functional model that keeps the units of its biases up to date."""

  def set_bias_units(self, spec, policy) -> None:
    """Finds, once, the variables of which a bias unit is the product."""
    self._units = []
    for layer in spec.layers:
      if layer.weight is None:
        continue
      own = _variables(self, layer)
      clip, steps = tf.constant(0.0), 1 / quantization.INPUT_PARAMS.scale
      source = spec.bits_owner(layer.inputs[0])
      if source != spec.input:
        producer = spec.producer(source)
        clip = _variables(self, producer)['log_clip']
        signed = spec.tensor(source).signed
        steps = quantization.num_steps(policy.bits(spec, source), signed)
      self._units.append((own['unit'], own['log_scale'], clip, steps))

  def call(self, inputs, training=None, mask=None):
    for unit, log_scale, log_clip, steps in self._units:
      unit.assign(tf.exp(log_scale + log_clip) / steps)
    return super().call(inputs, training=training, mask=mask)


class Pool(keras.layers.Layer):
  """A pool with explicit padding that is not counted."""

  def __init__(self, layer: specs.LayerSpec, **kwargs):
    super().__init__(**kwargs)
    self._layer = layer

  def call(self, inputs):
    if self._layer.op is specs.Op.AVERAGE_POOL_2D:
      return float_ops.average_pool(self._layer, inputs)
    return float_ops.max_pool(self._layer, inputs)


def _padded(tensor, layer: specs.LayerSpec):
  """Pads a convolution's input with real zeros; pools pad themselves."""
  if layer.weight is None or not any(layer.padding):
    return tensor
  top, left, bottom, right = layer.padding
  return keras.layers.ZeroPadding2D(((top, bottom), (left, right)))(tensor)


def _keras_layer(
    spec: specs.NetworkSpec, layer: specs.LayerSpec, training_dtype: str
) -> keras.layers.Layer:
  """Returns the bare layer; the output quantizer's clamp acts as the ReLU."""
  name = f'{layer.name}_float'
  if layer.op in (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED):
    channels = spec.tensor(layer.output).shape[2]
    return compute_types.Conv2D(
        channels,
        layer.kernel_size,
        layer.stride,
        name=name,
        training_dtype=training_dtype,
    )
  if layer.op is specs.Op.DEPTHWISE_CONV_2D:
    return compute_types.DepthwiseConv2D(
        layer.kernel_size,
        layer.stride,
        name=name,
        training_dtype=training_dtype,
    )
  if layer.op is specs.Op.ADD:
    return keras.layers.Add(name=name)
  return Pool(layer, name=name)


def _quantize_config(spec, policy, layer) -> quantizers.PolicyQuantizeConfig:
  weight_bits = policy.bits(spec, layer.weight) if layer.weight else None
  return quantizers.PolicyQuantizeConfig(
      weight_bits,
      policy.bits(spec, layer.output),
      spec.tensor(layer.output).signed,
  )


def _variables(
    model: keras.Model, layer: specs.LayerSpec
) -> dict[str, tf.Variable]:
  """Returns a wrapped layer's variables by what they are."""
  roles = {
      'kernel': 'weight',
      'depthwise_kernel': 'weight',
      'bias': 'bias',
      'bias_unit': 'unit',
      'kernel_log_scale': 'log_scale',
      'depthwise_kernel_log_scale': 'log_scale',
      'kernel_zero_point': 'zero_point',
      'depthwise_kernel_zero_point': 'zero_point',
      'output_log_clip': 'log_clip',
  }
  found = {}
  for variable in model.get_layer(layer.name).weights:
    name = variable.name.split(':')[0].split('/')[-1]
    if name in roles:
      found[roles[name]] = variable
  return found


def _initialize(model, network, start) -> None:
  """Gives every variable the value that calibration found."""
  spec = network.spec
  for layer in spec.layers:
    if layer.op is specs.Op.MAX_POOL_2D:
      continue
    variables = _variables(model, layer)
    variables['log_clip'].assign(np.log(start.clips[layer.output]))
    if layer.weight is None:
      continue
    weight = start.weights[layer.weight]
    latent = _latent_weight(layer, network.weights[layer.weight], weight)
    variables['weight'].assign(float_ops.kernel_layout(layer.op, latent))
    variables['bias'].assign(weight.bias)
    variables['log_scale'].assign(np.log(weight.scales))
    variables['zero_point'].assign(weight.zero_points)


def _latent_weight(
    layer: specs.LayerSpec,
    weight: np.ndarray,
    calibrated_weight: calibrated_network.CalibratedWeight,
) -> np.ndarray:
  """Returns real weights that round to the calibrated codes.

  Calibration may have scaled a channel (re-estimated statistics) and rounded
  a weight away from the nearest code. The result is the float weight times
  the channel's least-squares gain, moved into the interval of its code: it
  starts at the calibrated accuracy and still knows which way each weight
  leans.
  """
  codes = _channel_rows(layer.op, calibrated_weight.codes.astype(np.float64))
  rows = _channel_rows(layer.op, weight.astype(np.float64))
  scales = calibrated_weight.scales[:, np.newaxis]
  steps = codes - calibrated_weight.zero_points[:, np.newaxis]
  energy = (rows**2).sum(axis=1, keepdims=True)
  gain = (scales * steps * rows).sum(axis=1, keepdims=True) / np.where(
      energy > 0, energy, 1
  )
  reach = 0.5 - _MARGIN
  latent = scales * np.clip(gain * rows / scales, steps - reach, steps + reach)
  return _from_channel_rows(layer.op, latent, weight.shape).astype(np.float32)


def _channel_rows(op: specs.Op, weight: np.ndarray) -> np.ndarray:
  """Returns [C_out, taps]."""
  if op is specs.Op.DEPTHWISE_CONV_2D:
    return weight.reshape(-1, weight.shape[-1]).T
  return weight.reshape(weight.shape[0], -1)


def _from_channel_rows(op: specs.Op, rows: np.ndarray, shape) -> np.ndarray:
  """Inverse of `_channel_rows`."""
  return (rows.T if op is specs.Op.DEPTHWISE_CONV_2D else rows).reshape(shape)


def _calibrated_weight(
    layer: specs.LayerSpec, variables, policy_bits: int
) -> calibrated_network.CalibratedWeight:
  """Rounds the trained weights exactly as the fake quantizer does."""
  kernel = _logical_layout(layer.op, variables['weight'].numpy())
  scales = tf.exp(variables['log_scale']).numpy()  # float32, as in training
  zero_points = variables['zero_point'].numpy()
  rows = _channel_rows(layer.op, kernel)
  steps = np.floor(rows / scales[:, np.newaxis] + np.float32(0.5))
  lowest, highest = packing.code_range(policy_bits)
  codes = np.clip(
      steps + zero_points[:, np.newaxis], max(lowest, -127), highest
  )
  return calibrated_network.CalibratedWeight(
      codes=_from_channel_rows(layer.op, codes, kernel.shape).astype(
          packing.code_dtype(policy_bits)
      ),
      scales=scales.astype(np.float64),
      zero_points=zero_points.astype(np.int8),
      bias=variables['bias'].numpy().astype(np.float64),
  )
