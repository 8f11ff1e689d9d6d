"""Keeps what a solver's C++ code prints out of the user's terminal."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import ctypes
import os
import sys


@contextlib.contextmanager
def discarded() -> Iterator[None]:
  """Sends standard output of this process nowhere, that of C code included.

  HiGHS of scipy 1.17 prints a line whenever it polishes a solution, whatever
  its options say. Standard error, to which progress goes, is untouched.
  """
  libc = ctypes.CDLL(None)
  sys.stdout.flush()
  libc.fflush(None)
  kept = os.dup(1)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 1)
    yield
  finally:
    libc.fflush(None)
    os.dup2(kept, 1)
    os.close(kept)
    os.close(nowhere)
