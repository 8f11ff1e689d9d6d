"""Fine-tunes a network under the policy of a run directory.

  ./bazelw run //tfmpq:finetune -- --run_dir=runs/fashion_mnist

reads policy.json and the float network that //tfmpq:search has left there,
trains with quantization in the loop, and writes

  quantized_network.npz                  the integer network
  quantized_network_before_finetune.npz  the same without training
  finetune.json                          loss and accuracy by epoch

The state is in <run_dir>/finetune: a run that was stopped goes on from there.
To train under a policy of your own, put it into policy.json of a new run
directory in which //tfmpq:search -- --until=float has been run.
"""

from absl import app
from absl import flags

from tfmpq import command_line
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import run_dir
from tfmpq import stages

experiment_flags.define()
flags.declare_key_flag('run_dir')


def main(argv: list[str]) -> None:
  """Runs the stage 'finetune'."""
  command_line.run(argv, 'finetune', finetune)


def finetune(experiment: experiment_lib.Experiment) -> None:
  """Fine-tunes and prints what has come out, and whether it fits."""
  stages.finetune(experiment)
  best = min(
      experiment.read_json(run_dir.FINETUNE, 'finetune'),
      key=lambda record: (record['phase'] != 'policy', record['cross_entropy']),
  )
  needed = experiment.memory_model.footprint(experiment.policy)
  budget = experiment.budget
  print(
      f'{experiment.folder / run_dir.QUANTIZED_NETWORK}: '
      f'{best["accuracy"]:.2%} on the reward split (fake-quantized); RAM '
      f'{needed.ram_bytes:,} '
      f'of {budget.ram_bytes:,} bytes, FLASH {needed.flash_bytes:,} of '
      f'{budget.flash_bytes:,} bytes: '
      + ('fits' if needed.fits(budget) else 'DOES NOT FIT')
  )


if __name__ == '__main__':
  app.run(main)
