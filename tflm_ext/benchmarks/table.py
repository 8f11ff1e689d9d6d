"""The table that the report prints, and that is committed as instructions.txt.

A cell is the most instructions per MAC over all widths of the output; in
parentheses the weighted count (counts.Row); a star where that is above
targets.py. Instructions are not cycles. Below, per op, the most bytes of code.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools

from tflm_ext.benchmarks import counts
from tflm_ext.benchmarks import layers
from tflm_ext.benchmarks import targets
from tfmpq import specs

# Widths of input and weight; a cell is the worst over all widths of the output.
_COLUMNS = tuple(itertools.product(reversed(specs.BIT_WIDTHS), repeat=2))
_NAME_WIDTH = 27
_CELL_WIDTH = 17


def text(rows: Sequence[counts.Row]) -> str:
  """Returns a table per core: instructions per MAC, and networks."""
  cores = dict.fromkeys(row.core for row in rows)
  return '\n\n'.join(
      _core_text(core, [row for row in rows if row.core == core])
      for core in cores
  )


def _core_text(core: str, rows: Sequence[counts.Row]) -> str:
  lines = [
      f'{core}: instructions per MAC, the most over all widths of the output '
      '(weighted), * above the target',
      f'{"layer":<{_NAME_WIDTH}}'
      + ''.join(f'{f"a{a} w{w}":>{_CELL_WIDTH}}' for a, w in _COLUMNS),
  ]
  for layer in layers.LAYERS:
    of_layer = [row for row in rows if row.layer == layer.spec.name]
    if of_layer:
      lines.append(
          f'{layer.spec.name:<{_NAME_WIDTH}}'
          + ''.join(_cell(of_layer, *widths) for widths in _COLUMNS)
      )
  lines.append('code of a kernel and all that it calls, bytes')
  for op in dict.fromkeys(layer.spec.op for layer in layers.LAYERS):
    names = {x.spec.name for x in layers.LAYERS if x.spec.op is op}
    of_op = [row for row in rows if row.layer in names]
    if of_op:
      lines.append(
          f'{op.value:<{_NAME_WIDTH}}'
          + ''.join(_code_cell(of_op, *widths) for widths in _COLUMNS)
      )
  networks = [row for row in rows if row.op == 'network']
  if networks:
    lines.append(
        f'{"network":<{_NAME_WIDTH}}{"MACs":>{_CELL_WIDTH}}{"instructions":>{_CELL_WIDTH}}'
        f'{"per MAC":>{_CELL_WIDTH}}{"code, bytes":>{_CELL_WIDTH}}'
    )
  for row in networks:
    lines.append(
        f'{row.layer:<{_NAME_WIDTH}}{row.macs:>{_CELL_WIDTH},}{row.instructions:>{_CELL_WIDTH},}'
        f'{row.instructions_per_mac:>{_CELL_WIDTH}.3f}{row.code_bytes:>{_CELL_WIDTH},}'
    )
  return '\n'.join(lines)


def _code_cell(rows: Sequence[counts.Row], a: int, w: int) -> str:
  most = max(row.code_bytes for row in rows if (row.a, row.w) == (a, w))
  return f'{most:,}'.rjust(_CELL_WIDTH)


def _cell(rows: Sequence[counts.Row], a: int, w: int) -> str:
  members = [row for row in rows if (row.a, row.w) == (a, w)]
  worst = max(row.instructions_per_mac for row in members)
  limit = targets.limits(members[0].core)[members[0].layer].of(a, w)
  shown = f'{worst:.3f}' + ('*' if worst > limit else '')
  weighted = [row.instructions_weighted for row in members]
  if None not in weighted:
    shown += f' ({max(weighted) / members[0].macs:.3f})'
  return shown.rjust(_CELL_WIDTH)
