"""Runs the exported network on emulated microcontrollers.

  ./bazelw run //tfmpq:deploy -- --run_dir=runs/fashion_mnist \\
      --cores=cortex_m4,cortex_m7,cortex_m33,cortex_m55

reads <run_dir>/quantized_network.npz, exports it, builds that for each core,
runs the first test images under QEMU (cortex_m55: on Arm's FVP, where
FVP_Corstone_SSE-300_Ethos-U55 is installed or TFMPQ_FVP names it), compares
every logit with the reference, and writes

  <run_dir>/model.c, model.h   the export for --backend=c
  <run_dir>/model.tflite       the export for --backend=tflm, which runs under
                               TensorFlow Lite Micro (README, "On a device");
                               model_builtin.tflite with --tflite_ops=builtin
  <run_dir>/deploy.json        what was measured, one row per core and backend
  <run_dir>/deploy/            the firmware, its images and expected logits

The core 'host' is this machine.
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
import sys
from typing import Any

from absl import app
from absl import flags

from tfmpq import config as config_lib
from tfmpq import datasets
from tfmpq import deploying
from tfmpq import deployment
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import exporting
from tfmpq import program_errors
from tfmpq import run_dir

experiment_flags.define()
flags.declare_key_flag('run_dir')
flags.declare_key_flag('backend')
flags.declare_key_flag('tflite_ops')
flags.declare_key_flag('cores')
flags.declare_key_flag('num_deploy_images')

# A network can be run under a backend that it was not searched for.
_CHANGEABLE = ('backend', 'tflite_ops')


def main(argv: list[str]) -> None:
  """Deploys as the flags say; ends with status 1 if anything differs."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  with program_errors.in_one_line('deploy'):
    config, folder = experiment_flags.experiment(_CHANGEABLE)
    network = exporting.load_network(folder)
    results = deploying.deploy(config, network, _codes(config, folder), folder)
  rows = deployment.rows(results, folder)
  content = {'runs': [*_other_rows(folder, rows), *rows]}
  run_dir.atomic_write(
      folder / run_dir.DEPLOY, json.dumps(content, indent=2) + '\n'
  )
  print(deployment.table(results))
  print(f'{folder / run_dir.DEPLOY}')
  problems = [text for result in results for text in result.problems()]
  if problems:
    sys.exit('deploy: ' + '\n'.join(problems))


def _other_rows(
    folder: pathlib.Path, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
  """Returns the rows of deploy.json that new ones do not replace.

  Those of another network, which the folder held before, are none of them.
  """
  path = folder / run_dir.DEPLOY
  if not path.exists():
    return []
  known = {_key(row) for row in rows}
  network = rows[0]['network']
  return [
      row
      for row in json.loads(path.read_text())['runs']
      if row.get('network') == network and _key(row) not in known
  ]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
  return row['backend'], row.get('tflite_ops'), row['core']


def _codes(config: config_lib.ExperimentConfig, folder: pathlib.Path):
  """Returns the network inputs of the first test images."""
  data = experiment_lib.Experiment(config, folder).data
  examples = data.test.take(config.deploy.num_deploy_images)
  return datasets.to_codes(examples.images)


if __name__ == '__main__':
  app.run(main)
