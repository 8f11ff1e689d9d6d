"""Networks that run under TFLite Micro, as .tflite files, for tests."""

import dataclasses

import numpy as np

from tests import mixed_network
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflite_writer

BUILTIN = 'builtin'
TARGETS = (BUILTIN, *(target.value for target in kernel_targets.Target))


def network(seed: int, target: str) -> quantized_network.QuantizedNetwork:
  """Returns a network with every op; of 'builtin' one that TFLM can run.

  Args:
    seed: of widths and weights.
    target: one of TARGETS.
  """
  return (
      _builtin(seed) if target == BUILTIN else mixed_network.mixed_network(seed)
  )


def tflite(net: quantized_network.QuantizedNetwork, target: str) -> bytes:
  """Returns the content of the .tflite of a network for a target."""
  if target == BUILTIN:
    return tflite_builtin.write(net)
  instruction_set = kernel_targets.Target(target)
  plan = memory_planner.arena_plan(net.spec, net.policy, instruction_set)
  return tflite_writer.write(net, plan, instruction_set)


def logits(
    net: quantized_network.QuantizedNetwork, target: str, codes: np.ndarray
) -> np.ndarray:
  """Returns int8 [N, ...]: what a device must give for input codes."""
  if target == BUILTIN:
    model = tflite_file.parse(tflite(net, target))
    return tflite_builtin_reference.run(model, codes)
  return reference_ops.run(net, codes)


def _builtin(seed: int) -> quantized_network.QuantizedNetwork:
  """Returns 8-bit activations, weights of 4 and 8 bits."""
  rng = np.random.default_rng(seed)
  spec = mixed_network.network_spec()
  # Builtin ops have no average over an image with padding.
  layers = (
      dataclasses.replace(layer, kernel_size=(1, 1), padding=(0, 0, 0, 0))
      if layer.op is specs.Op.AVERAGE_POOL_2D and any(layer.padding)
      else layer
      for layer in spec.layers
  )
  spec = dataclasses.replace(spec, layers=tuple(layers))
  policy = specs.QuantizationPolicy.of(
      {
          tensor.name: 8
          if tensor.kind is specs.TensorKind.ACTIVATION
          else int(rng.choice(tflite_builtin.WEIGHT_BITS))
          for tensor in spec.policy_tensors
      }
  )
  return mixed_network.random_network(
      spec, policy, per_channel_zero_points=False, rng=rng
  )
