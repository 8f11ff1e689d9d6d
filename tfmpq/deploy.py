"""Runs the exported network on emulated microcontrollers.

  ./bazelw run //tfmpq:deploy -- --run_dir=runs/fashion_mnist \\
      --cores=cortex_m4,cortex_m7,cortex_m33,cortex_m55

reads <run_dir>/quantized_network.npz, exports it as plain C, builds that for
each core, runs the first test images under QEMU (cortex_m55: on Arm's FVP,
where FVP_Corstone_SSE-300_Ethos-U55 is installed or TFMPQ_FVP names it),
compares every logit with the reference, and writes

  <run_dir>/model.c, model.h   the export
  <run_dir>/deploy.json        what was measured, one row per core
  <run_dir>/deploy/            the firmware, its images and expected logits

The core 'host' is this machine.
"""

import dataclasses
import json
import sys

from absl import app
from absl import flags

from tfmpq import config as config_lib
from tfmpq import datasets
from tfmpq import deployment
from tfmpq import experiment_flags
from tfmpq import exporting
from tfmpq import program_errors
from tfmpq import run_dir
from tfmpq import user_paths

experiment_flags.define()
flags.declare_key_flag('run_dir')
flags.declare_key_flag('cores')
flags.declare_key_flag('num_deploy_images')


def main(argv: list[str]) -> None:
  """Deploys as the flags say; ends with status 1 if anything differs."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  with program_errors.in_one_line('deploy'):
    config, folder = experiment_flags.experiment()
    network = exporting.load_network(folder)
    if config.budget.backend != 'c':
      raise ValueError(
          f"--backend={config.budget.backend}: only 'c' can be built and run "
          'here; the .tflite file needs an interpreter'
      )
    results = deployment.deploy(
        network,
        _codes(config),
        config.deploy.core_names(),
        folder,
    )
  rows = [dataclasses.asdict(result) for result in results]
  run_dir.atomic_write(
      folder / run_dir.DEPLOY, json.dumps({'runs': rows}, indent=2) + '\n'
  )
  print(deployment.table(results))
  print(f'{folder / run_dir.DEPLOY}')
  problems = [text for result in results for text in result.problems()]
  if problems:
    sys.exit('deploy: ' + '\n'.join(problems))


def _codes(config: config_lib.ExperimentConfig):
  """Returns the network inputs of the first test images."""
  data_dir = config.data.data_dir
  data = datasets.load_dataset(
      user_paths.resolve_dataset(config.data.dataset),
      data_dir=user_paths.resolve(data_dir) if data_dir else None,
      download=config.data.download,
  )
  examples = data.test.take(config.deploy.num_deploy_images)
  return datasets.to_codes(examples.images)


if __name__ == '__main__':
  app.run(main)
