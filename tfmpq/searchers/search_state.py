"""Files that are either the old or the new version, never half of one."""

from collections.abc import Callable, Mapping
import json
import os
import pathlib
from typing import Any, BinaryIO

import numpy as np


def write_json(path: pathlib.Path, value: Any) -> None:
  """Replaces the file at once; floats are written so that they round-trip."""
  text = json.dumps(value, allow_nan=False) + '\n'
  _replace(path, lambda file: file.write(text.encode()))


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Replaces an .npz file at once."""
  named: dict[str, Any] = dict(arrays)
  _replace(path, lambda file: np.savez(file, **named))


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the arrays that `write_arrays` wrote."""
  with np.load(path, allow_pickle=False) as arrays:
    return {name: arrays[name] for name in arrays.files}


def _replace(path: pathlib.Path, write: Callable[[BinaryIO], Any]) -> None:
  # Renaming is atomic only within a file system, hence the same folder. The
  # name is fixed: what a killed process left is overwritten by the next.
  temporary = path.with_name(path.name + '.tmp')
  with open(temporary, 'wb') as file:
    write(file)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)
