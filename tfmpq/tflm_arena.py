"""The arena that TensorFlow Lite Micro needs for a model, to the byte.

`arena_need` follows MicroInterpreter::AllocateTensors allocation by
allocation (tflite-micro@90b983c, micro_allocator.cc, micro_allocation_info.cc,
single_arena_buffer_allocator.cc). The arena has three parts:

- the head, from its start: activations and scratch memory, placed by the
  greedy memory planner, or where the metadata of the model says;
- the tail, from its end downwards: what lives as long as the interpreter;
- above the head, what is needed temporarily: tensors that an op looks at in
  Prepare, and the tables of the planner. Activations are not there yet, so
  that matters only where they are small.

The arena starts at a multiple of 16 bytes. Its end need not be one, and what
alignment costs at the tail depends on that: the smallest arena that suffices
is the best of all ends.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from tfmpq import memory_planner
from tfmpq import tflm_structures
from tfmpq.arena_buffers import align_up
from tfmpq.arena_buffers import ALIGNMENT
from tfmpq.tflm_structures import Structure

_INT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Tensor:
  """What TFLM sees of a tensor.

  Attributes:
    size_bytes: bytes in the arena; 0 for a constant, which stays in the model.
    channels: number of scales in its quantization field; 0 without one.
    offset: place that the metadata gives it; None if TFLM is to choose.
  """

  size_bytes: int
  channels: int = 0
  offset: int | None = None


@dataclasses.dataclass(frozen=True)
class Op:
  """What an op takes from the arena.

  Attributes:
    inputs: tensor indices.
    outputs: tensor indices.
    parsed: structure of the options of a builtin op; None for custom ops.
    init_bytes: allocated by Init for good; 0 for nothing.
    prepare_bytes: allocated by Prepare for good.
    temporaries: tensors that Prepare looks at as TfLiteTensor, in that order.
    scratch_bytes: of each scratch buffer that Prepare asks for.
  """

  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  parsed: Structure | None = None
  init_bytes: int = 0
  prepare_bytes: tuple[int, ...] = ()
  temporaries: tuple[int, ...] = ()
  scratch_bytes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Graph:
  """A model of one subgraph, as far as its memory goes.

  Attributes:
    tensors: all, constants included.
    ops: in the order of execution.
    inputs: tensor indices.
    outputs: tensor indices.
  """

  tensors: tuple[Tensor, ...]
  ops: tuple[Op, ...]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ArenaNeed:
  """What a model needs of the arena.

  Attributes:
    arena_bytes: size of the smallest arena, aligned to 16 bytes at its start,
      with which AllocateTensors succeeds.
    head_bytes: of these, activations and scratch memory.
    tail_bytes: of these, structures of TFLM and persistent data of ops.
  """

  arena_bytes: int
  head_bytes: int
  tail_bytes: int

  @property
  def used_bytes(self) -> int:
    """What arena_used_bytes() says of that smallest arena."""
    return self.head_bytes + self.tail_bytes


def arena_need(
    graph: Graph, structures: tflm_structures.Structures
) -> ArenaNeed:
  """Returns what a model needs of the arena of a machine."""
  buffers, offsets = planned_buffers(graph)
  head_bytes = 0
  if buffers:
    head_bytes = memory_planner.tflm_greedy_plan(buffers, offsets).size_bytes
  return need_of(graph, head_bytes, len(buffers), structures)


def need_of(
    graph: Graph,
    head_bytes: int,
    num_buffers: int,
    structures: tflm_structures.Structures,
) -> ArenaNeed:
  """As `arena_need`, for a head that is known.

  Args:
    graph: the model; sizes and offsets of its tensors are not looked at.
    head_bytes: of its activations and scratch memory.
    num_buffers: how many these are.
    structures: of the machine.
  """
  best = None
  for end in range(0, ALIGNMENT, structures.pointer.alignment):
    run = _Allocation(graph, structures, end)
    run.allocate(head_bytes, num_buffers)
    arena_bytes = run.needed + (end - run.needed) % ALIGNMENT
    if best is None or arena_bytes < best.arena_bytes:
      best = ArenaNeed(arena_bytes, head_bytes, run.tail)
  return best


def used_bytes(
    graph: Graph,
    arena_bytes: int,
    structures: tflm_structures.Structures,
) -> int:
  """Returns what arena_used_bytes() says of an arena that is large enough."""
  buffers, offsets = planned_buffers(graph)
  plan = memory_planner.tflm_greedy_plan(buffers, offsets)
  run = _Allocation(graph, structures, arena_bytes % ALIGNMENT)
  run.allocate(plan.size_bytes, len(buffers))
  return plan.size_bytes + run.tail


def planned_buffers(
    graph: Graph,
) -> tuple[tuple[memory_planner.Buffer, ...], dict[str, int]]:
  """Returns what TFLM plans, in its order, and offsets from the metadata.

  Buffers are called after the indices of tensors, and of ops with the number
  of the scratch buffer. A tensor that nothing writes or reads is not expected.
  """
  lifetimes = _lifetimes(graph)
  buffers, offsets = [], {}
  for index, tensor in enumerate(graph.tensors):
    if tensor.size_bytes:
      name = f'tensor {index}'
      first, last = lifetimes[index]
      buffers.append(
          memory_planner.Buffer(name, tensor.size_bytes, first, last)
      )
      if tensor.offset is not None:
        offsets[name] = tensor.offset
  for now, op in enumerate(graph.ops, start=1):
    for number, size in enumerate(op.scratch_bytes):
      name = f'scratch {number} of op {now - 1}'
      buffers.append(memory_planner.Buffer(name, size, now, now))
  return tuple(buffers), offsets


def _lifetimes(graph: Graph) -> dict[int, tuple[int, int]]:
  """Returns tensor index -> (first, last) time."""
  first: dict[int, int] = dict.fromkeys(graph.inputs, 0)
  last: dict[int, int] = dict.fromkeys(graph.inputs, 0)
  for now, op in enumerate(graph.ops, start=1):
    for index in op.outputs:
      first.setdefault(index, now)
    for index in (*op.inputs, *op.outputs):
      last[index] = now
  for index in graph.outputs:
    first.setdefault(index, len(graph.ops))
    last[index] = len(graph.ops)
  return {i: (first.get(i, time), time) for i, time in last.items()}


class _Allocation:
  """One run of AllocateTensors; the size of the arena is found out.

  Attributes:
    tail: bytes at the end of the arena that are taken.
    needed: bytes of the smallest arena that suffices so far.
  """

  def __init__(
      self, graph: Graph, structures: tflm_structures.Structures, end: int
  ):
    """end: address of the end of the arena, modulo `ALIGNMENT`."""
    self._graph, self._structures, self._end = graph, structures, end
    self._head = 0
    self.tail = self.needed = 0

  def allocate(self, head_bytes: int, num_buffers: int) -> None:
    """Makes all allocations; see `need_of`."""
    sizes, ops = self._structures, self._graph.ops
    for structure in (*sizes.allocators, sizes.builtin_data_allocator):
      self._persist(structure)
    self._reserve_requests(0)
    self._persist(sizes.subgraph_allocations)
    self._persist(sizes.eval_tensor, len(self._graph.tensors))
    self._persist(sizes.node_and_registration, len(ops))
    for op in ops:
      if op.parsed:
        self._persist(op.parsed)
    for op in ops:
      if op.init_bytes:
        self._persist_bytes(op.init_bytes)
    num_scratch = 0
    for op in ops:
      self._prepare(op)
      num_scratch += len(op.scratch_bytes)
      self._reserve_requests(num_scratch)
    if num_scratch:
      self._persist(sizes.scratch_handle, num_scratch)
    self._plan(num_scratch, num_buffers)
    self._reserve(head_bytes)
    for indices in (self._graph.inputs, self._graph.outputs):
      self._persist_bytes(sizes.pointer.size * len(indices))
      for index in indices:
        self._persist_tensor(self._graph.tensors[index])

  def _take(self, size: int, alignment: int) -> None:
    """Takes bytes at the tail; they must not reach into the head."""
    self.tail += size
    self.tail += (self._end - self.tail) % alignment
    self._reserve(self._head)

  def _persist(self, structure: Structure, count: int = 1) -> None:
    self._take(structure.size * count, structure.alignment)

  def _persist_bytes(self, size: int) -> None:
    """As ops and the interpreter do, with the alignment of buffers."""
    self._take(size, ALIGNMENT)

  def _persist_tensor(self, tensor: Tensor) -> None:
    for structure in self._tensor_structures(tensor):
      self._persist(structure)

  def _tensor_structures(self, tensor: Tensor) -> Sequence[Structure]:
    """Returns what a TfLiteTensor consists of."""
    if not tensor.channels:
      return (self._structures.tensor,)
    zero_points = Structure(_INT_BYTES * (1 + tensor.channels), _INT_BYTES)
    return (
        self._structures.tensor,
        self._structures.quantization,
        zero_points,
    )

  def _reserve(self, head: int) -> None:
    """Sets the end of the head; nothing above it is needed any longer."""
    self._head = head
    self.needed = max(self.needed, head + self.tail)

  def _reserve_requests(self, num_scratch: int) -> None:
    count = num_scratch + tflm_structures.REQUESTS_PER_OP
    self._reserve(self._structures.scratch_request.size * count)

  def _prepare(self, op: Op) -> None:
    """Both ends grow until the op is prepared: their order does not matter."""
    for size in op.prepare_bytes:
      self._persist_bytes(size)
    top = self._head
    for index in op.temporaries:
      for structure in self._tensor_structures(self._graph.tensors[index]):
        top = _align(top, structure.alignment) + structure.size
    self.needed = max(self.needed, top + self.tail)

  def _plan(self, num_scratch: int, num_buffers: int) -> None:
    """The planner's tables, between addresses that are multiples of 16."""
    sizes = self._structures
    top = _align(self._head, sizes.pointer.alignment)
    top += sizes.pointer.size  # A size_t for the only subgraph.
    top = _align(top, sizes.allocation_info.alignment)
    count = len(self._graph.tensors) + num_scratch
    top += sizes.allocation_info.size * count
    top = align_up(top) + tflm_structures.PLANNED_BUFFER_BYTES * num_buffers
    unused = (self._end - self.tail) % ALIGNMENT
    self.needed = max(self.needed, top + unused + self.tail)


def _align(size: int, alignment: int) -> int:
  return -(-size // alignment) * alignment
