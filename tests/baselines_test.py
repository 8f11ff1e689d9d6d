"""//tfmpq:baselines: rows, bytes, and the same scores as the evaluator."""

import json

import pytest

from tests import calibration_models
from tests import tiny_run
from tfmpq import baselines
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import float_weights
from tfmpq import models
from tfmpq import searching
from tfmpq import specs

_RAM, _FLASH = 3000, 3000


@pytest.fixture(scope='module', name='experiment')
def _experiment(tmp_path_factory):
  folder = tmp_path_factory.mktemp('baselines')
  tiny_run.write_images(folder)
  model = models.build_model('ds_cnn', (12, 12, 1), 3, width=0.25)
  weights = folder / 'weights.npz'
  float_weights.save_weights(calibration_models.randomize(model, 2), weights)
  config = config_lib.override(
      config_lib.ExperimentConfig(),
      {
          'dataset': f'npz:{folder}/images.npz',
          'model': 'ds_cnn',
          'width': 0.25,
          'weights': str(weights),
          'num_reward_images': 30,
          'num_calibration_images': 16,
          'memory_model': 'paper',
          'ram': str(_RAM),
          'flash': str(_FLASH),
      },
  )
  experiment = experiment_lib.Experiment(config, folder / 'run')
  baselines.measure(experiment)
  return experiment


def test_every_baseline_has_a_row(experiment):
  rows = json.loads((experiment.folder / 'baselines.json').read_text())
  by_name = {row['name']: row for row in rows}
  assert list(by_name) == [
      'float',
      '8 bits',
      '4 bits',
      '2 bits',
      'rule',
      'least noise',
  ]
  assert not by_name['8 bits']['fits'] and by_name['2 bits']['fits']
  for name in ('rule', 'least noise'):
    assert by_name[name]['fits']
    assert by_name[name]['ram_bytes'] <= _RAM
    assert by_name[name]['flash_bytes'] <= _FLASH
  network = experiment.float_network
  num_parameters = sum(
      a.size for a in (*network.weights.values(), *network.biases.values())
  )
  assert by_name['float']['flash_bytes'] == 4 * num_parameters
  agreements = [row['scores']['test']['agreement'] for row in rows[:4]]
  assert agreements[0] == 1
  assert agreements == sorted(agreements, reverse=True)


def test_scores_are_those_that_a_search_would_see(experiment):
  rows = json.loads((experiment.folder / 'baselines.json').read_text())
  policy = specs.QuantizationPolicy.uniform(experiment.spec, 4, 4)
  (row,) = [r for r in rows if r['name'] == '4 bits']
  score = experiment.evaluator(policy)
  assert row['scores']['reward']['cross_entropy'] == score.cross_entropy
  assert row['scores']['test']['num_images'] == tiny_run.NUM_TEST_IMAGES
  needed = experiment.memory_model.footprint(policy)
  assert (row['ram_bytes'], row['flash_bytes']) == (
      needed.ram_bytes,
      needed.flash_bytes,
  )


def test_the_table_is_markdown(experiment):
  lines = (experiment.folder / 'baselines.md').read_text().splitlines()
  assert len(lines) == 2 + 6
  assert len({line.count('|') for line in lines}) == 1
  assert '30 images' in lines[0] and '60 images' in lines[0]


def test_unsearched_tensors_keep_8_bits(experiment):
  problem = searching.search_problem(experiment, evaluate=None)
  weights_only = baselines.policies(
      searching.search_problem(
          experiment_lib.Experiment(
              config_lib.override(
                  experiment.config,
                  {
                      'search_tensors': 'weights',
                      'search_bits': '3,8',
                      'ram': '64kB',
                  },
              ),
              experiment.folder,
          ),
          evaluate=None,
      )
  )
  assert list(weights_only)[:2] == ['8 bits', '3 bits']
  assert weights_only['3 bits'] == specs.QuantizationPolicy.uniform(
      experiment.spec, 3, 8
  )
  assert problem.bit_widths == (2, 4, 8)
