"""Instructions per multiply-accumulate, on all cores.

  ./bazelw run //tflm_ext/benchmarks:report
  ./bazelw run //tflm_ext/benchmarks:report -- --json=/tmp/rows.json

runs the layers of layers.py with all widths of input, weight and output, and
whole networks, under QEMU, compares every output with the NumPy reference, and
prints one table. These are instructions, not cycles; every run counts the same.

--json writes every row; --csv the rows that are committed as instructions.csv,
against which tests/benchmark_counts_test.py compares, and the printed table
beside them as .txt.
"""

import json
import pathlib
import sys

from absl import app
from absl import flags

from tflm_ext.benchmarks import counts
from tflm_ext.benchmarks import table
from tfmpq import firmware
from tfmpq import user_paths

_JSON = flags.DEFINE_string('json', '', 'File for all rows as JSON.')
_CSV = flags.DEFINE_string('csv', '', 'File for all rows as CSV.')
_CORES = flags.DEFINE_list('cores', list(firmware.CORES), 'Cores to run.')
_NETWORKS = flags.DEFINE_bool('networks', True, 'Count whole networks, too.')


def main(argv: list[str]) -> None:
  """Counts and prints; ends with status 1 if an output is wrong."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  root = pathlib.Path('.')
  rows = []
  try:
    for core in _CORES.value:
      rows += counts.count_layers(core, root)
      if _NETWORKS.value and core in counts.NETWORK_CORES:
        rows += counts.count_networks(core, root)
  except (ValueError, firmware.FirmwareError) as error:
    sys.exit(f'report: {error}')
  print(table.text(rows))
  if _CSV.value:
    path = user_paths.resolve(_CSV.value)
    counts.write_csv(rows, path)
    path.with_suffix('.txt').write_text(table.text(rows) + '\n')
  if _JSON.value:
    lines = ',\n'.join(json.dumps(row.as_dict()) for row in rows)
    user_paths.resolve(_JSON.value).write_text(f'[\n{lines}\n]\n')
  wrong = [row.key for row in rows if not row.equal]
  if wrong:
    sys.exit(f'report: {len(wrong)} outputs are wrong: {wrong}')


if __name__ == '__main__':
  app.run(main)
