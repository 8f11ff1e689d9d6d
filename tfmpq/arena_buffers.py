"""The noun of memory planning: bytes that are needed for some time."""

from __future__ import annotations

import dataclasses

ALIGNMENT = 16  # of every offset, in bytes; TFLM aligns buffers likewise


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


def align_up(size_bytes: int) -> int:
  """Returns the next multiple of `ALIGNMENT`."""
  return -(-size_bytes // ALIGNMENT) * ALIGNMENT
