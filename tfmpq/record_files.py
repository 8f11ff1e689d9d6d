"""Random access to the records of TFRecord files.

A TFRecord file is a sequence of records without an index. Each is framed as

  8 bytes   length of the data, little-endian
  4 bytes   checksum of these 8 bytes
  length    the data
  4 bytes   checksum of the data

so that reading the frames alone, 12 bytes of some hundred kB, tells where every
record lies. The data's checksums are not verified: an image that is damaged
does not decode.
"""

from collections.abc import Sequence
import concurrent.futures
import os
import pathlib
import struct

import numpy as np

_LENGTH_BYTES, _CHECKSUM_BYTES = 8, 4
_HEADER_BYTES = _LENGTH_BYTES + _CHECKSUM_BYTES
# Waiting for a disk takes no processor.
_SCANNING_THREADS = 16


def scan(path: pathlib.Path) -> np.ndarray:
  """Returns where the records of a file lie: int64 [N, 2], offset and length.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file does not end with a whole record.
  """
  if not path.is_file():
    raise FileNotFoundError(
        f'{path}: found no such record file; the data set is incomplete, '
        'copy or prepare it anew'
    )
  table: list[tuple[int, int]] = []
  position, size = 0, path.stat().st_size
  with path.open('rb', buffering=0) as file:
    # What follows a header is not needed.
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
    while position < size:
      header = os.pread(file.fileno(), _HEADER_BYTES, position)
      start = position + _HEADER_BYTES
      length = (
          struct.unpack_from('<Q', header)[0]
          if len(header) == _HEADER_BYTES
          else size
      )
      position = start + length + _CHECKSUM_BYTES
      if position > size:
        raise ValueError(
            f'{path}: record {len(table)} ends beyond the {size} bytes of the '
            'file; it is damaged or only partly copied, copy it anew'
        )
      table.append((start, length))
  return np.array(table, np.int64).reshape(-1, 2)


class RecordFiles:
  """The records of several files, by one number."""

  def __init__(
      self, paths: Sequence[pathlib.Path], shard_lengths: Sequence[int]
  ):
    """Reads the frames of all files.

    Args:
      paths: the files.
      shard_lengths: how many records each has.

    Raises:
      FileNotFoundError: a file is not there.
      ValueError: a file is damaged, or does not have as many records.
    """
    self._paths = tuple(paths)
    with concurrent.futures.ThreadPoolExecutor(_SCANNING_THREADS) as threads:
      tables = list(threads.map(scan, self._paths))
    for path, table, expected in zip(
        self._paths, tables, shard_lengths, strict=True
    ):
      if len(table) != expected:
        raise ValueError(
            f'{path}: expected {expected} records, as dataset_info.json beside '
            f'it says, found {len(table)}; prepare or copy the data set anew'
        )
    self._counts = np.array([len(table) for table in tables], np.int64)
    self._first = np.cumsum(self._counts) - self._counts
    self._table = np.concatenate([np.empty((0, 2), np.int64), *tables])

  def __len__(self) -> int:
    return len(self._table)

  def ids(self) -> tuple[str, ...]:
    """Returns '<file>__<number in it>' of each record: `tfds_id` in tfds."""
    return tuple(
        f'{path.name}__{index}'
        for path, count in zip(self._paths, self._counts, strict=True)
        for index in range(count)
    )

  def read(self, index: int) -> bytes:
    """Returns the data of a record; IndexError if there is none."""
    if not 0 <= index < len(self):
      raise IndexError(f'expected a record from 0 to {len(self) - 1}: {index}')
    shard = int(np.searchsorted(self._first, index, side='right')) - 1
    offset, length = self._table[index]
    with self._paths[shard].open('rb', buffering=0) as file:
      return os.pread(file.fileno(), int(length), int(offset))
