"""Stages refuse what cannot end well, and leave whole files or none."""

import numpy as np
import pytest
import tf_keras as keras

from tests import tiny_run
from tfmpq import budgets
from tfmpq import config
from tfmpq import datasets
from tfmpq import experiment as experiment_lib
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import float_weights
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import stages


@pytest.fixture(name='make')
def _make(tmp_path):
  """Returns a function: fields -> experiment in tmp_path/run."""
  tiny_run.write_images(tmp_path)

  def make(**fields):
    values = {
        'dataset': f'npz:{tmp_path / "images.npz"}',
        'model': 'ds_cnn',
        'width': 0.25,
        'num_reward_images': 40,
        'num_calibration_images': 64,
        'ram': str(tiny_run.RAM_BYTES),
        'flash': str(tiny_run.FLASH_BYTES),
    }
    changed = config.override(config.ExperimentConfig(), values | fields)
    return experiment_lib.Experiment(changed, tmp_path / 'run')

  return make


@pytest.fixture(name='with_weights')
def _with_weights(make, tmp_path):
  """Returns an experiment with a file of (random) float weights."""
  path = tmp_path / 'weights.npz'
  float_weights.save_weights(make().build_model(), path)
  return make(weights=str(path))


def test_builtin_ops_need_a_search_among_what_they_run(make):
  fields = {
      'tflite_ops': 'builtin',
      'backend': 'tflm',
      'search_tensors': 'weights',
      'search_bits': '4,8',
      'weight_zero_points': 'shared',
      'ram': '20kB',
      'flash': '20kB',
  }
  stages.require_startable(make(pretrain=True, **fields))
  for name, value in (
      ('backend', 'c'),
      ('search_tensors', 'both'),
      ('search_bits', '2,4,8'),
      ('weight_zero_points', 'per_channel'),
  ):
    wrong = make(pretrain=True, **{**fields, name: value})
    with pytest.raises(ValueError, match=f'received .*--{name}={value}'):
      stages.require_startable(wrong)


def test_an_infeasible_ram_budget_names_minimum_and_binding_layer(make):
  experiment = make(pretrain=True, ram='100B')
  with pytest.raises(budgets.BudgetError) as error:
    stages.require_startable(experiment)
  text = str(error.value)
  smallest = specs.QuantizationPolicy.of(
      {
          tensor.name: tensor.fixed_bits or 2
          for tensor in experiment.spec.policy_tensors
      }
  )
  needed = experiment.memory_model.footprint(smallest).ram_bytes
  peak = max(
      experiment.memory_model.moments(smallest), key=lambda m: m.ram_bytes
  )
  assert f"layer '{peak.layer}' needs {needed} bytes of RAM" in text
  for name, size in peak.alive:
    assert f"'{name}' {size} bytes at" in text
  assert 'budget is 100' in text
  # FLASH is enough, so nothing is said of it.
  assert 'FLASH' not in text
  assert not experiment.folder.exists()


def test_an_infeasible_flash_budget_names_minimum_and_largest_tensor(make):
  with pytest.raises(
      budgets.BudgetError,
      match=r"bytes of FLASH \(largest: '\w+/weight' \d+ bytes at 2 bits.*500",
  ):
    stages.require_startable(make(pretrain=True, flash='500B'))


def test_a_network_without_weights_is_refused_before_anything_is_written(make):
  experiment = make()
  with pytest.raises(ValueError, match="'ds_cnn'.*--weights.*--pretrain"):
    stages.require_startable(experiment)
  assert not experiment.folder.exists()


def test_missing_weights_are_refused_before_anything_is_written(make):
  experiment = make(weights='/absent.npz')
  with pytest.raises(FileNotFoundError, match='/absent.npz.*//tfmpq:pretrain'):
    stages.require_startable(experiment)
  assert not experiment.folder.exists()


def test_random_weights_are_asked_for_and_warned_of(make, caplog):
  experiment = make(weights='random')
  stages.require_startable(experiment)
  with caplog.at_level('WARNING'):
    stages.make_float_network(experiment)
  assert 'accuracies and rewards mean nothing' in caplog.text
  network, images = experiment.float_network, experiment.data.test.take(8)
  logits = float_ops.logits(network, datasets.to_input(images.images))
  # Initial values of Keras would leave next to nothing of them.
  assert 0.01 < np.abs(logits).mean() < 10


def test_a_float_network_that_is_half_written_is_not_taken_for_whole(
    with_weights, monkeypatch
):
  def killed(network, path):
    del network
    path.write_bytes(b'PK\x03\x04half a file')
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(float_network, 'save', killed)
    with pytest.raises(KeyboardInterrupt):
      stages.make_float_network(with_weights)
  assert not with_weights.has(run_dir.FLOAT_NETWORK)
  stages.make_float_network(with_weights)
  assert with_weights.float_network.spec == with_weights.spec
  left = {path.name for path in with_weights.folder.iterdir()}
  assert left == {run_dir.FLOAT_NETWORK, run_dir.NETWORK_SPEC}


def test_what_one_policy_has_trained_is_not_taken_for_another(with_weights):
  stages.make_float_network(with_weights)
  folder = with_weights.folder
  before = specs.QuantizationPolicy.uniform(with_weights.spec, 8, 4)
  after = before.with_bits({'conv_pw_1/weight': 2})
  state = folder / run_dir.FINETUNE_STATE / run_dir.POLICY
  run_dir.atomic_write(state, before.to_json())
  run_dir.atomic_write(folder / run_dir.POLICY, after.to_json())
  # A finished network makes no difference.
  (folder / run_dir.QUANTIZED_NETWORK).write_bytes(b'of the other policy')
  bits = (before.as_dict()['conv_pw_1/weight'], 2)
  with pytest.raises(
      ValueError,
      match=f"'conv_pw_1/weight': {bits[0]} bits there, {bits[1]} here"
      '.*new --run_dir',
  ):
    stages.finetune(with_weights)


def test_a_policy_of_another_network_is_refused_and_can_be_mended(
    with_weights,
):
  stages.make_float_network(with_weights)
  right = specs.QuantizationPolicy.uniform(with_weights.spec, 8, 8).as_dict()
  wrong = {name.replace('conv_pw_1', 'conv_pw_9'): 8 for name in right}
  run_dir.atomic_write(
      with_weights.folder / run_dir.POLICY,
      specs.QuantizationPolicy.of(wrong).to_json(),
  )
  with pytest.raises(ValueError, match="missing tensors.*'conv_pw_1'"):
    stages.finetune(with_weights)
  assert not (with_weights.folder / run_dir.FINETUNE_STATE).exists()


def test_without_epochs_the_calibrated_network_is_the_result(make, tmp_path):
  path = tmp_path / 'weights.npz'
  float_weights.save_weights(make().build_model(), path)
  made = make(weights=str(path), finetune_epochs=0)
  stages.make_float_network(made)
  policy = specs.QuantizationPolicy.uniform(made.spec, 4, 8)
  run_dir.atomic_write(made.folder / run_dir.POLICY, policy.to_json())
  stages.finetune(made)
  stages.evaluate(made)
  before, after = (
      (made.folder / name).read_bytes()
      for name in (
          run_dir.QUANTIZED_NETWORK_BEFORE_FINETUNE,
          run_dir.QUANTIZED_NETWORK,
      )
  )
  assert before == after
  assert made.read_json(run_dir.FINETUNE, 'finetune') == []
  scores = made.read_json(run_dir.ACCURACY, 'evaluate')
  assert scores['integer'] == scores['policy_before_finetune']
  assert scores['uniform_int8']['agreement'] > 0.9
  assert scores['float']['agreement'] is None


def test_images_of_another_shape_than_the_network_reads_are_refused(
    make, tmp_path
):
  inputs = keras.Input((12, 10, 1))
  x = keras.layers.GlobalAveragePooling2D()(inputs)
  keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / 'model.keras')
  made = make(float_model=str(tmp_path / 'model.keras'))
  with pytest.raises(ValueError, match=r'images \(12, 12, 1\), the network'):
    stages.require_startable(made)


def test_labels_beyond_the_outputs_are_refused(make, tmp_path):
  inputs = keras.Input((12, 12, 1))
  x = keras.layers.GlobalAveragePooling2D()(inputs)
  keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / 'model.keras')
  made = make(float_model=str(tmp_path / 'model.keras'))
  with pytest.raises(ValueError, match='labels up to 2, the network has 2'):
    stages.require_startable(made)


def test_a_stage_without_the_one_before_names_it(with_weights):
  with pytest.raises(FileNotFoundError, match='--until=float'):
    searching.search(with_weights)
  stages.make_float_network(with_weights)
  with pytest.raises(FileNotFoundError, match='--until=search'):
    stages.finetune(with_weights)
  with pytest.raises(FileNotFoundError, match='//tfmpq:finetune'):
    stages.export(with_weights)
  with pytest.raises(FileNotFoundError, match='--until=finetune'):
    stages.evaluate(with_weights)


@pytest.mark.parametrize(
    'name, split, num_images',
    [
        ('num_reward_images', 'reward', 45),
        ('num_calibration_images', 'train', 495),
        ('num_deploy_images', 'test', 60),
    ],
)
def test_more_images_than_there_are_is_refused(make, name, split, num_images):
  stages.require_startable(make(pretrain=True, **{name: num_images}))
  with pytest.raises(
      ValueError, match=f'{num_images} images in its {split} split, --{name}='
  ):
    stages.require_startable(make(pretrain=True, **{name: num_images + 1}))
