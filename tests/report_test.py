"""The report: all promised figures, and a page that needs nothing else."""

import html.parser
import json
import re

import pytest

from tests import mobilenet_specs
from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import config
from tfmpq import evaluation
from tfmpq import report
from tfmpq import report_page
from tfmpq import specs
from tfmpq import svg_charts
from tfmpq.searchers import searcher


def _inputs(name: str = 'test') -> report.ReportInputs:
  """A made-up run on a real network; only the plumbing is under test."""
  network = mobilenet_specs.mobilenet_v1(0.25, 32)
  policy = specs.QuantizationPolicy.uniform(network, 4, 4)
  memory_model = arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda p: c_writer.flash_bytes(network, p, False),
  )
  record = searcher.EpisodeRecord(
      index=0,
      phase='descent',
      policy=policy,
      evaluation=evaluation.Evaluation(0.9, 0.3, 2000),
      reward=-0.3,
      footprint=memory_model.footprint(policy),
      fits=True,
      repeated=False,
  )
  return report.ReportInputs(
      config=config.ExperimentConfig(name=name),
      command='./bazelw run //tfmpq:search',
      network=network,
      memory_model=memory_model,
      policy=policy,
      search=searcher.SearchResult('greedy', 1, record, (record,), {'n': 1.0}),
      episodes_per_minute=88.0,
      finetune=[
          {
              'phase': 'policy',
              'epoch': 1,
              'loss': 0.5,
              'accuracy': 0.91,
              'cross_entropy': 0.25,
          }
      ],
      exports={
          name: {
              'flash_bytes': flash_bytes,
              'arena_bytes': 640,
              'predicted': {'ram_bytes': 1712, 'flash_bytes': flash_bytes},
          }
          for name, flash_bytes in (
              ('tflm_dsp', 7008),
              ('tflm_mve', 7024),
              ('tflm_builtin', 8016),
          )
      },
      accuracy={
          key: evaluation.Evaluation(0.9, 0.3, 10000)
          for key in (
              'float',
              'uniform_int8',
              'policy_before_finetune',
              'integer',
          )
      },
      flash_by_tensor=[('conv', 'weight', 100), ('conv', 'channels', 64)],
      flash_bytes_written=12345,
      tflite_bytes=23456,
      runs=[
          {
              'backend': 'c',
              'core': 'cortex_m4',
              'machine': 'mps2-an386',
              'ram_bytes_measured': 1000,
              'ram_bytes_predicted': 1000,
              'code_bytes': 2000,
              'const_bytes': 3000,
              'instructions': 4000,
              'logits_equal': True,
          }
      ],
  )


# Key -> keys below it that every report holds.
_PROMISED = {
    'budget': 'ram_bytes flash_bytes memory_model backend',
    'accuracy': 'float uniform_int8 policy_before_finetune integer',
    'footprint': (
        'ram_bytes_predicted flash_bytes_predicted flash_bytes_written '
        'uniform_int8_ram_bytes uniform_int8_flash_bytes'
    ),
    'search': 'searcher episodes episodes_per_minute seed',
}


def test_report_holds_every_promised_figure():
  content = json.loads(json.dumps(report.build(_inputs())))
  for key, names in _PROMISED.items():
    assert set(names.split()) <= set(content[key]), key
  assert content['policy']['input'] == 8
  assert content['runs'][0]['logits_equal'] is True


def test_every_figure_has_unit_origin_and_command():
  figures = report.build(_inputs())['figures']
  paths = {figure['path'] for figure in figures}
  assert {'accuracy.integer', 'footprint.ram_bytes_predicted'} <= paths
  for figure in figures:
    assert figure['how'] and figure['command']


def test_wilson_interval_of_a_known_case():
  # 95 % interval of 81 in 263 by hand: 0.2553 to 0.3662.
  low, high = report.wilson_interval(81 / 263, 263)
  assert low == pytest.approx(0.2553, abs=1e-4)
  assert high == pytest.approx(0.3662, abs=1e-4)


class _Checker(html.parser.HTMLParser):
  """Collects tags that are opened and not closed, and outside references."""

  _VOID = {'meta'}

  def __init__(self):
    super().__init__()
    self.open, self.references = [], []

  def handle_starttag(self, tag, attrs):
    self.references += [v for k, v in attrs if k in ('src', 'href')]
    if tag not in self._VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.references += [v for k, v in attrs if k in ('src', 'href')]

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def test_page_is_well_formed_and_refers_to_nothing_outside():
  page = report_page.render(report.build(_inputs()))
  checker = _Checker()
  checker.feed(page)
  assert not checker.open
  assert not checker.references
  assert '<script' not in page and 'url(' not in page


def test_names_cannot_break_the_page():
  page = report_page.render(report.build(_inputs('<img src=x>')))
  assert '<img' not in page
  assert '&lt;img src=x&gt;' in page


def test_page_splits_the_arena_of_tflm():
  inputs = _inputs()
  run = inputs.runs[0]
  run |= {'backend': 'tflm', 'arena_head_bytes': 701, 'arena_tail_bytes': 299}
  page = report_page.render(report.build(inputs))
  assert '<td>701</td>' in page and '<td>299</td>' in page
  paths = {figure['path'] for figure in report.build(inputs)['figures']}
  assert {'runs.arena_head_bytes', 'runs.arena_tail_bytes'} <= paths


def test_page_says_when_logits_differ():
  inputs = _inputs()
  inputs.runs[0]['logits_equal'] = False
  content = report.build(inputs)
  assert 'class="bad"' in report_page.render(content)
  assert 'DIFFERENT' in report.summary(content)


def test_chart_shows_every_point_inside_its_frame():
  points = [(0, 5.0), (10, -3.0), (20, 8.0)]
  chart = svg_charts.line_chart([svg_charts.Series('s', points)], 'x', 'y')
  (path,) = re.findall(r'polyline points="([^"]+)"', chart)
  places = [tuple(map(float, pair.split(','))) for pair in path.split()]
  assert len(places) == 3
  assert all(0 <= x <= 720 and 0 <= y <= 260 for x, y in places)
  # SVG counts from the top: the largest value has the smallest y.
  assert min(places, key=lambda place: place[1]) == places[2]


def test_stacked_bars_have_heights_in_proportion():
  bar = svg_charts.Bar('layer', [('a', 100.0), ('b', 300.0)])
  chart = svg_charts.stacked_bars([bar], 'x', 'y', limit=500)
  heights = [float(h) for h in re.findall(r'height="([0-9.]+)" fill', chart)]
  assert heights[1] / heights[0] == pytest.approx(3, rel=0.01)
  assert 'budget 500' in chart


def test_few_names_get_a_legend_and_many_do_not():
  def chart(count):
    parts = [(f'part{i}', 1.0) for i in range(count)]
    return svg_charts.stacked_bars([svg_charts.Bar('b', parts)], 'x', 'y')

  assert '>part1</text>' in chart(3)
  assert '>part1</text>' not in chart(20)


def test_episodes_are_labelled_with_whole_numbers():
  points = [(x, 0.5 * x) for x in range(10)]
  chart = svg_charts.line_chart([svg_charts.Series('s', points)], 'x', 'y')
  labels = re.findall(r'text-anchor="middle" fill="#444">([^<]+)<', chart)
  assert [label for label in labels if label[0].isdigit()] == [
      '0',
      '2',
      '4',
      '7',
      '9',
  ]


def test_summary_sets_both_kinds_of_ops_side_by_side():
  content = report.build(_inputs())
  lines = report.summary(content).splitlines()
  sizes = {line.split()[0]: line.split()[-1] for line in lines}
  assert sizes['tflm_dsp'] == '7,008'
  assert sizes['tflm_mve'] == '7,024'
  assert sizes['tflm_builtin'] == '8,016'
  assert 'builtin ops' not in report.summary(content)
  content['accuracy']['integer_builtin'] = 0.8765
  assert '87.65%' in report.summary(content)
  assert 'builtin ops' in report.summary(content)
  del content['exports']['tflm_builtin']
  assert 'tflm' not in report.summary(content)
