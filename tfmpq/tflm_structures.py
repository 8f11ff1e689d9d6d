"""Sizes of the structures that TensorFlow Lite Micro keeps in its arena.

They follow from C++ sources and the machine: `Version` names the sources, the
width of a pointer the machine. Read with `sizeof` from TFLM's headers as its
Makefile compiles them (TF_LITE_STATIC_MEMORY; arm-none-eabi-gcc makes an enum
as small as its values allow); tests/tflm_arena_test.cc asserts the same.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum

POINTER_BYTES = (4, 8)


class Version(str, enum.Enum):
  """Sources of TFLM whose structures are known.

  AUGUST_2026: tensorflow/tflite-micro@90b983c.
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
    allocators: one of each at the end of the arena, in that order, before a
      model is looked at.
    builtin_data_allocator: one per model.
    subgraph_allocations: one per subgraph.
    eval_tensor: one per tensor.
    node_and_registration: one per op.
    scratch_handle: one per scratch buffer.
    pointer: one per network input and per network output.
    tensor: one per network input and output; temporarily in Prepare.
    quantization: one per `tensor` that has scales.
    scratch_request: temporarily, one per scratch buffer and
      `requests_per_op` more.
    allocation_info: temporarily, one per tensor and scratch buffer.
    requests_per_op: most scratch buffers that one op may ask for.
    planned_buffer_bytes: temporarily, per buffer that the planner places.
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
  requests_per_op: int = 12
  planned_buffer_bytes: int = 40


def _structures(pointer: int, *sizes: int) -> Structures:
  """Returns structures that are aligned like a pointer."""
  single, planner, allocator, *others = (
      Structure(size, pointer) for size in sizes
  )
  return Structures((single, planner, allocator), *others)


_KNOWN: Mapping[tuple[Version, int], Structures] = {
    (Version.AUGUST_2026, 4): _structures(
        *(4, 36, 44, 36, 8, 8, 12, 32, 4, 4, 32, 12, 12, 24)
    ),
    (Version.AUGUST_2026, 8): _structures(
        *(8, 72, 72, 72, 16, 16, 24, 64, 8, 8, 64, 24, 16, 32)
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
