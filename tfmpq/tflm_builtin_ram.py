"""RAM rule of a network in TFLM's own ops: the smallest arena, to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import functools

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_file
from tfmpq import tflite_writer
from tfmpq import tflm_arena
from tfmpq import tflm_builtin_memory
from tfmpq import tflm_structures
from tfmpq.ram_model import Moment
from tfmpq.tflm_builtin_memory import Kernels

_CACHED_NEEDS = 4096

# Target of our kernels, by value -> kernels of TFLM there.
_KERNELS: Mapping[str, Kernels] = {
    'portable': Kernels.REFERENCE,
    'dsp': Kernels.CMSIS_DSP,
    'mve': Kernels.CMSIS_MVE,
}


def of_targets(
    targets: Iterable[kernel_targets.Target],
) -> tuple[Kernels, ...]:
  """Returns TFLM's kernels for machines with these instruction sets."""
  return tuple(_KERNELS[target.value] for target in targets)


class BuiltinRam:
  """RAM rule: bytes of the arena on a machine with given kernels.

  A policy decides only about scratch memory: activations have 8 bits, weights 8
  or 4, and each op depends on its own weight alone.
  """

  def __init__(
      self,
      network: specs.NetworkSpec,
      kernels: Kernels,
      pointer_bytes: int = 4,
  ):
    """Looks at each op with weights of either width.

    Raises:
      ValueError: builtin ops cannot compute the network.
    """
    self._network = network
    self._structures = tflm_structures.structures(pointer_bytes)
    models = {
        bits: tflite_file.parse(_file(network, bits))
        for bits in tflite_builtin.WEIGHT_BITS
    }
    self._graphs = {
        bits: tflm_builtin_memory.graph(model, kernels, pointer_bytes)
        for bits, model in models.items()
    }
    model, *_ = models.values()
    self._names = [tensor.name for tensor in model.tensors]
    self._layers = {layer.output: layer for layer in network.layers}
    # Layer that an op computes, or prepares the input of.
    self._owners: list[specs.LayerSpec] = []
    for operator in reversed(model.operators):
      name = self._names[operator.outputs[0]]
      self._owners.append(self._layers[name] if name else self._owners[-1])
    self._owners.reverse()
    self._need = functools.lru_cache(_CACHED_NEEDS)(self._compute)

  def need(self, policy: specs.QuantizationPolicy) -> tflm_arena.ArenaNeed:
    """Returns what the network needs under a policy."""
    return self._need(self._weight_bits(policy))

  def ram_bytes(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the bytes of the arena."""
    return self.need(policy).arena_bytes

  def moments(self, policy: specs.QuantizationPolicy) -> tuple[Moment, ...]:
    """Returns, for each layer, what the most demanding of its ops needs."""
    need = self.need(policy)
    graph = self._graph(self._weight_bits(policy))
    buffers, _ = tflm_arena.planned_buffers(graph)
    runtime_bytes = need.arena_bytes - need.head_bytes
    moments: dict[str, Moment] = {}
    for time in range(len(graph.ops) + 1):
      name = self._owners[time - 1].name if time else self._network.input
      moment = self._moment(name, time, buffers, runtime_bytes)
      known = moments.get(name)
      if known is None or known.ram_bytes < moment.ram_bytes:
        moments[name] = moment
    return tuple(moments.values())

  def _moment(
      self,
      layer: str,
      time: int,
      buffers: tuple[memory_planner.Buffer, ...],
      runtime_bytes: int,
  ) -> Moment:
    alive, other_bytes = [], runtime_bytes
    for buffer in buffers:
      if buffer.first <= time <= buffer.last:
        size = memory_planner.align_up(buffer.size_bytes)
        name = self._name(buffer)
        if name:
          alive.append((name, size))
        else:
          other_bytes += size
    total = other_bytes + sum(size for _, size in alive)
    return Moment(layer, total, tuple(alive), other_bytes)

  def _name(self, buffer: memory_planner.Buffer) -> str:
    """Returns the activation's name; '' for scratch and padded copies."""
    kind, index, *_ = buffer.name.split()
    return self._names[int(index)] if kind == 'tensor' else ''

  def _weight_bits(self, policy: specs.QuantizationPolicy) -> tuple[int, ...]:
    """Returns the width of each op's weight, 8 where it has none."""
    bits = policy.as_dict()
    return tuple(
        bits[layer.weight] if layer.weight else 8 for layer in self._owners
    )

  def _graph(self, weight_bits: tuple[int, ...]) -> tflm_arena.Graph:
    graph, *_ = self._graphs.values()
    return tflm_arena.Graph(
        tensors=graph.tensors,
        ops=tuple(
            self._graphs[bits].ops[i] for i, bits in enumerate(weight_bits)
        ),
        inputs=graph.inputs,
        outputs=graph.outputs,
    )

  def _compute(self, weight_bits: tuple[int, ...]) -> tflm_arena.ArenaNeed:
    graph = self._graph(weight_bits)
    return tflm_arena.arena_need(graph, self._structures)


def _file(network: specs.NetworkSpec, weight_bits: int) -> bytes:
  """Returns a .tflite with zeros for weights."""
  bits = {
      tensor.name: weight_bits
      if tensor.kind is specs.TensorKind.WEIGHT
      else tflite_builtin.ACTIVATION_BITS
      for tensor in network.policy_tensors
  }
  zeros = tflite_writer.zero_network(
      network,
      specs.QuantizationPolicy.of(bits),
      per_channel_zero_points=False,
      multiplier=1,
  )
  return tflite_builtin.write(zeros)
