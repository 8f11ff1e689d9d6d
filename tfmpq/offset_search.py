"""Looks for places of buffers in an arena of a given size."""

from __future__ import annotations

from collections.abc import Sequence

from tfmpq.arena_buffers import align_up
from tfmpq.arena_buffers import Buffer

_MAX_STEPS = 600  # that one search may take


def find(buffers: Sequence[Buffer], capacity: int) -> dict[str, int] | None:
  """Returns buffer name -> offset in an arena of that size, or None.

  Buffers are placed in the order of their birth, at either end of a gap or in
  place of an input, with backtracking. The effort is bounded by counted steps:
  None does not mean that there is no plan of that size.

  Args:
    buffers: what to place.
    capacity: bytes of the arena.
  """
  return _Scan(buffers, capacity).run()


class _Scan:
  """A search for offsets inside an arena of a fixed size."""

  def __init__(self, buffers: Sequence[Buffer], capacity: int):
    self._names = [b.name for b in buffers]
    # What lives for one layer only, such as scratch memory, goes where the
    # others of that time leave room.
    self._buffers = sorted(
        buffers, key=lambda b: (b.first, b.last == b.first, -b.size_bytes)
    )
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
