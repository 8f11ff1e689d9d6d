"""The table that the report prints."""

from __future__ import annotations

from collections.abc import Sequence
import itertools

from tflm_ext.benchmarks import counts
from tflm_ext.benchmarks import layers
from tfmpq import specs

# Widths of input and weight; a cell is the worst over all widths of the output.
_COLUMNS = tuple(itertools.product(reversed(specs.BIT_WIDTHS), repeat=2))
_NAME_WIDTH = 28


def text(rows: Sequence[counts.Row]) -> str:
  """Returns a table per core: instructions per MAC, and networks."""
  cores = dict.fromkeys(row.core for row in rows)
  return '\n\n'.join(
      _core_text(core, [row for row in rows if row.core == core])
      for core in cores
  )


def _core_text(core: str, rows: Sequence[counts.Row]) -> str:
  lines = [
      f'{core}: instructions per MAC, the most over all widths of the output; '
      'in parentheses weighted',
      f'{"layer":<{_NAME_WIDTH}}'
      + ''.join(f'{f"a{a} w{w}":>15}' for a, w in _COLUMNS),
  ]
  for layer in layers.LAYERS:
    of_layer = [row for row in rows if row.layer == layer.spec.name]
    if of_layer:
      lines.append(
          f'{layer.spec.name:<{_NAME_WIDTH}}'
          + ''.join(_cell(of_layer, *widths) for widths in _COLUMNS)
      )
  networks = [row for row in rows if row.op == 'network']
  if networks:
    lines.append(
        f'{"network":<{_NAME_WIDTH}}{"MACs":>15}{"instructions":>15}'
        f'{"per MAC":>15}{"code, bytes":>15}'
    )
  for row in networks:
    lines.append(
        f'{row.layer:<{_NAME_WIDTH}}{row.macs:>15,}{row.instructions:>15,}'
        f'{row.instructions_per_mac:>15.3f}{row.code_bytes:>15,}'
    )
  return '\n'.join(lines)


def _cell(rows: Sequence[counts.Row], a: int, w: int) -> str:
  members = [row for row in rows if (row.a, row.w) == (a, w)]
  worst = max(row.instructions_per_mac for row in members)
  weighted = [row.instructions_weighted for row in members]
  if None in weighted:
    return f'{worst:>15.3f}'
  return f'{worst:.3f} ({max(weighted) / members[0].macs:.3f})'.rjust(15)
