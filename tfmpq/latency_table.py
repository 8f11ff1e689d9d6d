"""Instructions of single layers, as counted on one core, in a file.

A count belongs to the shape of a layer and the widths of its tensors, not to a
network: what one network has measured serves every other one. Counts are
instructions, not cycles. `//tfmpq:latency` makes them (latency_measuring).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import csv
import dataclasses
import io
import pathlib
from typing import Any

from tfmpq import kernel_targets
from tfmpq import specs

_SHAPES = ('input_shape', 'output_shape', 'kernel_size', 'stride', 'padding')
_WIDTHS = ('a', 'w', 'o')
_COLUMNS = (
    'op',
    *_SHAPES,
    *_WIDTHS,
    'zero_points',
    'pre_shift',
    'instructions',
)
_PER_CHANNEL, _SHARED = 'per_channel', 'shared'


@dataclasses.dataclass(frozen=True)
class LayerCall:
  """All that the count of a layer depends on, apart from the core.

  Attributes:
    geometry: op and shapes.
    a: width of the input.
    w: width of the weight, or of the last input if there is no weight.
    o: width of the output.
    per_channel_zero_points: whether the weight has a zero point per output
      channel; False for 8 bits and for layers without weight.
    pre_shift: whether its sums are shifted before they are multiplied
      (quantization.Rescale); False for layers without weight.
  """

  geometry: kernel_targets.Geometry
  a: int
  w: int
  o: int
  per_channel_zero_points: bool = False
  pre_shift: bool = False


@dataclasses.dataclass(frozen=True)
class InstructionTable:
  """What was counted on one core.

  Attributes:
    core: one of firmware.CORES.
    firmware: SHA-256 of the program that counted; another program, other
      kernels, other counts. Empty: nothing was counted.
    counts: layer -> instructions of one call.
  """

  core: str
  firmware: str = ''
  counts: Mapping[LayerCall, int] = dataclasses.field(default_factory=dict)

  def with_counts(self, counts: Mapping[LayerCall, int]) -> InstructionTable:
    """Returns a table that holds these counts, too."""
    return dataclasses.replace(self, counts={**self.counts, **counts})

  def missing(self, calls: Iterable[LayerCall]) -> list[LayerCall]:
    """Returns those that were not counted, each once, in order."""
    return [c for c in dict.fromkeys(calls) if c not in self.counts]

  def to_text(self) -> str:
    """Returns the content of the file, sorted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('core', self.core, 'firmware', self.firmware))
    writer.writerow(_COLUMNS)
    writer.writerows(sorted(_row(c, n) for c, n in self.counts.items()))
    return text.getvalue()

  @classmethod
  def from_text(cls, text: str) -> InstructionTable:
    """Reads what `to_text` gave; ValueError for anything else."""
    rows = list(csv.reader(io.StringIO(text)))
    heads = rows[:2]
    if (
        len(heads) != 2
        or heads[0][:1] + heads[0][2:3] != ['core', 'firmware']
        or tuple(heads[1]) != _COLUMNS
    ):
      raise ValueError(
          'expected a table of instructions as //tfmpq:latency writes it, '
          f'received {rows[:2]}'
      )
    counts = dict(_parse(row) for row in rows[2:])
    return cls(rows[0][1], rows[0][3], counts)


def path(folder: pathlib.Path, core: str) -> pathlib.Path:
  """Returns where the table of a core lies in a folder of tables."""
  return folder / f'{core}.csv'


def load(folder: pathlib.Path, core: str) -> InstructionTable:
  """Returns the table of a core; an empty one if there is no file."""
  file = path(folder, core)
  if not file.exists():
    return InstructionTable(core)
  try:
    return InstructionTable.from_text(file.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(
        f'{file}: {error}; delete it, and //tfmpq:latency makes it anew'
    ) from error


def _row(call: LayerCall, count: int) -> tuple[str, ...]:
  shapes = ('x'.join(map(str, getattr(call.geometry, n))) for n in _SHAPES)
  zero_points = _PER_CHANNEL if call.per_channel_zero_points else _SHARED
  return (
      call.geometry.op.value,
      *shapes,
      *(str(getattr(call, n)) for n in _WIDTHS),
      zero_points,
      str(int(call.pre_shift)),
      str(count),
  )


def _parse(row: list[str]) -> tuple[LayerCall, int]:
  fields = dict(zip(_COLUMNS, row, strict=True))
  shapes: dict[str, Any] = {
      n: tuple(map(int, fields[n].split('x'))) for n in _SHAPES
  }
  geometry = kernel_targets.Geometry(specs.Op(fields['op']), **shapes)
  a, w, o = (int(fields[n]) for n in _WIDTHS)
  call = LayerCall(
      *(geometry, a, w, o),
      per_channel_zero_points=fields['zero_points'] == _PER_CHANNEL,
      pre_shift=fields['pre_shift'] == '1',
  )
  return call, int(fields['instructions'])
