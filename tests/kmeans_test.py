"""//tfmpq:kmeans scores both networks on both splits, in the same FLASH."""

import re

import numpy as np

from tests import calibration_models
from tests import tiny_run
from tfmpq import config as config_lib
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import kmeans
from tfmpq import models
from tfmpq import run_dir
from tfmpq import specs

_FLASH = 3000


def _experiment(folder):
  """A run that has got past its search: random weights, weights of 4 bits."""
  tiny_run.write_images(folder)
  model = models.build_model('ds_cnn', (12, 12, 1), 3, width=0.25)
  network = keras_graph.fold(calibration_models.randomize(model, seed=2))
  float_network.save(network, folder / run_dir.FLOAT_NETWORK)
  policy = specs.QuantizationPolicy.uniform(network.spec, 4, 8)
  (folder / run_dir.POLICY).write_text(policy.to_json())
  (folder / run_dir.NETWORK_SPEC).write_text(network.spec.to_json())
  config = config_lib.override(
      config_lib.ExperimentConfig(),
      {
          'dataset': f'npz:{folder}/images.npz',
          'num_reward_images': 30,
          'num_calibration_images': 16,
          'memory_model': 'paper',
          'flash': str(_FLASH),
      },
  )
  return experiment_lib.Experiment(config, folder)


def test_all_rows_of_both_splits_are_printed(tmp_path, capsys):
  experiment = _experiment(tmp_path)
  kmeans.compare(experiment)
  text = capsys.readouterr().out
  number = int(re.search(r'k-means ([\d,]+), ', text)[1].replace(',', ''))
  assert 0.9 * _FLASH < number <= _FLASH
  for count, split in ((30, 'reward'), (tiny_run.NUM_TEST_IMAGES, 'test')):
    assert f'{count} images of the {split} split, no training' in text
  rows = ('8 bits', 'policy of the run', 'float', 'k-means', 'k-means, corr')
  for row in rows:
    assert len(re.findall(rf'^{row}.* agreement with float', text, re.M)) >= 2
  inputs = datasets.to_input(experiment.data.test.images)
  logits = float_ops.logits(experiment.float_network, inputs)
  score = evaluation.from_logits(
      logits.reshape(len(inputs), -1), experiment.data.test.labels
  )
  after = text.split('test split')[1]
  assert (
      f'{score.accuracy:.2%}, cross-entropy {score.cross_entropy:.4f}' in after
  )
  assert re.search(r'bits of the codes: .*logits/weight \d', text)


def test_a_network_agrees_with_itself():
  network = calibration_models.network('pools')
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 12, seed=1)
  examples = datasets.Examples(images, np.zeros(12, np.int32))
  scores = kmeans.evaluate(network, {'same': network}, examples)
  assert list(scores) == ['float', 'same']
  assert scores['same'] == scores['float']
  assert scores['same'].agreement == 1.0
