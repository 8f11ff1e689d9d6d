"""What a function brings into a firmware: itself and all that it refers to.

Reads the relocations that the linker keeps with --emit-relocs, in an ELF file
of 32 bits, little-endian, for Arm. References: "ELF for the Arm Architecture"
(AAELF32), tables of relocation codes and of section types.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
import struct

# sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info.
_SECTION_HEADER = struct.Struct('<8I')
_SYMBOL_TABLE, _RELOCATIONS = 2, 9  # Values of sh_type.
_ALLOCATED = 2  # Bit of sh_flags.
# st_name, st_value, st_size, st_info, st_other, st_shndx.
_SYMBOL = struct.Struct('<3I2BH')
_OBJECT, _FUNCTION = 1, 2  # In the low bits of st_info.
# r_offset, r_info; the low byte of r_info is the kind.
_RELOCATION = struct.Struct('<2I')
_NONE, _ABSOLUTE, _CALL, _JUMP = 0, 2, 10, 30


class LinkedCode:
  """Functions and constants of a firmware and what they refer to."""

  def __init__(self, elf: bytes):
    """Reads symbols and relocations.

    Raises:
      ValueError: a relocation of a kind that is not known here, or none at all.
    """
    self._elf = elf
    table, entry_bytes, count = (
        struct.unpack_from('<I', elf, 32)[0],
        *struct.unpack_from('<2H', elf, 46),
    )
    self._sections = [
        _SECTION_HEADER.unpack_from(elf, table + entry_bytes * i)
        for i in range(count)
    ]
    symbols = self._symbols()
    self._starts = sorted(symbols)
    self._sizes: Mapping[int, int] = {
        start: size for start, (_, size) in symbols.items()
    }
    self._addresses = {
        name: start for start, (names, _) in symbols.items() for name in names
    }
    self._references: dict[int, set[int]] = {}
    for place, target in self._relocations():
      source, found = self._symbol_at(place), self._symbol_at(target)
      if source is not None and found is not None:
        self._references.setdefault(source, set()).add(found)
    if not self._references:
      raise ValueError('the firmware was not linked with --emit-relocs')

  def has(self, function: str) -> bool:
    """Returns whether the firmware has a function of that name."""
    return function in self._addresses

  def num_bytes(self, function: str) -> int:
    """Returns bytes of a function and of all that it refers to, once each."""
    seen: set[int] = set()
    waiting = [self._addresses[function]]
    while waiting:
      start = waiting.pop()
      if start not in seen:
        seen.add(start)
        waiting.extend(self._references.get(start, ()))
    return sum(self._sizes[start] for start in seen)

  def _symbols(self) -> dict[int, tuple[list[str], int]]:
    """Returns address -> (names, bytes) of functions and objects."""
    found: dict[int, tuple[list[str], int]] = {}
    for header in self._sections:
      if header[1] != _SYMBOL_TABLE:
        continue
      names_at = self._sections[header[6]][4]
      content = self._elf[header[4] : header[4] + header[5]]
      for name, value, size, info, _, _ in _SYMBOL.iter_unpack(content):
        kind = info & 15
        if kind not in (_OBJECT, _FUNCTION) or size == 0:
          continue
        # The lowest bit of a function's address says that it is Thumb code.
        start = value & ~1 if kind == _FUNCTION else value
        end = self._elf.index(b'\0', names_at + name)
        text = self._elf[names_at + name : end].decode()
        names, known = found.get(start, ([], 0))
        found[start] = (names + [text], max(size, known))
    return found

  def _symbol_at(self, address: int) -> int | None:
    """Returns where the symbol that holds an address starts."""
    index = bisect.bisect_right(self._starts, address) - 1
    if index < 0:
      return None
    start = self._starts[index]
    return start if address < start + self._sizes[start] else None

  def _relocations(self):
    """Yields (place, address that stands there)."""
    for header in self._sections:
      if header[1] != _RELOCATIONS:
        continue
      patched = self._sections[header[7]]
      if not patched[2] & _ALLOCATED:
        continue
      content = self._elf[header[4] : header[4] + header[5]]
      for place, info in _RELOCATION.iter_unpack(content):
        at = patched[4] + place - patched[3]
        kind = info & 255
        if kind == _ABSOLUTE:
          yield place, struct.unpack_from('<I', self._elf, at)[0] & ~1
        elif kind in (_CALL, _JUMP):
          yield place, place + 4 + self._branch(at)
        elif kind != _NONE:
          raise ValueError(f'relocation of unknown kind {kind} at {place:#x}')

  def _branch(self, at: int) -> int:
    """Returns the offset of a BL or B.W (encodings T1 and T4)."""
    first, second = struct.unpack_from('<2H', self._elf, at)
    sign = first >> 10 & 1
    high = ~((second >> 13 & 1) ^ sign) & 1
    low = ~((second >> 11 & 1) ^ sign) & 1
    offset = (
        high << 23 | low << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
    )
    return offset - (sign << 24)
