"""The 'arena' memory model: bytes as our exports need them.

RAM is the arena: packed activations and the kernels' scratch memory, placed by
the planner that will run. The C export uses nothing else. Under TensorFlow Lite
Micro the interpreter keeps structures of its own at the end of the arena;
`tflm_tail` lists them as an estimate. FLASH is what a writer would write, and
comes in as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import enum

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq.memory_model import MemoryModel
from tfmpq.ram_model import Moment

_CACHED_PLANS = 65536


class Backend(str, enum.Enum):
  """What runs the network.

  C: model.c, with our plan.
  TFLM: TensorFlow Lite Micro with our plan in the metadata of the model.
  TFLM_GREEDY: TensorFlow Lite Micro with its own plan.
  """

  C = 'c'
  TFLM = 'tflm'
  TFLM_GREEDY = 'tflm_greedy'


def tflm_tail(network: specs.NetworkSpec) -> tuple[tuple[str, int], ...]:
  """Returns (what, bytes) that TFLM keeps in the arena beside activations.

  An estimate for 32-bit Arm, not a measurement. The sizes were read in
  tflite-micro@90b983c and agree with what its recording allocator reports for
  person_detect.tflite; the last two entries are rounded figures. Nothing is
  counted per channel: our custom ops read their parameters in flash.
  """
  num_ops = len(network.layers)
  # A max pool has no parameters; every other op has one constant for them.
  num_parameters = sum(
      layer.op is not specs.Op.MAX_POOL_2D for layer in network.layers
  )
  num_tensors = len(network.tensors) + num_parameters
  return (
      ('TfLiteEvalTensor, 12 bytes per tensor', 12 * num_tensors),
      ('NodeAndRegistration, 32 bytes per op', 32 * num_ops),
      ('TfLiteTensor and quantization of input and output', 2 * (32 + 20)),
      ('op data, 32 bytes per op', 32 * num_ops),
      ('allocator, planner and interpreter context', 1100),
  )


class ArenaRam:
  """RAM rule: size of the planned arena, and what the runtime adds."""

  def __init__(
      self,
      network: specs.NetworkSpec,
      backend: Backend,
      target: kernel_targets.Target = kernel_targets.Target.PORTABLE,
  ):
    self._memory = memory_planner.ActivationMemory(network, target)
    self._is_greedy = backend is Backend.TFLM_GREEDY
    self._names = (network.input,) + tuple(
        layer.name for layer in network.layers
    )
    self._other_bytes = 0
    if backend is not Backend.C:
      tail = sum(num_bytes for _, num_bytes in tflm_tail(network))
      self._other_bytes = memory_planner.align_up(tail)
    self._planned: dict[tuple[memory_planner.Buffer, ...], int] = {}

  def ram_bytes(self, policy: specs.QuantizationPolicy) -> int:
    """Returns the bytes; remembers them per set of buffers."""
    key = self._buffers(policy.as_dict())
    if key not in self._planned:
      if len(self._planned) >= _CACHED_PLANS:
        self._planned.clear()
      plan = (
          memory_planner.tflm_greedy_plan
          if self._is_greedy
          else (memory_planner.offline_plan)
      )
      self._planned[key] = plan(key).size_bytes
    return self._planned[key] + self._other_bytes

  def moments(self, policy: specs.QuantizationPolicy) -> tuple[Moment, ...]:
    buffers = self._buffers(policy.as_dict())
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
              ram_bytes=needed[time] + self._other_bytes,
              alive=tuple(alive.items()),
              other_bytes=scratch_bytes + self._other_bytes,
          )
      )
    return tuple(moments)

  def _buffers(self, bits) -> tuple[memory_planner.Buffer, ...]:
    return self._memory.buffers(bits, in_place=not self._is_greedy)


class LargestRam:
  """RAM rule: the most that any of several rules asks for."""

  def __init__(self, rules: Sequence[ArenaRam]):
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
  ram = rules[0] if len(rules) == 1 else LargestRam(rules)
  return MemoryModel(network, name, ram, flash_bytes)
