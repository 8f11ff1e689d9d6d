"""Policy -> Evaluation, in a fraction of a second: the reward of the search.

A policy is judged by what post-training quantization makes of it: codes by
error-minimizing rounding (weight_rounding), clips by least squared error
(activation_clips), and every layer's channel statistics set to those of the
float network (quantized_forward.calibrate). No labels and no training go into
it; the labels of the reward images only score the result. Without labels the
float network's own answers on the reward images do.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tfmpq import calibrated_network
from tfmpq import calibration_tables
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import packing
from tfmpq import quantization
from tfmpq import quantized_forward
from tfmpq import quantized_network
from tfmpq import specs

_BATCH_SIZE = 250


class PostTrainingEvaluator:
  """Evaluates policies of one network by post-training quantization.

  Two graphs are traced once, whatever the number of policies: one that
  calibrates and one that computes logits. Equal policies give equal
  evaluations to the bit, in another process too, on one type of machine with a
  fixed number of threads and op determinism (`reproducibility`).
  """

  def __init__(
      self,
      network: float_network.FloatNetwork,
      calibration_images: np.ndarray,
      images: np.ndarray,
      labels: np.ndarray,
      *,
      per_channel_zero_points: bool,
      cache_dir: pathlib.Path | None = None,
      tables: calibration_tables.CalibrationTables | None = None,
      bit_widths: tuple[int, ...] = specs.BIT_WIDTHS,
  ):
    """Computes the codes and clips of every tensor at every width.

    Args:
      network: float network that ends in logits (1, 1, classes).
      calibration_images: uint8 [N, H, W, C] of the training split; 512 are
        enough. Large activations of theirs are computed batch by batch.
      images: uint8 [M, H, W, C] of the reward split. If they are the
        calibration images, one pass does for both.
      labels: int [M].
      per_channel_zero_points: see quantized_network.QuantizedNetwork.
      cache_dir: where codes and clips are kept for the next start, or None.
      tables: codes and clips, if they are known; else they are computed.
      bit_widths: those that policies may have; ignored if `tables` are given.

    Raises:
      ValueError: shapes do not fit the network, or there are no images.
    """
    _check_images(network.spec, calibration_images, 'calibration images')
    _check_images(network.spec, images, 'images')
    if labels.shape != (len(images),):
      raise ValueError(
          f'expected {len(images)} labels, one per image, received shape '
          f'{labels.shape}'
      )
    self._spec = network.spec
    self._labels = labels
    self._per_channel_zero_points = per_channel_zero_points
    self._tables = tables or calibration_tables.load_or_build(
        network,
        calibration_images,
        per_channel_zero_points,
        cache_dir,
        bit_widths,
    )
    codes = datasets.to_codes(images)
    self._batches = [
        tf.constant(codes[start : start + _BATCH_SIZE])
        for start in range(0, len(codes), _BATCH_SIZE)
    ]
    if np.array_equal(images, calibration_images):
      self._batches = []
    self._float_logits = float_ops.logits(
        network, datasets.to_input(images), _BATCH_SIZE
    ).reshape(len(images), -1)
    self._calibration_codes = tf.constant(datasets.to_codes(calibration_images))
    self._make_tensors(network)
    self._trace_count = 0
    self._calibrate = self._traced_calibrate()
    self._forward = self._traced_forward()

  @property
  def trace_count(self) -> int:
    """Number of traces so far: one per graph, and never more."""
    return self._trace_count

  def __call__(self, policy: specs.QuantizationPolicy) -> evaluation.Evaluation:
    """Returns how good the network is on the reward images under a policy.

    Raises:
      ValueError: the policy is not one of this network.
    """
    activations, weights = self._lookup(policy)
    weights, outputs = self._calibrate(
        activations, weights, self._targets, self._calibration_codes
    )
    if self._batches:
      outputs = np.concatenate(
          [
              self._forward(activations, weights, batch).numpy()
              for batch in self._batches
          ]
      )  # [M, 1, 1, classes], integers
    scale = float(activations[self._spec.bits_owner(self._spec.output)].scale)
    logits = np.asarray(outputs, np.float64).reshape(len(self._labels), -1)
    return evaluation.from_logits(
        logits * scale, self._labels, self._float_logits
    )

  def calibrated(
      self, policy: specs.QuantizationPolicy
  ) -> calibrated_network.CalibratedNetwork:
    """Returns the network that `__call__` evaluates under a policy."""
    activations, weights = self._lookup(policy)
    corrected, _ = self._calibrate(
        activations, weights, self._targets, self._calibration_codes
    )
    spec = self._spec
    own_weights = {}
    for layer in spec.layers:
      if layer.weight is not None:
        tensors = corrected[layer.weight]
        own_weights[layer.weight] = dataclasses.replace(
            self._rounded[layer.weight, policy.bits(spec, layer.weight)],
            scales=tensors.scales.numpy().astype(np.float64),
            bias=tensors.bias.numpy().astype(np.float64),
        )
    return calibrated_network.CalibratedNetwork(
        spec=spec,
        policy=policy,
        weights=own_weights,
        clips={
            tensor.name: self._tables.clips[
                tensor.name, policy.bits(spec, tensor.name)
            ]
            for tensor in spec.activations
            if tensor.bits_of is None and tensor.name != spec.input
        },
        per_channel_zero_points=self._per_channel_zero_points,
    )

  def _make_tensors(self, network: float_network.FloatNetwork) -> None:
    """Makes the tensors of every (tensor, bits) and of the statistics."""
    spec = self._spec
    self._activations = {
        (name, bits): quantized_forward.activation_tensors(
            quantization.activation_params(bits, spec.tensor(name).signed, clip)
        )
        for (name, bits), clip in self._tables.clips.items()
    }
    self._activations[spec.input, quantization.INPUT_PARAMS.bits] = (
        quantized_forward.activation_tensors(quantization.INPUT_PARAMS)
    )
    layers = {layer.weight: layer for layer in spec.layers if layer.weight}
    self._rounded = {
        (name, bits): calibrated_network.CalibratedWeight(
            codes=quantized_network.weight_shaped(
                rounded.codes, spec.tensor(name).shape
            ).astype(packing.code_dtype(bits)),
            scales=rounded.scales,
            zero_points=rounded.zero_points.astype(
                np.float64 if bits == 1 else np.int8
            ),
            bias=network.biases[layers[name].name].astype(np.float64),
        )
        for (name, bits), rounded in self._tables.weights.items()
    }
    self._weights = {
        (name, bits): quantized_forward.weight_tensors(
            spec, layers[name], weight
        )
        for (name, bits), weight in self._rounded.items()
    }
    self._targets = {
        name: quantized_forward.TargetStatistics(
            tf.constant(self._tables.means[name], tf.float32),
            tf.constant(self._tables.deviations[name], tf.float32),
        )
        for name in self._tables.means
    }

  def _lookup(self, policy: specs.QuantizationPolicy):
    """Returns the activation and weight tensors of a policy."""
    widths = {bits for _, bits in (*self._activations, *self._weights)}
    policy.check(self._spec, sorted(widths))
    bits = policy.as_dict()
    return (
        {
            tensor.name: self._activations[tensor.name, bits[tensor.name]]
            for tensor in self._spec.activations
            if tensor.bits_of is None
        },
        {
            tensor.name: self._weights[tensor.name, bits[tensor.name]]
            for tensor in self._spec.weights
        },
    )

  def _signatures(self):
    """Returns what every policy's tensors look like, and any images do."""
    policy = specs.QuantizationPolicy.of(
        {
            tensor.name: tensor.fixed_bits or specs.BIT_WIDTHS[-1]
            for tensor in self._spec.policy_tensors
        }
    )
    activations, weights, targets = tf.nest.map_structure(
        tf.TensorSpec.from_tensor, (*self._lookup(policy), self._targets)
    )
    shape = self._spec.tensor(self._spec.input).shape
    images = tf.TensorSpec((None, *shape), tf.int8)
    return activations, weights, targets, images

  # XLA is off on purpose: on CPUs it is ten times slower and compiles for a
  # minute.
  def _traced_calibrate(self):
    activations, weights, targets, _ = self._signatures()
    images = tf.TensorSpec.from_tensor(self._calibration_codes)

    @tf.function(
        autograph=False,
        jit_compile=False,
        input_signature=[activations, weights, targets, images],
    )
    def calibrate(activations, weights, targets, codes):
      self._trace_count += 1
      return quantized_forward.calibrate(
          self._spec, activations, weights, targets, tf.cast(codes, tf.float32)
      )

    return calibrate

  def _traced_forward(self):
    activations, weights, _, images = self._signatures()

    @tf.function(
        autograph=False,
        jit_compile=False,
        input_signature=[activations, weights, images],
    )
    def forward(activations, weights, codes):
      self._trace_count += 1
      values = {
          layer.output: value
          for layer, value in quantized_forward.forward(
              self._spec, activations, weights, tf.cast(codes, tf.float32)
          )
      }
      return values[self._spec.output]

    return forward


def _check_images(
    spec: specs.NetworkSpec, images: np.ndarray, what: str
) -> None:
  expected = spec.tensor(spec.input).shape
  if not len(images) or images.shape[1:] != expected:
    raise ValueError(
        f'{what}: expected at least one of shape {expected}, received '
        f'{list(images.shape)}'
    )
