"""The state of a training in one file that is replaced whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import io
import json
import pathlib
from typing import Any

import numpy as np

from tfmpq import run_dir

_META = 'meta'


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingState:
  """What a training needs to go on.

  Attributes:
    meta: JSON values: counters and records.
    groups: name without a slash -> arrays in the order of their variables.
  """

  meta: Mapping[str, Any]
  groups: Mapping[str, Sequence[np.ndarray]]


def save(path: pathlib.Path, state: TrainingState) -> None:
  """Replaces the file in one step."""
  arrays: dict[str, Any] = {
      f'{group}/{i}': value
      for group, values in state.groups.items()
      for i, value in enumerate(values)
  }
  sizes = {group: len(values) for group, values in state.groups.items()}
  text = json.dumps({'meta': state.meta, 'sizes': sizes})
  buffer = io.BytesIO()
  arrays[_META] = np.frombuffer(text.encode(), np.uint8)
  np.savez(buffer, **arrays)
  run_dir.atomic_write(path, buffer.getvalue())


def load(path: pathlib.Path) -> TrainingState:
  """Returns what `save` wrote; FileNotFoundError if it did not."""
  with np.load(path) as file:
    content = json.loads(file[_META].tobytes())
    groups = {
        group: [file[f'{group}/{i}'] for i in range(size)]
        for group, size in content['sizes'].items()
    }
  return TrainingState(content['meta'], groups)
