"""What a front of policies says: pareto.json and a page with two charts."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import html
from typing import Any

from tfmpq import svg_charts
from tfmpq.searchers import front as front_lib
from tfmpq.searchers.searcher import EpisodeRecord


def to_json_dict(front: front_lib.Front) -> dict[str, Any]:
  """Returns pareto.json: the front, the best per budget, the marginals."""
  return {
      'num_evaluations': front.num_evaluations,
      'front': [_point(record) for record in front.records],
      'budgets': [
          {
              'budget': dataclasses.asdict(budget),
              'best': None if best is None else _point(best),
          }
          for budget, best in zip(front.budgets, front.best, strict=True)
      ],
      'marginals': [dataclasses.asdict(m) for m in front.marginals],
  }


def _point(record: EpisodeRecord) -> dict[str, Any]:
  return {
      **dataclasses.asdict(record.footprint),
      'reward': record.reward,
      'accuracy': record.evaluation.accuracy,
      'policy': record.policy.as_dict(),
  }


def page(front: front_lib.Front) -> str:
  """Returns a page that needs no other file."""
  parts = [
      '<h1>Policies for many budgets</h1>',
      f'<p>{front.num_evaluations} policies were evaluated; none of these '
      f'{len(front.records)} is dominated by another one. Accuracy is that on '
      'the reward split before fine-tuning.</p>',
      '<h2>RAM, FLASH and accuracy</h2>'
      '<p>A line per limit of RAM: the best policy within that and the limit '
      'of FLASH.</p>',
      budget_chart(front),
      _table(front.records),
  ]
  if front.marginals:
    parts += [
        '<h2>What a byte of each tensor is worth</h2>'
        '<p>Accuracy lost per kB of the tensor that fewer bits save, all '
        'others at the largest width: FLASH for weights, RAM while it lives '
        'for activations. Losses below zero are noise of the reward images '
        'and shown as zero.</p>',
        *(
            f'<h3>{kind}s</h3>' + marginal_chart(front.marginals, kind)
            for kind in ('weight', 'activation')
            if any(m.kind == kind for m in front.marginals)
        ),
    ]
  return (
      '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
      '<title>tfmpq: policies for many budgets</title><style>body{font-family:'
      'sans-serif;max-width:60em;margin:auto}td,th{padding:0 1em;text-align:'
      'right}</style><body>' + '\n'.join(parts) + '</body></html>\n'
  )


def budget_chart(front: front_lib.Front) -> str:
  """Returns accuracy against the limit of FLASH, a line per limit of RAM."""
  lines: dict[int | None, list[tuple[float, float]]] = {}
  for budget, best in zip(front.budgets, front.best, strict=True):
    if best is not None and budget.flash_bytes is not None:
      lines.setdefault(budget.ram_bytes, []).append(
          (budget.flash_bytes, 100 * best.evaluation.accuracy)
      )
  series = [
      svg_charts.Series(
          'any RAM' if ram is None else f'RAM {ram:,} bytes', sorted(points)
      )
      for ram, points in sorted(lines.items(), key=lambda item: item[0] or 0)
  ]
  return svg_charts.line_chart(series, 'FLASH, bytes', 'reward split, %')


def marginal_chart(marginals: Sequence[front_lib.Marginal], kind: str) -> str:
  """Returns a stack per tensor: points of accuracy per kB, a part per step."""
  parts: dict[str, list[tuple[str, float]]] = {}
  for m in marginals:
    if m.kind == kind:
      points_per_kb = max(0.0, 100 * 1000 * m.loss_per_byte)
      parts.setdefault(m.tensor, []).append(
          (f'{m.wide} to {m.narrow} bits', points_per_kb)
      )
  bars = [svg_charts.Bar(tensor, sizes) for tensor, sizes in parts.items()]
  return svg_charts.stacked_bars(bars, f'{kind}s', 'points per kB')


def _table(records: Sequence[EpisodeRecord]) -> str:
  counted = any(r.footprint.instructions is not None for r in records)
  head = ['RAM, bytes', 'FLASH, bytes', 'accuracy', 'mean bits']
  if counted:
    head.insert(2, 'instructions')
  rows = [''.join(f'<th>{html.escape(cell)}</th>' for cell in head)]
  for record in records:
    footprint, bits = record.footprint, record.policy.as_dict().values()
    cells = [
        f'{footprint.ram_bytes:,}',
        f'{footprint.flash_bytes:,}',
        f'{record.evaluation.accuracy:.2%}',
        f'{sum(bits) / len(bits):.2f}',
    ]
    if counted:
      cells.insert(2, f'{footprint.instructions:,}')
    rows.append(''.join(f'<td>{cell}</td>' for cell in cells))
  return '<table>' + ''.join(f'<tr>{row}</tr>' for row in rows) + '</table>'
