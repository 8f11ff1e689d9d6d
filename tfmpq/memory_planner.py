"""Where activations lie in the arena: lifetimes, two planners, a checker.

Time follows TensorFlow Lite Micro: the network input is written at time 0,
layer k (from 0) runs at time k + 1. A buffer is alive from the layer that
writes it to the last layer that reads it, both included; the network output
lives until the last layer has run.

A kernel's scratch memory is a buffer of its own, alive while its layer runs.

`tflm_greedy_plan` places buffers exactly as TFLM's greedy planner does, so
that its arena can be predicted. `offline_plan` is our own planner; it looks
for a plan of `liveness_bound` bytes, which no plan can undercut, and lets an
output take the place of an input where the layer allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

from tfmpq import kernel_targets
from tfmpq import offset_search
from tfmpq import packing
from tfmpq import specs
from tfmpq.arena_buffers import align_up
from tfmpq.arena_buffers import ALIGNMENT
from tfmpq.arena_buffers import Buffer

# How many arena sizes above the bound `offline_plan` may try. They bound the
# time for networks that have no plan of the bound's size; chains never need
# them.
_MAX_CAPACITIES = 6

# The others never run in place; these only where their kernel can.
IN_PLACE_OPS = (specs.Op.ADD, specs.Op.DEPTHWISE_CONV_2D)

_PORTABLE = kernel_targets.Target.PORTABLE


def scratch_name(layer: str) -> str:
  """Returns the name of the buffer that is a layer's scratch memory."""
  return f'scratch of {layer}'


@dataclasses.dataclass(frozen=True)
class Plan:
  """An arena: where each buffer starts, and how large the arena is.

  Attributes:
    offsets: buffer name -> bytes from the start of the arena.
    size_bytes: bytes of the arena, a multiple of `ALIGNMENT`.
  """

  offsets: Mapping[str, int]
  size_bytes: int

  def check(self, buffers: Sequence[Buffer]) -> None:
    """Raises ValueError unless the plan is valid for these buffers.

    Valid: every buffer has an aligned offset, lies inside the arena, and
    shares no byte with a buffer alive at the same time, except in place.
    """
    for i, buffer in enumerate(buffers):
      start = self.offsets.get(buffer.name)
      if start is None or start < 0 or start % ALIGNMENT:
        raise ValueError(
            f"buffer '{buffer.name}' needs an offset that is a multiple of "
            f'{ALIGNMENT}, received {start}'
        )
      if start + buffer.size_bytes > self.size_bytes:
        raise ValueError(
            f"buffer '{buffer.name}' ends at {start + buffer.size_bytes}, the "
            f'arena at {self.size_bytes} bytes'
        )
      for other in buffers[:i]:
        self._check_pair(buffer, other)

  def _check_pair(self, one: Buffer, other: Buffer) -> None:
    start, other_start = self.offsets[one.name], self.offsets[other.name]
    if one.first > other.last or other.first > one.last:
      return
    if start + one.size_bytes <= other_start:
      return
    if other_start + other.size_bytes <= start:
      return
    if start == other_start and (
        _in_place(one, other) or _in_place(other, one)
    ):
      return
    raise ValueError(
        f"buffers '{one.name}' and '{other.name}' are alive together and "
        f'share bytes at offsets {start} and {other_start}'
    )


def _in_place(output: Buffer, source: Buffer) -> bool:
  """Returns whether `output` may start where `source` starts."""
  return (
      output.in_place_of == source.name
      and output.first == source.last
      and output.size_bytes <= source.size_bytes
  )


class ActivationMemory:
  """What of a network's activation memory does not depend on the policy.

  Attributes:
    network: the network.
    lifetimes: activation name -> (first, last) time.
    last_readers: activation name -> name of the layer that reads it last;
      None for the network output and for what nothing reads.
    owners: activation name -> tensor in whose policy entry its bits stand.
  """

  def __init__(
      self,
      network: specs.NetworkSpec,
      target: kernel_targets.Target = _PORTABLE,
  ):
    self.network = network
    self.owners = {
        t.name: network.bits_owner(t.name) for t in network.activations
    }
    first, last = {network.input: 0}, {network.input: 0}
    self.last_readers = dict.fromkeys(self.owners)
    for now, layer in enumerate(network.layers, start=1):
      first[layer.output] = last[layer.output] = now
      for name in layer.inputs:
        last[name] = now
        self.last_readers[name] = layer.name
    last[network.output] = len(network.layers)
    self.last_readers[network.output] = None
    self.lifetimes = {n: (first[n], last[n]) for n in self.owners}
    self._kernels = kernel_targets.NetworkKernels(network, target)
    taken = {scratch_name(layer.name) for layer in network.layers}
    if taken & set(self.owners):
      raise ValueError(
          f'activations must not be called {sorted(taken & set(self.owners))}, '
          'which are names of scratch memory'
      )

  def buffers(
      self, bits: Mapping[str, int], in_place: bool
  ) -> tuple[Buffer, ...]:
    """Returns one buffer per activation, in the network's tensor order, and
    behind them one per layer whose kernel needs scratch memory.

    Args:
      bits: policy entries, tensor name -> 2, 4 or 8.
      in_place: whether the kernels may write an output over an input.
    """
    pixel_bytes, pixels = {}, {}
    for tensor in self.network.activations:
      height, width, channels = tensor.shape
      pixels[tensor.name] = height * width
      pixel_bytes[tensor.name] = packing.packed_bytes(
          channels, bits[self.owners[tensor.name]]
      )
    sources, scratch = {}, []
    for now, (layer, kernel) in enumerate(
        zip(self.network.layers, self._kernels.choose(bits), strict=True),
        start=1,
    ):
      if in_place and kernel.in_place:
        sources[layer.output] = in_place_input(
            layer, pixel_bytes, self.last_readers
        )
      if kernel.scratch_bytes:
        name = scratch_name(layer.name)
        scratch.append(Buffer(name, kernel.scratch_bytes, now, now))
    activations = tuple(
        Buffer(
            name, pixels[name] * size, *self.lifetimes[name], sources.get(name)
        )
        for name, size in pixel_bytes.items()
    )
    return (*activations, *scratch)


def in_place_input(
    layer: specs.LayerSpec,
    pixel_bytes: Mapping[str, int],
    last_readers: Mapping[str, str | None],
) -> str | None:
  """Returns the input over which a layer may write its output, or None.

  The rule of tflm_ext/README.md, and the only place that knows it: a kernel
  that can run in place (`kernel_targets.Kernel.in_place`) may write over an
  input that no later layer reads and whose pixels take at least as many bytes
  as the output's. Of two such inputs it is the first.

  Args:
    layer: the layer, whose kernel can run in place.
    pixel_bytes: activation name -> bytes of one packed pixel.
    last_readers: activation name -> layer that reads it last, or None.
  """
  for name in layer.inputs:
    if last_readers[name] != layer.name:
      continue
    if pixel_bytes[layer.output] <= pixel_bytes[name]:
      return name
  return None


def activation_buffers(
    network: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    in_place: bool,
    target: kernel_targets.Target = _PORTABLE,
) -> tuple[Buffer, ...]:
  """Returns a network's activations and scratch memory under a policy."""
  return ActivationMemory(network, target).buffers(policy.as_dict(), in_place)


def arena_plan(
    network: specs.NetworkSpec,
    policy: specs.QuantizationPolicy,
    target: kernel_targets.Target = _PORTABLE,
) -> Plan:
  """Returns the checked plan that exports use: ours, in place where it goes.

  Its offsets include those of scratch memory, under `scratch_name`.
  """
  buffers = activation_buffers(network, policy, in_place=True, target=target)
  plan = offline_plan(buffers)
  plan.check(buffers)
  return plan


def liveness_by_time(buffers: Sequence[Buffer]) -> list[int]:
  """Returns the aligned bytes alive at each time 0, 1, ...

  An output that may take the place of an input adds nothing at the time at
  which it is written.
  """
  alive = [0] * (max(b.last for b in buffers) + 1)
  for buffer in buffers:
    size = align_up(buffer.size_bytes)
    start = buffer.first + (buffer.in_place_of is not None)
    for time in range(start, buffer.last + 1):
      alive[time] += size
  return alive


def liveness_bound(buffers: Sequence[Buffer]) -> int:
  """Returns the bytes that every plan needs: the most alive at one time."""
  return max(liveness_by_time(buffers))


def tflm_greedy_plan(
    buffers: Sequence[Buffer], offline_offsets: Mapping[str, int] | None = None
) -> Plan:
  """Returns the plan of TFLM's GreedyMemoryPlanner, to the byte.

  Source: tflite-micro@90b983c, tensorflow/lite/micro/memory_planner/
  greedy_memory_planner.cc. Buffers with an offline offset are placed first,
  in their order, wherever it says; the others from large to small, of equal
  ones the later first, each into the lowest gap between those that live at
  the same time. `in_place_of` is ignored: this planner knows no such thing.

  Args:
    buffers: in TFLM's order: tensors by index, then scratch buffers.
    offline_offsets: buffer name -> offset given in the metadata of the model.
  """
  fixed = offline_offsets or {}
  online = [b for b in reversed(buffers) if b.name not in fixed]
  online.sort(key=lambda b: -align_up(b.size_bytes))  # stable
  placed: list[tuple[int, int, Buffer]] = []  # (offset, end), by offset
  for buffer in [b for b in buffers if b.name in fixed] + online:
    size = align_up(buffer.size_bytes)
    offset = fixed.get(buffer.name)
    if offset is None:
      offset = _lowest_gap(placed, buffer, size)
    position = sum(other <= offset for other, _, _ in placed)
    placed.insert(position, (offset, offset + size, buffer))
  offsets = {buffer.name: offset for offset, _, buffer in placed}
  size_bytes = align_up(max(end for _, end, _ in placed))
  return Plan({b.name: offsets[b.name] for b in buffers}, size_bytes)


def _lowest_gap(placed, buffer: Buffer, size: int) -> int:
  """Returns the lowest offset at which `size` bytes are free."""
  offset = 0
  for start, end, other in placed:
    if other.first > buffer.last or buffer.first > other.last:
      continue
    if start - offset >= size:
      break
    offset = max(offset, end)
  return offset


def offline_plan(buffers: Sequence[Buffer]) -> Plan:
  """Returns a small plan, of `liveness_bound` bytes wherever one is found.

  Buffers are placed in the order of their birth, at either end of a gap or in
  place of an input, with backtracking inside a given arena size: first the
  bound, then, if nothing is found there, sizes halfway to what the greedy
  planner needs. The effort is bounded by counted steps, so equal buffers
  always give equal plans. Without a plan of the bound's size the result may
  be larger than necessary, and fewer bytes per buffer may then give a larger
  plan.
  """
  low = liveness_bound(buffers)
  offsets = offset_search.find(buffers, low)
  if offsets is not None:
    return Plan(offsets, low)
  best = tflm_greedy_plan(buffers)
  for _ in range(_MAX_CAPACITIES):
    middle = (low + best.size_bytes) // (2 * ALIGNMENT) * ALIGNMENT
    if middle <= low:
      break
    offsets = offset_search.find(buffers, middle)
    if offsets is None:
      low = middle
    else:
      best = Plan(offsets, middle)
  return best
