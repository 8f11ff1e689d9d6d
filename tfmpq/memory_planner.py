"""Where activations lie in the arena: lifetimes, two planners, a checker.

Time follows TensorFlow Lite Micro: the network input is written at time 0,
layer k (from 0) runs at time k + 1. A buffer is alive from the layer that
writes it to the last layer that reads it, both included; the network output
lives until the last layer has run.

`tflm_greedy_plan` places buffers exactly as TFLM's greedy planner does, so
that its arena can be predicted. `offline_plan` is our own planner; it looks
for a plan of `liveness_bound` bytes, which no plan can undercut, and lets an
output take the place of an input where the layer allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

from tfmpq import packing
from tfmpq import specs

ALIGNMENT = 16  # of every offset, in bytes; TFLM aligns buffers likewise

# Steps that one run of the search in `offline_plan` may take, and how many
# arena sizes above the bound it may try. They bound the time for networks
# that have no plan of the bound's size; chains never need them.
_MAX_STEPS = 600
_MAX_CAPACITIES = 6

IN_PLACE_OPS = (specs.Op.ADD,)  # the others never run in place


@dataclasses.dataclass(frozen=True)
class Buffer:
  """Bytes that are needed during an interval of time.

  Attributes:
    name: unique among the buffers that are planned together.
    size_bytes: bytes needed, at least 1; planners round up to `ALIGNMENT`.
    first: time at which it is written.
    last: time at which it is read last; `first <= last`.
    in_place_of: name of a buffer that is read last at `first` and is at least
      as large, if this one may start at the same offset; else None.
  """

  name: str
  size_bytes: int
  first: int
  last: int
  in_place_of: str | None = None

  def __post_init__(self):
    if self.size_bytes < 1 or not 0 <= self.first <= self.last:
      raise ValueError(
          f"buffer '{self.name}': expected at least 1 byte and "
          f'0 <= first <= last, received {self.size_bytes} bytes, '
          f'{self.first}..{self.last}'
      )


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

  def __init__(self, network: specs.NetworkSpec):
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
    self._in_place_layers = tuple(
        layer for layer in network.layers if layer.op in IN_PLACE_OPS
    )

  def buffers(
      self, bits: Mapping[str, int], in_place: bool
  ) -> tuple[Buffer, ...]:
    """Returns one buffer per activation, in the network's tensor order.

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
    sources = {}
    if in_place:
      for layer in self._in_place_layers:
        sources[layer.output] = in_place_input(
            layer, pixel_bytes, self.last_readers
        )
    return tuple(
        Buffer(
            name, pixels[name] * size, *self.lifetimes[name], sources.get(name)
        )
        for name, size in pixel_bytes.items()
    )


def in_place_input(
    layer: specs.LayerSpec,
    pixel_bytes: Mapping[str, int],
    last_readers: Mapping[str, str | None],
) -> str | None:
  """Returns the input over which a layer may write its output, or None.

  The rule of tflm_ext/README.md, and the only place that knows it: an add may
  write over an input that no later layer reads and whose pixels take at least
  as many bytes as the output's. Of two such inputs it is the first.

  Args:
    layer: the layer.
    pixel_bytes: activation name -> bytes of one packed pixel.
    last_readers: activation name -> layer that reads it last, or None.
  """
  if layer.op not in IN_PLACE_OPS:
    return None
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
) -> tuple[Buffer, ...]:
  """Returns the buffers of a network's activations under a policy."""
  return ActivationMemory(network).buffers(policy.as_dict(), in_place)


def arena_plan(
    network: specs.NetworkSpec, policy: specs.QuantizationPolicy
) -> Plan:
  """Returns the checked plan that exports use: ours, adds in place."""
  buffers = activation_buffers(network, policy, in_place=True)
  plan = offline_plan(buffers)
  plan.check(buffers)
  return plan


def align_up(size_bytes: int) -> int:
  """Returns the next multiple of `ALIGNMENT`."""
  return -(-size_bytes // ALIGNMENT) * ALIGNMENT


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
  offsets = _Scan(buffers, low).run()
  if offsets is not None:
    return Plan(offsets, low)
  best = tflm_greedy_plan(buffers)
  for _ in range(_MAX_CAPACITIES):
    middle = (low + best.size_bytes) // (2 * ALIGNMENT) * ALIGNMENT
    if middle <= low:
      break
    offsets = _Scan(buffers, middle).run()
    if offsets is None:
      low = middle
    else:
      best = Plan(offsets, middle)
  return best


class _Scan:
  """A search for offsets inside an arena of a fixed size."""

  def __init__(self, buffers: Sequence[Buffer], capacity: int):
    self._names = [b.name for b in buffers]
    self._buffers = sorted(buffers, key=lambda b: (b.first, -b.size_bytes))
    self._sizes = [align_up(b.size_bytes) for b in self._buffers]
    index = {b.name: i for i, b in enumerate(self._buffers)}
    self._sources = [index.get(b.in_place_of) for b in self._buffers]
    self._capacity = capacity
    self._offsets = [0] * len(buffers)
    self._steps = 0
    self._dead: set[tuple[int, tuple[tuple[int, int, int], ...]]] = set()

  def run(self) -> dict[str, int] | None:
    """Returns buffer name -> offset, or None if nothing was found."""
    if not self._place(0, ()):
      return None
    found = {b.name: self._offsets[i] for i, b in enumerate(self._buffers)}
    return {name: found[name] for name in self._names}

  def _place(self, i: int, alive: tuple[tuple[int, int, int], ...]) -> bool:
    """Places buffers i, i + 1, ...; `alive` holds (offset, end, index)."""
    if i == len(self._buffers):
      return True
    now = self._buffers[i].first
    alive = tuple(a for a in alive if self._buffers[a[2]].last >= now)
    if (i, alive) in self._dead:
      return False
    self._steps += 1
    if self._steps > _MAX_STEPS:
      return False
    for offset in self._choices(i, alive):
      self._offsets[i] = offset
      entry = (offset, offset + self._sizes[i], i)
      if self._place(i + 1, tuple(sorted((*alive, entry)))):
        return True
    self._dead.add((i, alive))
    return False

  def _choices(self, i: int, alive) -> list[int]:
    """Returns the offsets to try, the most promising first.

    In place, then at an end of the arena, which keeps the middle free for
    large buffers, then at the ends of gaps, from small to large.
    """
    size, capacity = self._sizes[i], self._capacity
    found, top = [], 0  # (touches neither end, bytes of the gap, offset)
    for start, end in [a[:2] for a in alive] + [(capacity, capacity)]:
      gap = start - top
      if gap >= size:
        found.append((top > 0, gap, top))
        found.append((start < capacity, gap, start - size))
      top = max(top, end)
    source = self._sources[i]
    choices = [] if source is None else [self._offsets[source]]
    choices += [offset for _, _, offset in sorted(found)]
    return list(dict.fromkeys(choices))
