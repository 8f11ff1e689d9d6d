"""Compares the policy of a run with k-means weights in the same FLASH.

  ./bazelw run //tfmpq:kmeans -- --run_dir=/tmp/my_run

needs a run that has got past its search, and trains nothing. The weights of the
float network are replaced by the centres of clusters, per tensor, as many as
fit into --flash with their codebooks and biases; activations stay real numbers.
The bits of the clusters are chosen by noise per byte, without images; biases
are then corrected on up to 64 of the calibration images, because the policy's
are, too.
All are scored on the reward images of the run, from which the policy was
searched, and on the test images, which nothing has seen.
"""

from absl import app

from tfmpq import bias_correction
from tfmpq import command_line
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import float_network
from tfmpq import kmeans_weights
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import split_evaluation

# Images that pass through the network at once.
_BATCH_SIZE = 50
# Their activations are all kept; more change a mean of pixels but little.
_MAX_CORRECTION_IMAGES = 64
_Networks = dict[str, float_network.FloatNetwork]

experiment_flags.define()


def main(argv: list[str]) -> None:
  """Prints the comparison."""
  command_line.run(argv, 'kmeans', compare)


def compare(experiment: experiment_lib.Experiment) -> None:
  """Quantizes by k-means, evaluates and prints."""
  network, policy = experiment.float_network, experiment.policy
  limit = experiment.budget.flash_bytes
  if limit is None:
    raise ValueError('--flash: expected a limit, received none')
  bits = kmeans_weights.allocate(network, limit)
  data = experiment.config.data
  calibration = experiment.data.train.take(
      min(data.num_calibration_images, _MAX_CORRECTION_IMAGES)
  )
  clustered = kmeans_weights.quantize(network, bits)
  corrected = bias_correction.correct(
      clustered, network, datasets.to_input(calibration.images)
  )
  num_bytes = kmeans_weights.model_bytes(network, bits)
  print(
      f'FLASH: policy {experiment.memory_model.footprint(policy).flash_bytes:,}'
      f' bytes, k-means {num_bytes:,}, limit {limit:,}'
  )
  eight_bits = specs.QuantizationPolicy.uniform(experiment.spec, 8, 8)
  for split, examples in (
      ('reward', experiment.data.reward.take(data.num_reward_images)),
      ('test', experiment.data.test.take(len(experiment.data.test))),
  ):
    print(f'{len(examples)} images of the {split} split, no training:')
    evaluator = experiment.make_evaluator(
        network, experiment.folder / run_dir.CALIBRATION, examples
    )
    print(line('8 bits', evaluator(eight_bits)))
    print(line('policy of the run', evaluator(policy)))
    scores = evaluate(
        network,
        {'k-means': clustered, 'k-means, corrected': corrected},
        examples,
    )
    for what, score in scores.items():
      print(line(what, score))
  print('bits of the codes: ' + ', '.join(f'{n} {b}' for n, b in bits.items()))


def evaluate(
    original: float_network.FloatNetwork,
    others: _Networks,
    examples: datasets.Examples,
) -> dict[str, evaluation.Evaluation]:
  """Returns name -> figures of networks in real numbers, 'float' included.

  Args:
    original: with which the others are to agree.
    others: by name.
    examples: images and labels.
  """
  logits = {}
  for name, network in {'float': original, **others}.items():
    logits[name], _ = split_evaluation.logits_and_labels(
        network, examples, _BATCH_SIZE
    )
  return {
      name: evaluation.from_logits(found, examples.labels, logits['float'])
      for name, found in logits.items()
  }


def line(what: str, score: evaluation.Evaluation) -> str:
  """Returns a line of the comparison."""
  return (
      f'{what:<20}{score.accuracy:>8.2%}, cross-entropy '
      f'{score.cross_entropy:.4f}, agreement with float {score.agreement:.2%}'
  )


if __name__ == '__main__':
  app.run(main)
