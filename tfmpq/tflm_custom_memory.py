"""What a network of our custom ops needs of the arena of TFLite Micro.

What the ops take is specified in tflm_ext/README.md, "Memory of the ops under
TFLite Micro"; what else there is in the .tflite, by tfmpq.tflite_writer.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflm_arena
from tfmpq import tflm_structures

_CACHED_NEEDS = 65536

# Of an op, by size of a pointer.
_OP_DATA_BYTES = {4: 32, 8: 40}


class CustomOps:
  """Answers for one network on one machine, whatever the policy."""

  def __init__(
      self,
      network: specs.NetworkSpec,
      pointer_bytes: int = 4,
      version: tflm_structures.Version = tflm_structures.Version.AUGUST_2026,
  ):
    """Looks at what does not depend on the policy.

    Args:
      network: the network.
      pointer_bytes: 4 on Cortex-M, 8 on a 64-bit host.
      version: of TFLM.
    """
    self._network = network
    self._structures = tflm_structures.structures(pointer_bytes, version)
    self._op_data_bytes = _OP_DATA_BYTES[pointer_bytes]
    self._scratch_names = [
        memory_planner.scratch_name(layer.name) for layer in network.layers
    ]
    self._need = functools.lru_cache(_CACHED_NEEDS)(self._compute)

  def need(
      self,
      buffers: Sequence[memory_planner.Buffer],
      plan: memory_planner.Plan,
  ) -> tflm_arena.ArenaNeed:
    """Returns what TFLM needs.

    The plan's offsets of activations are in the metadata of the model. For
    scratch memory TFLM looks itself, with every activation in its place.

    Args:
      buffers: activations and scratch memory (`memory_planner`).
      plan: of them.
    """
    sizes = {buffer.name: buffer.size_bytes for buffer in buffers}
    scratch = tuple(sizes.get(name, 0) for name in self._scratch_names)
    taken = set(self._scratch_names)
    offsets = {n: at for n, at in plan.offsets.items() if n not in taken}
    head = memory_planner.tflm_greedy_plan(buffers, offsets).size_bytes
    return self._need(tuple(map(bool, scratch)), head)

  def _compute(
      self, has_scratch: tuple[bool, ...], head_bytes: int
  ) -> tflm_arena.ArenaNeed:
    num_activations = len(self._network.layers) + 1
    return tflm_arena.need_of(
        self._graph(has_scratch),
        head_bytes,
        num_activations + sum(has_scratch),
        self._structures,
    )

  def _graph(self, has_scratch: tuple[bool, ...]) -> tflm_arena.Graph:
    """Returns numbers of tensors and allocations; no sizes of tensors."""
    layers = self._network.layers
    activations = (self._network.input, *(layer.output for layer in layers))
    output = activations.index(self._network.output)
    num_constants = sum(
        (layer.weight is not None) + (layer.op is not specs.Op.MAX_POOL_2D)
        for layer in layers
    )
    # Input and output have a scale.
    tensors = [
        tflm_arena.Tensor(0, channels=int(i in (0, output)))
        for i in range(len(activations) + num_constants)
    ]
    ops = tuple(
        tflm_arena.Op(
            inputs=(),
            outputs=(),
            init_bytes=self._op_data_bytes,
            scratch_bytes=(1,) if scratch else (),
        )
        for scratch in has_scratch
    )
    return tflm_arena.Graph(tuple(tensors), ops, (0,), (output,))


def arena_need(
    network: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    target: kernel_targets.Target,
    pointer_bytes: int = 4,
) -> tflm_arena.ArenaNeed:
  """Returns what a model needs that was exported for a target and runs there.

  Args:
    network: the network.
    policy: of the network.
    target: instruction set.
    pointer_bytes: 4 on Cortex-M, 8 on a 64-bit host.
  """
  buffers = memory_planner.activation_buffers(
      network, policy, in_place=True, target=target
  )
  plan = memory_planner.offline_plan(buffers)
  return CustomOps(network, pointer_bytes).need(buffers, plan)
