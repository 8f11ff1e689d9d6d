"""Copies of files on a local disk, made when a file is first read.

Training draws images in random order, which a network file system serves
slowly. A copy is as large as its source, is current while its source has the
same size and time, and appears whole or not at all, so that programs can share
a folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
import tempfile


@dataclasses.dataclass(frozen=True)
class LocalCopies:
  """Where the files of one folder are read.

  Attributes:
    source: the folder that holds the files.
    cache_dir: where copies go; None: the files themselves are read.
  """

  source: pathlib.Path
  cache_dir: pathlib.Path | None = None

  def path(self, name: str) -> pathlib.Path:
    """Returns where to read a file; copies it, if copies are wanted.

    Args:
      name: relative to `source`.

    Raises:
      FileNotFoundError: there is no such file.
    """
    original = self.source / name
    if self.cache_dir is None:
      return original
    copy = self._folder() / name
    if not _is_current(copy, original):
      _copy(original, copy)
    return copy

  def _folder(self) -> pathlib.Path:
    """Returns a folder for this source alone."""
    key = hashlib.blake2b(os.fsencode(self.source.resolve()), digest_size=6)
    assert self.cache_dir is not None
    return self.cache_dir / f'{self.source.name}-{key.hexdigest()}'


def _is_current(copy: pathlib.Path, original: pathlib.Path) -> bool:
  wanted = original.stat()
  try:
    found = copy.stat()
  except FileNotFoundError:
    return False
  # Some file systems keep whole seconds only.
  return found.st_size == wanted.st_size and int(found.st_mtime) == int(
      wanted.st_mtime
  )


def _copy(original: pathlib.Path, copy: pathlib.Path) -> None:
  copy.parent.mkdir(parents=True, exist_ok=True)
  handle, temporary = tempfile.mkstemp(dir=copy.parent, prefix='.copying-')
  os.close(handle)
  try:
    shutil.copy2(original, temporary)
    os.replace(temporary, copy)
  finally:
    pathlib.Path(temporary).unlink(missing_ok=True)
