"""Models whose arena under TFLite Micro is predicted, and then measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses

import numpy as np

from tests import mobilenet_specs
from tests import random_specs
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_file
from tfmpq import tflite_writer
from tfmpq import tflm_arena
from tfmpq import tflm_builtin_memory
from tfmpq import tflm_custom_memory
from tfmpq import tflm_structures


@dataclasses.dataclass(frozen=True)
class Case:
  """A model and what is predicted for it.

  Attributes:
    name: for messages.
    tflite: content of the file.
    need: predicted.
  """

  name: str
  tflite: bytes
  need: tflm_arena.ArenaNeed


def pointer_bytes(core: str) -> int:
  """Returns the size of a pointer on a core or on the host."""
  return 8 if core == 'host' else 4


def custom_case(
    spec: specs.NetworkSpec, core: str, rng: np.random.Generator
) -> Case:
  """Returns a network under a random policy, in our custom ops."""
  policy = _policy(spec, rng, specs.BIT_WIDTHS, specs.BIT_WIDTHS)
  return policy_case(spec, policy, core, bool(rng.integers(2)))


def policy_case(
    spec: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    core: str,
    per_channel: bool = True,
) -> Case:
  """Returns a network under a policy, in our custom ops."""
  network = tflite_writer.zero_network(spec, policy, per_channel, multiplier=1)
  target = kernel_targets.of_core(core)
  plan = memory_planner.arena_plan(spec, policy, target)
  return Case(
      f'{spec.name}, custom ops, {policy.as_dict()}',
      tflite_writer.write(network, plan, target),
      tflm_custom_memory.arena_need(spec, policy, target, pointer_bytes(core)),
  )


def builtin_case(
    spec: specs.NetworkSpec, core: str, rng: np.random.Generator
) -> Case:
  """Returns a network under a random policy, in TFLM's own ops.

  Raises:
    ValueError: TFLM has no such ops.
  """
  policy = _policy(spec, rng, (8,), tflite_builtin.WEIGHT_BITS)
  network = tflite_writer.zero_network(spec, policy, False, multiplier=1)
  tflite = tflite_builtin.write(network)
  graph = tflm_builtin_memory.graph(
      tflite_file.parse(tflite),
      tflm_builtin_memory.of_core(core),
      pointer_bytes(core),
  )
  structures = tflm_structures.structures(pointer_bytes(core))
  return Case(
      f'{spec.name}, builtin ops, {policy.as_dict()}',
      tflite,
      tflm_arena.arena_need(graph, structures),
  )


def _policy(
    spec: specs.NetworkSpec,
    rng: np.random.Generator,
    activation_bits: tuple[int, ...],
    weight_bits: tuple[int, ...],
) -> specs.QuantizationPolicy:
  bits = {}
  for tensor in spec.policy_tensors:
    is_weight = tensor.kind is specs.TensorKind.WEIGHT
    choices = weight_bits if is_weight else activation_bits
    bits[tensor.name] = tensor.fixed_bits or int(rng.choice(choices))
  return specs.QuantizationPolicy.of(bits)


def random_cases(
    core: str, count: int, rng: np.random.Generator
) -> Iterator[Case]:
  """Yields small random networks, `count` of custom and of builtin ops each.

  Their activations are so small that planning needs more than running.
  """
  makers: tuple[Callable[..., Case], ...] = (custom_case, builtin_case)
  for make in makers:
    found = 0
    while found < count:
      try:
        yield make(random_specs.random_spec(rng), core, rng)
      except ValueError:  # not every network can be written in builtin ops
        if make is custom_case:
          raise
        continue
      found += 1


def spec_networks() -> tuple[specs.NetworkSpec, ...]:
  """Returns MobileNets that need no Keras."""
  return (
      mobilenet_specs.mobilenet_v1(0.25, 96, 1, 2),
      mobilenet_specs.mobilenet_v2(0.35, 96, 10),
  )
