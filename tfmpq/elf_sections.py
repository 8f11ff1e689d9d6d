"""Sizes of the sections of an ELF file: 32 bits, little-endian.

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


def section_sizes(elf: bytes) -> dict[str, int]:
  """Returns section name -> bytes, of all sections that have a name.

  Raises:
    ValueError: not such a file, or it is cut off.
  """
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
  sizes = {}
  for name, _, _, _, _, size in headers:
    start = names + name
    text = elf[start : elf.index(b'\0', start)].decode()
    if text:
      sizes[text] = size
  return sizes
