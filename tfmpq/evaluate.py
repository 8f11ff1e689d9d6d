"""Measures the accuracy of the integer network of a run directory.

  ./bazelw run //tfmpq:evaluate -- --run_dir=runs/fashion_mnist --split=reward

runs quantized_network.npz (or, with --tflite, model.tflite opened alone) on a
split with the NumPy reference ops and prints top-1 accuracy with its 95 %
interval. The test split is for final figures: look at it once.
"""

import sys

from absl import app
from absl import flags

from tfmpq import choice_flags
from tfmpq import command_line
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import exporting
from tfmpq import report
from tfmpq import run_dir
from tfmpq import split_evaluation
from tfmpq import tflite_reader

_SPLIT = choice_flags.define(
    'split', 'test', ['train', 'reward', 'test'], 'Images to evaluate.'
)
_TFLITE = flags.DEFINE_bool(
    'tflite', False, 'Read the network from model.tflite.'
)
experiment_flags.define()
flags.declare_key_flag('run_dir')


def main(argv: list[str]) -> None:
  """Prints the accuracy."""
  command_line.run(argv, 'evaluate', evaluate)


def evaluate(experiment: experiment_lib.Experiment) -> None:
  """Evaluates one file on one split."""
  if _TFLITE.value:
    path = experiment.require(run_dir.TFLITE, 'export')
    network = tflite_reader.read(path.read_bytes())
  else:
    network = exporting.load_network(experiment.folder)
  examples = getattr(experiment.data, _SPLIT.value)
  print(f'{len(examples)} images of {_SPLIT.value}', file=sys.stderr)
  float_logits, labels = split_evaluation.logits_and_labels(
      experiment.float_network, examples
  )
  scores = split_evaluation.evaluate_integer(network, examples, float_logits)
  reference = evaluation.from_logits(float_logits, labels)
  low, high = report.wilson_interval(scores.accuracy, scores.num_images)
  print(
      f'float network: top-1 {reference.accuracy:.2%}; the integer network '
      f'agrees with it on {scores.agreement:.2%}'
  )
  print(
      f'top-1 {scores.accuracy:.2%} ({low:.2%} to {high:.2%}), cross-entropy '
      f'{scores.cross_entropy:.4f}, {scores.num_images} images'
  )


if __name__ == '__main__':
  app.run(main)
