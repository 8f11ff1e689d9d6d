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

from tfmpq import command_line
from tfmpq import experiment_flags
from tfmpq import stages

experiment_flags.define()


def main(argv: list[str]) -> None:
  """Runs the stage 'finetune'."""
  command_line.run(argv, 'finetune', stages.finetune)


if __name__ == '__main__':
  app.run(main)
