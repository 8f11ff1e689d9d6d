"""Sizes of sections and functions of an ELF file: 32 bits, little-endian.

Layout: "Tool Interface Standard (TIS) Executable and Linking Format", 1995,
chapter 1.
"""

import struct

# e_ident's magic number, 32-bit class, little-endian data.
_MAGIC = b'\x7fELF\x01\x01'
_HEADER_BYTES = 52
# Offset of e_shoff, and of e_shentsize, e_shnum and e_shstrndx.
_SECTION_TABLE_AT = 32
_SECTION_COUNT_AT = 46
# sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size.
_SECTION_HEADER = struct.Struct('<6I')
# st_name, st_value, st_size, st_info, st_other, st_shndx.
_SYMBOL = struct.Struct('<3I2BH')
_FUNCTION = 2  # In the low bits of st_info.


def section_sizes(elf: bytes) -> dict[str, int]:
  """Returns section name -> bytes, of all sections that have a name.

  Raises:
    ValueError: not such a file, or it is cut off.
  """
  return {name: size for name, (_, size) in _sections(elf).items() if name}


def function_sizes(elf: bytes) -> dict[str, int]:
  """Returns function name -> bytes of its code.

  Raises:
    ValueError: not such a file, or it is cut off or has no symbols.
  """
  sections = _sections(elf)
  if '.symtab' not in sections or '.strtab' not in sections:
    raise ValueError('the ELF file has no symbols')
  start, num_bytes = sections['.symtab']
  names, _ = sections['.strtab']
  symbols = _SYMBOL.iter_unpack(elf[start : start + num_bytes])
  return {
      _text(elf, names + name): size
      for name, _, size, info, _, _ in symbols
      if info & 15 == _FUNCTION
  }


def _text(elf: bytes, start: int) -> str:
  return elf[start : elf.index(b'\0', start)].decode()


def _sections(elf: bytes) -> dict[str, tuple[int, int]]:
  """Returns section name -> (place in the file, bytes)."""
  if elf[: len(_MAGIC)] != _MAGIC or len(elf) < _HEADER_BYTES:
    raise ValueError(
        'expected a 32-bit little-endian ELF file, received one that begins '
        f'with {elf[:6].hex()}'
    )
  (table,) = struct.unpack_from('<I', elf, _SECTION_TABLE_AT)
  entry_bytes, count, names_index = struct.unpack_from(
      '<3H', elf, _SECTION_COUNT_AT
  )
  if table + entry_bytes * count > len(elf) or names_index >= count:
    raise ValueError('the ELF file is cut off before its section headers')
  headers = [
      _SECTION_HEADER.unpack_from(elf, table + entry_bytes * i)
      for i in range(count)
  ]
  names = headers[names_index][4]
  return {
      _text(elf, names + name): (offset, size)
      for name, _, _, _, offset, size in headers
  }
