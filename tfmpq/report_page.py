"""report.html: one self-contained page out of report.json."""

from collections.abc import Iterable, Mapping, Sequence
import html
from typing import Any

from tfmpq import backends
from tfmpq import report as report_lib
from tfmpq import svg_charts

_STYLE = """
body{font:15px/1.5 sans-serif;max-width:980px;margin:2em auto;padding:0 1em;
color:#222}h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.25em .8em;
border-bottom:1px solid #ddd;text-align:right}td:first-child,
th:first-child{text-align:left}code{background:#f3f3f3;padding:.1em .3em}
.b8,.b4,.b2{padding:0 .5em}.b8{background:#cfe3ef}
.b4{background:#f8e5c4}.b2{background:#d7e6cb}
.bad{color:#c0392b;font-weight:bold}.note{color:#666;font-size:.9em}
svg{width:100%;height:auto;margin:.5em 0}
"""
_ACCURACIES = (
    ('float', 'Float network'),
    ('uniform_int8', '8 bits everywhere, integer'),
    ('policy_before_finetune', 'Policy, before fine-tuning, integer'),
    ('integer', 'Policy, fine-tuned, integer'),
    ('integer_builtin', "The same in TFLM's builtin ops"),
)


def render(report: Mapping[str, Any]) -> str:
  """Returns the page; no script, no link to anything outside."""
  title = html.escape(f'tfmpq: {report["name"]}')
  body = ''.join(
      [
          f'<h1>{title}</h1>',
          f'<p>Made by <code>{html.escape(report["command"])}</code></p>',
          _result(report),
          _accuracy(report),
          _exports(report),
          _runs(report),
          _policy(report),
          _ram(report),
          _flash(report),
          _search(report),
          _finetune(report),
          _origins(report),
      ]
  )
  return (
      '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
      f'<title>{title}</title><style>{_STYLE}</style></head>'
      f'<body>{body}</body></html>\n'
  )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table; cells are HTML already."""
  line = ''.join(f'<th>{cell}</th>' for cell in head)
  body = ''.join(
      '<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>'
      for row in rows
  )
  return f'<table><tr>{line}</tr>{body}</table>'


def _result(report) -> str:
  budget, footprint = report['budget'], report['footprint']
  rows = [
      (
          name,
          f'{budget[key + "_bytes"]:,}',
          f'{footprint[f"uniform_int8_{key}_bytes"]:,}',
          f'{footprint[f"{key}_bytes_predicted"]:,}',
          f'{footprint[f"{key}_bytes_predicted"] / budget[key + "_bytes"]:.1%}',
      )
      for key, name in (('ram', 'RAM'), ('flash', 'FLASH'))
  ]
  return (
      '<h2>Does it fit?</h2>'
      + _table(
          ('', 'budget, bytes', '8 bits', 'this policy', 'of the budget'), rows
      )
      + f'<p class="note">Memory model: {html.escape(budget["memory_model"])}, '
      f'backend {html.escape(budget["backend"])}, kernels '
      f'{html.escape(", ".join(budget["targets"]))}. FLASH written: '
      f'{footprint["flash_bytes_written"]:,} bytes; model.tflite: '
      f'{footprint["tflite_bytes"]:,} bytes.</p>'
  )


def _accuracy(report) -> str:
  rows = []
  for key, name in _ACCURACIES:
    if key not in report['accuracy']:
      continue  # a run without builtin ops
    low, high = report['accuracy_95_percent'][key]
    rows.append(
        (name, f'{report["accuracy"][key]:.2%}', f'{low:.2%} - {high:.2%}')
    )
  return (
      '<h2>How accurate is it?</h2>'
      + _table(('', 'top-1', '95 % interval'), rows)
      + f'<p class="note">{report["num_test_images"]:,} test images, which '
      'neither the search nor the training has seen.</p>'
  )


def _exports(report) -> str:
  rows = [
      (
          html.escape(name),
          f'{entry["predicted"]["ram_bytes"]:,}',
          f'{entry["flash_bytes"]:,}',
      )
      for name, entry in report['exports'].items()
  ]
  return (
      '<h2>What was written</h2>'
      + _table(('export', 'RAM predicted', 'FLASH written'), rows)
      + '<p class="note">Bytes. tflm: model.tflite with custom ops; '
      "tflm_builtin: model_builtin.tflite with TFLM's own; the others: model.c "
      'for that instruction set.</p>'
  )


def _runs(report) -> str:
  if not report['runs']:
    return '<h2>On the cores</h2><p>Not run: no core was asked for.</p>'
  rows = [
      (
          html.escape(f'{run["core"]} ({run["machine"]})'),
          backends.title(run['backend'], run.get('tflite_ops')),
          f'{run["ram_bytes_measured"]:,}',
          f'{run["ram_bytes_predicted"]:,}',
          report_lib.figure(run.get('arena_head_bytes')),
          report_lib.figure(run.get('arena_tail_bytes')),
          report_lib.figure(run['code_bytes']),
          report_lib.figure(run['const_bytes']),
          report_lib.figure(run['instructions']),
          'equal'
          if run['logits_equal']
          else '<span class="bad">different</span>',
      )
      for run in report['runs']
  ]
  head = (
      'core',
      'backend',
      'RAM measured',
      'RAM predicted',
      'head',
      'tail',
      'code',
      'constants',
      'instructions',
      'logits',
  )
  return (
      '<h2>On the cores</h2>'
      + _table(head, rows)
      + '<p class="note">Bytes; RAM of backend tflm is the smallest arena with '
      'which TFLM starts, of which the head holds activations and scratch '
      'memory and the tail TFLM itself; instructions executed per inference as '
      'the emulator counts them, which are not cycles. Logits are compared bit '
      'by bit with the NumPy reference.</p>'
  )


def _policy(report) -> str:
  rows = [
      (
          html.escape(tensor['name']),
          tensor['kind'],
          ' x '.join(str(d) for d in tensor['shape']),
          f'<span class="b{tensor["bits"]}">{tensor["bits"]}</span>',
      )
      for tensor in report['tensors']
  ]
  return '<h2>The policy</h2>' + _table(
      ('tensor', 'kind', 'shape', 'bits'), rows
  )


def _ram(report) -> str:
  moments = report['ram_over_time']
  bars = [
      svg_charts.Bar(moment['layer'], [tuple(a) for a in moment['alive']])
      for moment in moments
  ]
  peak = max(moments, key=lambda moment: moment['ram_bytes'])
  alive = ', '.join(f'{name} ({size:,})' for name, size in peak['alive'])
  return (
      '<h2>RAM over time</h2>'
      + svg_charts.stacked_bars(
          bars,
          'layers in the order of execution',
          'bytes alive',
          report['budget']['ram_bytes'],
      )
      + f'<p>Peak at <code>{html.escape(peak["layer"])}</code>: '
      f'{peak["ram_bytes"]:,} bytes. Alive there: {html.escape(alive)}.</p>'
  )


def _flash(report) -> str:
  by_layer: dict[str, list[tuple[str, float]]] = {}
  for part in report['flash_by_tensor']:
    parts = by_layer.setdefault(part['layer'], [])
    parts.append((part['kind'], part['bytes']))
  bars = [svg_charts.Bar(name, parts) for name, parts in by_layer.items()]
  kinds: dict[str, int] = {}
  for part in report['flash_by_tensor']:
    kinds[part['kind']] = kinds.get(part['kind'], 0) + part['bytes']
  rows = [(html.escape(k), f'{size:,}') for k, size in kinds.items()]
  return (
      '<h2>FLASH by tensor</h2>'
      + svg_charts.stacked_bars(bars, 'layers', 'bytes')
      + _table(('kind', 'bytes'), rows)
  )


def _search(report) -> str:
  search = report['search']
  curve = [point for point in search['curve'] if point['fits']]
  best, highest = [], 0.0
  for point in curve:
    highest = max(highest, point['accuracy'])
    best.append((point['episode'], 100 * highest))
  all_points = [(p['episode'], 100 * p['accuracy']) for p in curve]
  rows = [
      (html.escape(name), f'{value:,.4g}')
      for name, value in search['statistics'].items()
  ]
  return (
      f'<h2>The search</h2><p>{html.escape(search["searcher"])}, '
      f'{search["episodes"]} episodes, '
      f'{search["episodes_per_minute"]:.0f} per minute, seed '
      f'{search["seed"]}.</p>'
      + svg_charts.line_chart(
          [
              svg_charts.Series('an episode', all_points, is_line=False),
              svg_charts.Series('best so far', best),
          ],
          'episode',
          'accuracy on the reward split, %',
      )
      + _table(('statistic', ''), rows)
  )


def _finetune(report) -> str:
  rows = [
      (
          html.escape(f'{record["phase"]}, {record["epoch"]}'),
          f'{record["loss"]:.4f}',
          f'{record["cross_entropy"]:.4f}',
          f'{record["accuracy"]:.2%}',
      )
      for record in report['finetune']
  ]
  return '<h2>Fine-tuning</h2>' + _table(
      ('phase, epoch', 'loss', 'cross-entropy, reward split', 'accuracy'), rows
  )


def _origins(report) -> str:
  rows = [
      (
          f'<code>{html.escape(f["path"])}</code>',
          html.escape(f['unit']),
          html.escape(f['how']),
      )
      for f in report['figures']
  ]
  return '<h2>Where the figures come from</h2>' + _table(
      ('figure in report.json', 'unit', 'how'), rows
  )
