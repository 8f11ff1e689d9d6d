"""Compares the policy of a run with k-means weights in the same FLASH.

  ./bazelw run //tfmpq:kmeans -- --run_dir=/tmp/my_run

needs a run that has got past its search, and trains nothing. The weights of the
float network are replaced by the centres of clusters, per tensor, as many as
fit into --flash with their codebooks and biases; activations stay real numbers.
Both are scored on the reward images of the run, from which the policy was
searched; the bits of the clusters are chosen by noise per byte, without images.
"""

from absl import app

from tfmpq import command_line
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import kmeans_weights

experiment_flags.define()


def main(argv: list[str]) -> None:
  """Prints the comparison."""
  command_line.run(argv, 'kmeans', compare)


def compare(experiment: experiment_lib.Experiment) -> None:
  """Quantizes by k-means, evaluates and prints."""
  network, policy = experiment.float_network, experiment.policy
  budget = experiment.budget
  if budget.flash_bytes is None:
    raise ValueError('--flash: expected a limit, received none')
  bits = kmeans_weights.allocate(network, budget.flash_bytes)
  clustered = kmeans_weights.quantize(network, bits)
  examples = experiment.data.reward.take(
      experiment.config.data.num_reward_images
  )
  footprint = experiment.memory_model.footprint(policy)
  uniform = experiment.evaluator(policy)
  print(f'{len(examples)} images of the reward split, no training:')
  print(line('float', evaluate(network, examples), None))
  print(line('policy of the run', uniform, footprint.flash_bytes))
  num_bytes = kmeans_weights.model_bytes(network, bits)
  print(line('k-means weights', evaluate(clustered, examples), num_bytes))
  print('bits of the codes: ' + ', '.join(f'{n} {b}' for n, b in bits.items()))


def evaluate(
    network: float_network.FloatNetwork, examples: datasets.Examples
) -> evaluation.Evaluation:
  """Returns the figures of a network in real numbers."""
  logits = float_ops.logits(network, datasets.to_input(examples.images))
  return evaluation.from_logits(
      logits.reshape(len(examples), -1), examples.labels
  )


def line(
    what: str, score: evaluation.Evaluation, flash_bytes: int | None
) -> str:
  """Returns a line of the comparison."""
  size = '' if flash_bytes is None else f', FLASH {flash_bytes:,} bytes'
  return (
      f'{what:<20}{score.accuracy:>8.2%}, cross-entropy '
      f'{score.cross_entropy:.4f}{size}'
  )


if __name__ == '__main__':
  app.run(main)
