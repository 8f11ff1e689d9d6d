"""Section sizes of ELF files, made by hand and by the linker."""

import struct

import pytest

from tfmpq import elf_sections


def _elf(sections, contents=None):
  """Returns an ELF file that has these sections.

  Args:
    sections: name -> bytes, of sections whose content does not matter.
    contents: name -> content of further sections.
  """
  contents = contents or {}
  sections = dict(sections) | {n: len(data) for n, data in contents.items()}
  names = b'\0' + b''.join(
      name.encode() + b'\0' for name in (*sections, '.shstrtab')
  )
  places, end = {}, 52 + len(names)
  for name, data in contents.items():
    places[name] = end
    end += len(data)
  table = end
  headers = [(0, 0, 0, 0, 0, 0)]
  position = 1
  for name, size in sections.items():
    place = places.get(name, 52)
    headers.append((position, 1, 2, 0x1000, place, size))
    position += len(name) + 1
  headers.append((position, 3, 0, 0, 52, len(names)))
  identity = b'\x7fELF\x01\x01\x01'.ljust(16, b'\0')
  head = struct.pack(
      '<2H5I6H',
      *(2, 40, 1, 0x1000, 0, table, 0),
      *(52, 0, 0, 40, len(headers), len(headers) - 1),
  )
  body = b''.join(struct.pack('<10I', *h, 0, 0, 4, 0) for h in headers)
  return identity + head + names + b''.join(contents.values()) + body


def test_sizes_are_read_by_name():
  sizes = elf_sections.section_sizes(_elf({'.code': 1234, '.constants': 8}))
  assert sizes['.code'] == 1234
  assert sizes['.constants'] == 8
  assert '' not in sizes


def test_functions_have_sizes():
  names = b'\0first\0second\0data\0'
  symbols = ((0, 0, 0), (1, 40, 0x12), (7, 8, 0x02), (14, 4, 0x11))
  elf = _elf(
      {'.code': 48},
      {
          '.symtab': b''.join(
              struct.pack('<3I2BH', name, 0x1000, size, info, 0, 1)
              for name, size, info in symbols
          ),
          '.strtab': names,
      },
  )
  assert elf_sections.function_sizes(elf) == {'first': 40, 'second': 8}
  assert elf_sections.section_sizes(elf)['.code'] == 48


def test_a_file_without_symbols_is_refused():
  with pytest.raises(ValueError, match='no symbols'):
    elf_sections.function_sizes(_elf({'.code': 4}))


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
