"""TensorFlow graph of the integer arithmetic, with every width a variable.

Codes travel as float32 numbers minus their zero point, so that 0 is the real
value 0 and padding needs no care. Products and sums of codes are integers; as
long as they stay below 2^24, float32 holds them exactly and in any order of
summation. Where sums are larger, and in the rescaling, which the integer
network does with 31-bit multipliers, a result can fall on the other side of a
rounding boundary: then it is one code apart.

Bits, clips, codes and scales come in as tensors, so one traced graph serves
every policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmpq import calibrated_network
from tfmpq import float_ops
from tfmpq import float_statistics
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_network
from tfmpq import specs

# Limits of the gain that re-estimated statistics may ask for. A channel that
# would need more has lost its signal; amplifying the rest would add noise.
MIN_GAIN = 0.25
MAX_GAIN = 4.0


class ActivationTensors(NamedTuple):
  """Parameters of one activation.

  Attributes:
    scale: scalar, real value of one step.
    lowest: scalar, lowest code minus zero point.
    highest: scalar, highest code minus zero point.
    bits: int32 scalar, width.
  """

  scale: tf.Tensor
  lowest: tf.Tensor
  highest: tf.Tensor
  bits: tf.Tensor


class WeightTensors(NamedTuple):
  """Constants of one layer with weights.

  Attributes:
    codes: code minus zero point, in the layout of `float_ops.kernel_layout`.
    scales: [C_out], real value of one step.
    bias: [C_out], real.
  """

  codes: tf.Tensor
  scales: tf.Tensor
  bias: tf.Tensor


class TargetStatistics(NamedTuple):
  """What a layer's values before the activation function should be like.

  Attributes:
    means: [C_out], of the float network.
    deviations: [C_out].
  """

  means: tf.Tensor
  deviations: tf.Tensor


def activation_tensors(params: quantization.QuantParams) -> ActivationTensors:
  """Returns the tensors of one activation's parameters."""
  lowest, highest = packing.code_range(params.bits)
  return ActivationTensors(
      tf.constant(params.scale, tf.float32),
      tf.constant(lowest - params.zero_point, tf.float32),
      tf.constant(highest - params.zero_point, tf.float32),
      tf.constant(params.bits, tf.int32),
  )


def weight_tensors(
    spec: specs.NetworkSpec,
    layer: specs.LayerSpec,
    weight: calibrated_network.CalibratedWeight,
) -> WeightTensors:
  """Returns the tensors of one layer's weight."""
  channels = spec.tensor(layer.output).shape[2]
  rows = quantized_network.channel_major(weight.codes, channels)
  centred = quantized_network.weight_shaped(
      rows.astype(np.int64) - weight.zero_points[:, np.newaxis],
      weight.codes.shape,
  )
  return WeightTensors(
      tf.constant(float_ops.kernel_layout(layer.op, centred), tf.float32),
      tf.constant(weight.scales, tf.float32),
      tf.constant(weight.bias, tf.float32),
  )


def tensors_of(
    network: calibrated_network.CalibratedNetwork,
) -> tuple[dict[str, ActivationTensors], dict[str, WeightTensors]]:
  """Returns what `forward` needs to run a calibrated network."""
  params = calibrated_network.activation_params(network)
  return (
      {name: activation_tensors(own) for name, own in params.items()},
      {
          layer.weight: weight_tensors(
              network.spec, layer, network.weights[layer.weight]
          )
          for layer in network.spec.layers
          if layer.weight is not None
      },
  )


def forward(
    spec: specs.NetworkSpec,
    activations: Mapping[str, ActivationTensors],
    weights: Mapping[str, WeightTensors],
    codes: tf.Tensor,
) -> Iterator[tuple[specs.LayerSpec, tf.Tensor]]:
  """Yields (layer, centred output codes [N, H, W, C]) in execution order.

  Args:
    spec: the network.
    activations: by the name of the activation that owns the bits.
    weights: by the name of the weight.
    codes: centred codes of the network input.
  """
  values = {spec.input: codes}
  for layer in spec.layers:
    values[layer.output] = run_layer(
        spec,
        layer,
        activations,
        weights.get(layer.weight) if layer.weight else None,
        tuple(values[name] for name in layer.inputs),
    )
    yield layer, values[layer.output]


def run_layer(
    spec: specs.NetworkSpec,
    layer: specs.LayerSpec,
    activations: Mapping[str, ActivationTensors],
    weight: WeightTensors | None,
    inputs: tuple[tf.Tensor, ...],
) -> tf.Tensor:
  """Returns the centred output codes of one layer; see `forward`."""
  if layer.op is specs.Op.MAX_POOL_2D:
    return float_ops.max_pool(layer, inputs[0])
  sources = [activations[spec.bits_owner(name)] for name in layer.inputs]
  output = activations[spec.bits_owner(layer.output)]
  if layer.op is specs.Op.ADD:
    ratios = [source.scale / output.scale for source in sources]
    return _round(inputs[0] * ratios[0] + inputs[1] * ratios[1], output)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    means = float_ops.average_pool(layer, inputs[0])
    return _round(means * (sources[0].scale / output.scale), output)
  sums = float_ops.linear(layer, inputs[0], weight.codes)
  signed = spec.tensor(layer.output).signed
  return _rescale(sums, sources[0], weight, output, signed)


def calibrate(
    spec: specs.NetworkSpec,
    activations: Mapping[str, ActivationTensors],
    weights: Mapping[str, WeightTensors],
    targets: Mapping[str, TargetStatistics],
    codes: tf.Tensor,
) -> tuple[dict[str, WeightTensors], tf.Tensor]:
  """Returns weights whose layers have the float network's statistics.

  Layer by layer, each on the codes that the corrected layers before it yield,
  every output channel gets a gain (MIN_GAIN..MAX_GAIN) and a bias with which
  its mean and its standard deviation are those of `targets`. Both vanish into
  the constants of the rescaling.

  Args:
    spec: the network.
    activations: by the name of the activation that owns the bits.
    weights: by the name of the weight.
    targets: by the name of the layer.
    codes: centred codes of the calibration images, whose number is known.

  Returns:
    (weights, centred output codes of the calibration images).

  The first layers, with large activations, take their statistics from few
  images (float_statistics.num_moment_images). The other images then pass
  through these layers in batches, one after the other, which bounds memory.
  """
  size = float_statistics.MIN_MOMENT_IMAGES
  head = _layers_with_few_images(spec)
  values = {spec.input: codes}
  corrected: dict[str, WeightTensors] = {}
  if head:
    values[spec.input] = codes[:size]
    _calibrate_layers(
        spec, head, activations, weights, targets, values, corrected
    )
    kept = _read_after(spec, head)
    batches = [{name: values[name] for name in kept}]
    for start in range(size, codes.shape[0], size):
      with tf.control_dependencies([*batches[-1].values()]):
        batch = {spec.input: tf.identity(codes[start : start + size])}
      for layer in head:
        batch[layer.output] = run_layer(
            spec,
            layer,
            activations,
            corrected.get(layer.weight),
            tuple(batch[name] for name in layer.inputs),
        )
      batches.append({name: batch[name] for name in kept})
    values = {
        name: tf.concat([batch[name] for batch in batches], axis=0)
        for name in kept
    }
  tail = spec.layers[len(head) :]
  _calibrate_layers(
      spec, tail, activations, weights, targets, values, corrected
  )
  return corrected, values[spec.output]


def _layers_with_few_images(
    spec: specs.NetworkSpec,
) -> tuple[specs.LayerSpec, ...]:
  """Returns the first layers, all of whose activations are large."""
  for index, layer in enumerate(spec.layers):
    height, width, _ = spec.tensor(layer.output).shape
    count = float_statistics.num_moment_images(height, width)
    if count > float_statistics.MIN_MOMENT_IMAGES:
      return spec.layers[:index]
  return spec.layers


def _read_after(
    spec: specs.NetworkSpec, head: tuple[specs.LayerSpec, ...]
) -> list[str]:
  """Returns the activations of `head` that are read after it."""
  made = {spec.input, *(layer.output for layer in head)}
  read = {spec.output}
  for layer in spec.layers[len(head) :]:
    read.update(layer.inputs)
  return sorted(made & read)


def _calibrate_layers(
    spec: specs.NetworkSpec,
    layers: tuple[specs.LayerSpec, ...],
    activations: Mapping[str, ActivationTensors],
    weights: Mapping[str, WeightTensors],
    targets: Mapping[str, TargetStatistics],
    values: dict[str, tf.Tensor],
    corrected: dict[str, WeightTensors],
) -> None:
  """Adds the layers' outputs to `values` and their weights to `corrected`."""
  for layer in layers:
    inputs = tuple(values[name] for name in layer.inputs)
    if layer.weight is None:
      values[layer.output] = run_layer(spec, layer, activations, None, inputs)
      continue
    source = activations[spec.bits_owner(layer.inputs[0])]
    weight = weights[layer.weight]
    sums = float_ops.linear(layer, inputs[0], weight.codes)
    weight = _corrected(sums, source, weight, targets[layer.name])
    corrected[layer.weight] = weight
    output = activations[spec.bits_owner(layer.output)]
    signed = spec.tensor(layer.output).signed
    values[layer.output] = _rescale(sums, source, weight, output, signed)


def _corrected(
    sums: tf.Tensor,
    source: ActivationTensors,
    weight: WeightTensors,
    target: TargetStatistics,
) -> WeightTensors:
  """Returns the weight with gain and bias so that its sums fit the target."""
  count = float_statistics.num_moment_images(*sums.shape[1:3])
  means, variances = _moments(sums[:count])
  step = source.scale * weight.scales
  deviations = tf.sqrt(variances) * step
  # A channel that is constant here has nothing to amplify.
  gain = tf.where(
      deviations > 0,
      target.deviations / tf.where(deviations > 0, deviations, 1.0),
      1.0,
  )
  gain = tf.clip_by_value(gain, MIN_GAIN, MAX_GAIN)
  bias = target.means - gain * step * means
  return WeightTensors(weight.codes, weight.scales * gain, bias)


def _moments(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns (means, variances) [C] of values [N, H, W, C].

  Sums over images and rows are products with ones, which is twice as fast on
  CPUs as reducing along all axes at once.
  """
  width, channels = values.shape[2:]
  rows = tf.reshape(values, (-1, width * channels))
  ones = tf.ones((1, tf.shape(rows)[0]))
  count = tf.cast(tf.shape(rows)[0] * width, tf.float32)

  def mean(own):
    sums = tf.reshape(ones @ own, (width, channels))
    return tf.reduce_sum(sums, axis=0) / count

  means = mean(rows)
  return means, tf.maximum(mean(tf.square(rows)) - tf.square(means), 0.0)


def _rescale(
    sums: tf.Tensor,
    source: ActivationTensors,
    weight: WeightTensors,
    output: ActivationTensors,
    signed: bool,
) -> tf.Tensor:
  """Returns centred output codes of weighted sums of centred codes."""
  step = source.scale * weight.scales
  # The integer network's bias is an integer in units of one accumulator step.
  bias = tf.floor(weight.bias / step + 0.5)
  # (sums + bias) * ratio in one pass over memory, which TensorFlow merges into
  # the convolution.
  rescaled = tf.raw_ops.FusedBatchNormV3(
      x=sums,
      scale=step / output.scale,
      offset=tf.zeros_like(step),
      mean=-bias,
      variance=tf.ones_like(step),
      epsilon=0.0,
      is_training=False,
  ).y
  # Rounds and clamps in one pass, too; it would rescale, but the range given is
  # that of the codes. Exact halves go to the even code, which the integer
  # network's do not; a multiplier that is no round number meets none.
  return tf.raw_ops.QuantizeAndDequantizeV3(
      input=rescaled,
      input_min=output.lowest,
      input_max=output.highest,
      num_bits=output.bits,
      signed_input=signed,
      range_given=True,
      narrow_range=False,
  )


def _round(codes: tf.Tensor, output: ActivationTensors) -> tf.Tensor:
  """Returns the nearest codes in range; halves go up."""
  return tf.raw_ops.ClipByValue(
      t=tf.floor(codes + 0.5),
      clip_value_min=output.lowest,
      clip_value_max=output.highest,
  )
