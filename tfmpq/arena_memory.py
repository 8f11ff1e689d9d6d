"""The 'arena' memory model: bytes as our exports need them.

RAM is the arena: packed activations and the kernels' scratch memory, placed by
our planner. The C export uses nothing else. Under TensorFlow Lite Micro the
interpreter keeps structures of its own at the end of the arena; RAM is then the
smallest arena with which it starts (`tflm_arena`). FLASH is what a writer would
write, and comes in as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import enum

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflm_custom_memory
from tfmpq.memory_model import MemoryModel
from tfmpq.ram_model import Moment
from tfmpq.ram_model import RamModel

_CACHED_PLANS = 65536


class Backend(str, enum.Enum):
  """What runs the network.

  C: model.c, with our plan.
  TFLM: TensorFlow Lite Micro with our custom ops, and our plan in the metadata
    of the model.
  """

  C = 'c'
  TFLM = 'tflm'


class ArenaRam:
  """RAM rule: bytes of the arena on a microcontroller."""

  def __init__(
      self,
      network: specs.NetworkSpec,
      backend: Backend,
      target: kernel_targets.Target = kernel_targets.Target.PORTABLE,
  ):
    self._memory = memory_planner.ActivationMemory(network, target)
    self._names = (network.input,) + tuple(
        layer.name for layer in network.layers
    )
    self._custom_ops = None
    if backend is Backend.TFLM:
      self._custom_ops = tflm_custom_memory.CustomOps(network)
    self._needs: dict[tuple[memory_planner.Buffer, ...], tuple[int, int]] = {}

  def ram_bytes(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the bytes of the arena."""
    return self._need(self._buffers(policy))[0]

  def moments(self, policy: specs.QuantizationPolicy) -> tuple[Moment, ...]:
    buffers = self._buffers(policy)
    _, runtime_bytes = self._need(buffers)
    needed = memory_planner.liveness_by_time(buffers)
    moments = []
    for time, name in enumerate(self._names):
      alive = {
          b.name: memory_planner.align_up(b.size_bytes)
          for b in buffers
          if b.first <= time <= b.last
      }
      scratch_bytes = alive.pop(memory_planner.scratch_name(name), 0)
      moments.append(
          Moment(
              layer=name,
              ram_bytes=needed[time] + runtime_bytes,
              alive=tuple(alive.items()),
              other_bytes=scratch_bytes + runtime_bytes,
          )
      )
    return tuple(moments)

  def _need(
      self, buffers: tuple[memory_planner.Buffer, ...]
  ) -> tuple[int, int]:
    """Returns bytes of the arena and, of these, what is not planned.

    Remembers them per set of buffers.
    """
    if buffers not in self._needs:
      if len(self._needs) >= _CACHED_PLANS:
        self._needs.clear()
      plan = memory_planner.offline_plan(buffers)
      planned_bytes = arena_bytes = plan.size_bytes
      if self._custom_ops is not None:
        need = self._custom_ops.need(buffers, plan)
        planned_bytes, arena_bytes = need.head_bytes, need.arena_bytes
      self._needs[buffers] = arena_bytes, arena_bytes - planned_bytes
    return self._needs[buffers]

  def _buffers(
      self, policy: specs.QuantizationPolicy
  ) -> tuple[memory_planner.Buffer, ...]:
    return self._memory.buffers(policy.as_dict(), in_place=True)


class LargestRam:
  """RAM rule: the most that any of several rules asks for."""

  def __init__(self, rules: Sequence[RamModel]):
    self._rules = tuple(rules)

  def ram_bytes(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the most bytes."""
    return max(rule.ram_bytes(policy) for rule in self._rules)

  def moments(self, policy: specs.QuantizationPolicy) -> tuple[Moment, ...]:
    """Returns, for each layer, the moment that needs the most."""
    return tuple(
        max(moments, key=lambda moment: moment.ram_bytes)
        for moments in zip(
            *(rule.moments(policy) for rule in self._rules), strict=True
        )
    )


def largest(rules: Sequence[RamModel]) -> RamModel:
  """Returns a rule for RAM that satisfies all of these."""
  return rules[0] if len(rules) == 1 else LargestRam(rules)


def arena_model(
    network: specs.NetworkSpec,
    backend: Backend,
    flash_bytes: Callable[[specs.QuantizationPolicy], int],
    targets: Sequence[kernel_targets.Target] = (
        kernel_targets.Target.PORTABLE,
    ),
) -> MemoryModel:
  """Returns the memory model of an export.

  Args:
    network: the network.
    backend: what runs the network.
    flash_bytes: policy -> bytes of the model as its writer writes it.
    targets: what it is exported for; RAM is what the most demanding of them
      needs.
  """
  name = ' '.join(['arena', backend.value, *(t.value for t in targets)])
  rules = [ArenaRam(network, backend, target) for target in targets]
  return MemoryModel(network, name, largest(rules), flash_bytes)
