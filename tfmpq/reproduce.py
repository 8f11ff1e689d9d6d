"""Runs the rows of a table of the paper's study, and prints it.

  ./bazelw run //tfmpq:reproduce -- --table=devices --print_only
  ./bazelw run //tfmpq:reproduce -- --table=devices --imagenet_dir=/data/tfds \
      --weights_dir=/data/float_weights --runs_dir=/data/runs

A row is a configuration, configs/paper_*.py, and its run goes into a folder of
its name in --runs_dir. A row whose report is there is finished and is not run
again; one that was stopped goes on. ImageNet comes from tfds (--imagenet_dir),
float weights from <model>_<width>_<size>.npz in --weights_dir. --print_only
runs nothing and prints what is there: figures of the source beside ours.
"""

from collections.abc import Sequence
import json
import pathlib
import sys

from absl import app
from absl import flags

from tfmpq import choice_flags
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import paper_rows
from tfmpq import program_errors
from tfmpq import reporting
from tfmpq import reproducibility
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import stages
from tfmpq import user_paths

_TABLES = ('weights', 'devices')
_TABLE = choice_flags.define(
    'table', 'devices', _TABLES, 'Weights alone, or weights and activations.'
)
_RUNS_DIR = flags.DEFINE_string('runs_dir', 'runs', 'Folder of the runs.')
_WEIGHTS_DIR = flags.DEFINE_string(
    'weights_dir', 'float_weights', 'Folder of the float weights.'
)
_DATA_DIR = flags.DEFINE_string('imagenet_dir', '', 'Folder of tfds data sets.')
_CORES = flags.DEFINE_string(
    'run_on', '', 'Cores that run the networks; empty: those of a search.'
)
_PRINT_ONLY = flags.DEFINE_bool('print_only', False, 'Run nothing.')
_STAGES = (
    stages.make_float_network,
    searching.search,
    stages.finetune,
    stages.export,
    stages.deploy,
    stages.evaluate,
)


def main(argv: list[str]) -> None:
  """Runs what is not finished and prints the table."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, received {argv[1:]}')
  rows = [row for row in paper_rows.rows() if row.table == _TABLE.value]
  folder = user_paths.resolve(_RUNS_DIR.value)
  with program_errors.in_one_line('reproduce'):
    if not _PRINT_ONLY.value:
      for row in rows:
        _run(row, folder / row.name)
    print(table(rows, folder))


def _run(row: paper_rows.Row, folder: pathlib.Path) -> None:
  """Runs a row, unless it is finished."""
  if (folder / run_dir.REPORT_JSON).exists():
    print(f'reproduce: {row.name} is finished', file=sys.stderr)
    return
  config = row_config(row)
  experiment = experiment_lib.Experiment(config, folder)
  search = config.search
  reproducibility.make_reproducible(search.seed, search.threads)
  print(f'reproduce: {row.name} in {folder}', file=sys.stderr)
  stages.require_startable(experiment)
  experiment.begin()
  for stage in _STAGES:
    stage(experiment)
  reporting.write(experiment, f'./bazelw run //tfmpq:search -- {_flags(row)}')


def row_config(row: paper_rows.Row) -> config_lib.ExperimentConfig:
  """Returns the experiment of a row with what the flags say."""
  network = row.network
  name = f'{network.model}_{network.width}_{network.size}.npz'
  values: dict[str, object] = {
      'weights': str(user_paths.resolve(_WEIGHTS_DIR.value) / name)
  }
  if _DATA_DIR.value:
    values['data_dir'] = _DATA_DIR.value
  if _CORES.value:
    values['cores'] = _CORES.value
  return config_lib.override(row.config(), values)


def _flags(row: paper_rows.Row) -> str:
  return f'--config={row.name} --weights={row_config(row).model.weights}'


def table(rows: Sequence[paper_rows.Row], folder: pathlib.Path) -> str:
  """Returns a line per row: the source's Top-1 and ours, and our bytes.

  Args:
    rows: of the table.
    folder: of the runs.
  """
  lines = [
      f'{"row":<52}{"network":<22}{"source":>8}{"ours":>8}{"float":>8}'
      f'{"RAM":>12}{"FLASH":>12}'
  ]
  for row in rows:
    source, _ = row.source
    shown = '-' if source is None else f'{source:.1f}'
    ours = _figures(folder / row.name)
    lines.append(
        f'{row.name:<52}{row.network.name:<22}{shown:>8}{ours[0]:>8}'
        f'{ours[1]:>8}{ours[2]:>12}{ours[3]:>12}'
    )
  sources = dict.fromkeys(row.source[1] for row in rows)
  return '\n'.join(
      [*lines, 'Top-1 on ImageNet in percent; "-": not known, or not measured.']
      + [f'source: {text}.' for text in sources]
  )


def _figures(folder: pathlib.Path) -> tuple[str, str, str, str]:
  """Returns accuracies of policy and float network, RAM and FLASH, as text."""
  path = folder / run_dir.REPORT_JSON
  if not path.exists():
    return ('-',) * 4
  report = json.loads(path.read_text(encoding='utf-8'))
  accuracy, footprint = report['accuracy'], report['footprint']
  return (
      f'{100 * accuracy["integer"]:.1f}',
      f'{100 * accuracy["float"]:.1f}',
      f'{footprint["ram_bytes_predicted"]:,}',
      f'{footprint["flash_bytes_predicted"]:,}',
  )


if __name__ == '__main__':
  app.run(main)
