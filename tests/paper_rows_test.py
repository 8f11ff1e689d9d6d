"""Every row of the paper's study has a configuration that can be run."""

import importlib
import json

import pytest

from tfmpq import backends
from tfmpq import experiment_flags
from tfmpq import learning_rates
from tfmpq import paper_rows
from tfmpq import reproduce
from tfmpq import training_phases
from tfmpq.searchers.searcher import SearchProblem

_ROWS = paper_rows.rows()
_NAMES = [row.name for row in _ROWS]


def test_rows_are_those_of_the_study():
  assert len(_ROWS) == len(set(_NAMES)) == 3 * (3 + 4) * 2
  budgets = {(row.budget.flash, row.budget.ram) for row in _ROWS}
  assert budgets == {
      ('2048kB', None),
      ('1024kB', None),
      ('512kB', None),
      ('2048kB', '512kB'),
      ('1024kB', '512kB'),
      ('1024kB', '256kB'),
      ('1024kB', '320kB'),
  }
  for family in ('mobilenet_v1', 'mobilenet_v2', 'mnasnet_b1'):
    assert sum(row.network.model == family for row in _ROWS) == 14


@pytest.mark.parametrize('name', _NAMES)
def test_every_row_has_a_file_that_says_what_to_expect(name):
  row = paper_rows.row(name)
  assert experiment_flags.load_config(name) == row.config()
  text = importlib.import_module(f'configs.{name}').__doc__
  for needed in (
      f'--config={name}',
      f'{row.network.width}@{row.network.size}',
      row.budget.flash,
      'per channel' if row.per_channel else 'per layer',
      'Source: ',
      'Measured: ',
      'Expected: about ',
  ):
    assert needed in text
  if row.source[0] is not None:
    assert f'{row.source[0]} % Top-1' in text


@pytest.mark.parametrize('name', _NAMES)
def test_something_fits_in_every_row(name):
  row = paper_rows.row(name)
  config, spec = row.config(), row.network.spec()
  model = backends.build_memory_model(
      spec, 'paper', 'c', row.per_channel, targets=()
  )
  problem = SearchProblem(
      spec,
      model,
      config.budget.budget(),
      evaluate=None,
      search_tensors=config.search.search_tensors,
  )
  assert problem.fits(problem.require_feasible())
  # Uniform 8 bits do not fit, or there would be nothing to search.
  assert not problem.fits(problem.policy({}, 8))
  size = (row.network.size, row.network.size)
  assert config.data.height_and_width() == size


def test_rows_are_trained_as_the_predecessor_trains():
  flags = _ROWS[0].config().finetune
  assert flags.batch_size == 128
  step = training_phases.settings(flags, flags.finetune_epochs, seed=1).step
  rate = learning_rates.make(
      step.schedule, step.learning_rate, num_steps=10_000, steps_per_epoch=1000
  )
  rates = {0: 1e-4, 4999: 1e-4, 5000: 5e-5, 7999: 5e-5, 8000: 1e-5, 9999: 1e-5}
  for number, expected in rates.items():
    assert float(rate(number)) == pytest.approx(expected)
  assert step.clip_decay == 1e-4
  assert step.weight_decay == 0


def test_a_table_shows_source_and_finished_rows(tmp_path):
  row = paper_rows.row('paper_mobilenet_v1_2048kB_512kB_per_channel')
  other = paper_rows.row('paper_mobilenet_v2_2048kB_512kB_per_channel')
  folder = tmp_path / row.name
  folder.mkdir()
  report = {
      'accuracy': {'integer': 0.6912, 'float': 0.6834},
      'footprint': {
          'ram_bytes_predicted': 451_584,
          'flash_bytes_predicted': 2_000_123,
      },
  }
  (folder / 'report.json').write_text(json.dumps(report))
  lines = reproduce.table([row, other], tmp_path).splitlines()
  assert lines[1].split()[-5:] == [
      '68.4',
      '69.1',
      '68.3',
      '451,584',
      '2,000,123',
  ]
  assert lines[2].split()[-5:] == ['-'] * 5
  assert 'arXiv:2008.05124 (abstract)' in lines[-2]
