"""Section sizes of ELF files, made by hand and by the linker."""

import struct

import pytest

from tfmpq import elf_sections


def _elf(sections):
  """Returns an ELF file that has these sections (name -> bytes), no content."""
  names = b'\0' + b''.join(
      name.encode() + b'\0' for name in (*sections, '.shstrtab')
  )
  table = 52 + len(names)
  headers = [(0, 0, 0, 0, 0, 0)]
  position = 1
  for name, size in sections.items():
    headers.append((position, 1, 2, 0x1000, 52, size))
    position += len(name) + 1
  headers.append((position, 3, 0, 0, 52, len(names)))
  identity = b'\x7fELF\x01\x01\x01'.ljust(16, b'\0')
  head = struct.pack(
      '<2H5I6H',
      *(2, 40, 1, 0x1000, 0, table, 0),
      *(52, 0, 0, 40, len(headers), len(headers) - 1),
  )
  body = b''.join(struct.pack('<10I', *h, 0, 0, 4, 0) for h in headers)
  return identity + head + names + body


def test_sizes_are_read_by_name():
  sizes = elf_sections.section_sizes(_elf({'.code': 1234, '.constants': 8}))
  assert sizes['.code'] == 1234
  assert sizes['.constants'] == 8
  assert '' not in sizes


def test_another_format_is_refused():
  with pytest.raises(ValueError, match='32-bit little-endian ELF'):
    elf_sections.section_sizes(b'#!/bin/sh\n')
  sixty_four_bits = b'\x7fELF\x02\x01' + bytes(64)
  with pytest.raises(ValueError, match='32-bit little-endian ELF'):
    elf_sections.section_sizes(sixty_four_bits)


def test_a_file_that_is_cut_off_is_refused():
  whole = _elf({'.code': 4})
  with pytest.raises(ValueError, match='cut off'):
    elf_sections.section_sizes(whole[:-1])
