"""Sizes of the structures that TensorFlow Lite Micro keeps in its arena.

They follow from C++ sources and the machine: `Version` names the sources, the
width of a pointer the machine. Read with `sizeof` from TFLM's headers as its
Makefile compiles them (TF_LITE_STATIC_MEMORY; arm-none-eabi-gcc makes an enum
as small as its values allow).
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum

POINTER_BYTES = (4, 8)
REQUESTS_PER_OP = 12  # Most scratch buffers that one op may ask for.
PLANNED_BUFFER_BYTES = 40  # Temporarily, per buffer that the planner places.


class Version(str, enum.Enum):
  """Sources of TFLM whose structures are known.

  AUGUST_2026: tensorflow/tflite-micro@90b983c. The recording allocator of
    8f6596d (October 2026, as a Python wheel, 64 bits) reports the same sizes
    per tensor, op, input and output.
  """

  AUGUST_2026 = '90b983c'


@dataclasses.dataclass(frozen=True)
class Structure:
  """One C++ type.

  Attributes:
    size: its sizeof, bytes.
    alignment: its alignof, bytes.
  """

  size: int
  alignment: int


@dataclasses.dataclass(frozen=True)
class Structures:
  """What TFLM allocates, under the names of its classes.

  Attributes:
    allocators: SingleArenaBufferAllocator, GreedyMemoryPlanner and
      MicroAllocator, in that order at the end of the arena.
    builtin_data_allocator: one per model.
    subgraph_allocations: one per subgraph.
    eval_tensor: one per tensor.
    node_and_registration: one per op.
    scratch_handle: one per scratch buffer.
    pointer: one per network input and per network output.
    tensor: one per network input and output; temporarily in Prepare.
    quantization: one per `tensor` that has scales.
    scratch_request: temporarily, one per scratch buffer and `REQUESTS_PER_OP`
      more.
    allocation_info: temporarily, one per tensor and scratch buffer.
  """

  allocators: tuple[Structure, ...]
  builtin_data_allocator: Structure
  subgraph_allocations: Structure
  eval_tensor: Structure
  node_and_registration: Structure
  scratch_handle: Structure
  pointer: Structure
  tensor: Structure
  quantization: Structure
  scratch_request: Structure
  allocation_info: Structure


def _structures(
    alignment: int, allocators: tuple[int, ...], **sizes: int
) -> Structures:
  """Returns structures of these sizes, all aligned like a pointer."""
  return Structures(
      allocators=tuple(Structure(size, alignment) for size in allocators),
      pointer=Structure(alignment, alignment),
      **{name: Structure(size, alignment) for name, size in sizes.items()},
  )


_KNOWN: Mapping[tuple[Version, int], Structures] = {
    (Version.AUGUST_2026, 4): _structures(
        4,
        allocators=(36, 44, 36),
        builtin_data_allocator=8,
        subgraph_allocations=8,
        eval_tensor=12,
        node_and_registration=32,
        scratch_handle=4,
        tensor=32,
        quantization=12,
        scratch_request=12,
        allocation_info=24,
    ),
    (Version.AUGUST_2026, 8): _structures(
        8,
        allocators=(72, 72, 72),
        builtin_data_allocator=16,
        subgraph_allocations=16,
        eval_tensor=24,
        node_and_registration=64,
        scratch_handle=8,
        tensor=64,
        quantization=24,
        scratch_request=16,
        allocation_info=32,
    ),
}


def structures(
    pointer_bytes: int = 4, version: Version = Version.AUGUST_2026
) -> Structures:
  """Returns the sizes on a machine.

  Args:
    pointer_bytes: 4 on Cortex-M, 8 on a 64-bit host.
    version: sources of TFLM.

  Raises:
    ValueError: another width of pointers.
  """
  if pointer_bytes not in POINTER_BYTES:
    raise ValueError(
        f'pointers: expected one of {POINTER_BYTES} bytes, received '
        f'{pointer_bytes}'
    )
  return _KNOWN[version, pointer_bytes]
