"""Tests of float training and of the pretrain program."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tf_keras as keras

from tfmpq import datasets
from tfmpq import float_training
from tfmpq import models
from tfmpq import user_paths


def _examples(num=48):
  """Images whose left half is bright where the label is 1."""
  rng = np.random.default_rng(2)
  images = rng.integers(0, 100, (num, 12, 12, 1), np.uint8)
  labels = np.arange(num, dtype=np.int32) % 2
  images[labels == 1, :, :6] += 150
  return datasets.Examples(images, labels)


def _config(**kwargs):
  # No mirroring: the side is the class.
  return float_training.FloatTrainingConfig(
      **{'epochs': 2, 'batch_size': 8, 'flip': False, **kwargs}
  )


def _model(seed=1):
  keras.utils.set_random_seed(seed)
  return models.build_model(input_shape=(12, 12, 1), num_classes=2, width=0.25)


def test_training_learns_an_easy_task(tmp_path):
  model = _model()
  trainer = float_training.FloatTrainer(
      model, _examples(), _config(epochs=8, learning_rate=1e-2), tmp_path
  )
  losses = [trainer.train_epoch() for _ in range(8)]
  assert losses[-1] < 0.3 * losses[0]


def _weights(trainer, model):
  """Returns the weights of the last step, then those that are kept."""
  last = model.get_weights()
  with trainer.kept_weights():
    return last + model.get_weights()


@pytest.mark.parametrize(
    'changes', [{}, {'ema_decay': 0.9, 'lr_schedule': 'exponential'}]
)
def test_stopped_training_goes_on_to_the_same_weights(tmp_path, changes):
  config = _config(**changes)
  straight = _model()
  trainer = float_training.FloatTrainer(
      straight, _examples(), config, tmp_path / 'straight'
  )
  for _ in range(2):
    trainer.train_epoch()

  stopped = float_training.FloatTrainer(
      _model(), _examples(), config, tmp_path / 'stopped'
  )
  stopped.train_epoch()
  resumed_model = _model(seed=99)  # The checkpoint must replace every value.
  resumed = float_training.FloatTrainer(
      resumed_model, _examples(), config, tmp_path / 'stopped'
  )
  assert resumed.epoch == 1
  resumed.train_epoch()
  for expected, found in zip(
      _weights(trainer, straight), _weights(resumed, resumed_model), strict=True
  ):
    np.testing.assert_array_equal(expected, found)


def test_averages_lie_behind_the_weights(tmp_path):
  """At a constant rate the statistics of BatchNorms differ, too."""
  model = _model()
  trainer = float_training.FloatTrainer(
      model,
      _examples(),
      _config(ema_decay=0.5, lr_schedule='constant'),
      tmp_path,
  )
  trainer.train_epoch()
  last = model.get_weights()
  with trainer.kept_weights():
    kept = model.get_weights()
  for now, average, variable in zip(last, kept, model.variables, strict=True):
    assert np.isfinite(average).all()
    assert (now != average).any(), variable.name
  for now, again in zip(last, model.get_weights(), strict=True):
    np.testing.assert_array_equal(now, again)


def test_other_configuration_in_the_same_folder_is_refused(tmp_path):
  float_training.FloatTrainer(_model(), _examples(), _config(), tmp_path)
  with pytest.raises(ValueError, match=r"'epochs': \(2, 3\).*--run_dir"):
    float_training.FloatTrainer(
        _model(), _examples(), _config(epochs=3), tmp_path
    )


def test_impossible_configuration_is_refused():
  with pytest.raises(ValueError, match='epochs > 0, got 0'):
    _config(epochs=0)
  with pytest.raises(ValueError, match='label_smoothing.*got 1'):
    _config(label_smoothing=1)
  with pytest.raises(ValueError, match='ema_decay from 0 to below 1, got 1'):
    _config(ema_decay=1)
  with pytest.raises(ValueError, match="lr_schedule out of .*got 'steps'"):
    _config(lr_schedule='steps')


def test_evaluation_is_that_of_the_logits():
  inputs = keras.Input((1, 1, 2))
  model = keras.Model(inputs, keras.layers.Flatten()(inputs))
  # Inputs are 0 and (pixel - 128) / 128 = -1: softmax gives p and 1 - p.
  images = np.tile(np.array([128, 0], np.uint8), (4, 1)).reshape(4, 1, 1, 2)
  found = float_training.evaluate(
      model, datasets.Examples(images, np.array([0, 0, 0, 1], np.int32))
  )
  p = 1 / (1 + np.exp(-1.0))
  assert found.accuracy == 0.75
  assert found.num_images == 4
  np.testing.assert_allclose(
      found.cross_entropy, -(3 * np.log(p) + np.log(1 - p)) / 4, rtol=1e-6
  )


def test_path_is_relative_to_where_the_user_is(tmp_path, monkeypatch):
  monkeypatch.setenv('BUILD_WORKING_DIRECTORY', str(tmp_path))
  assert user_paths.resolve('a/b') == tmp_path / 'a' / 'b'
  assert user_paths.resolve('/c') == pathlib.Path('/c')
  monkeypatch.setenv('HOME', '/home/someone')
  assert user_paths.resolve('~/d') == pathlib.Path('/home/someone/d')


# --- The program.


def _start(folder, *arguments):
  environment = dict(
      os.environ,
      PYTHONPATH=os.pathsep.join(p for p in sys.path if p),
      BUILD_WORKING_DIRECTORY=str(folder),
  )
  return subprocess.Popen(
      [sys.executable, '-m', 'tfmpq.pretrain', *arguments],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  )


def _write_npz(folder):
  examples = _examples()
  np.savez(
      folder / 'data.npz',
      x_train=examples.images,
      y_train=examples.labels,
      x_test=examples.images[:8],
      y_test=examples.labels[:8],
  )


_FLAGS = (
    '--dataset=npz:data.npz',
    '--width=0.25',
    '--epochs=20',
    '--batch_size=8',
    '--threads=1',
)


def _wait_for(condition, process, seconds=120):
  deadline = time.monotonic() + seconds
  while not condition():
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline, f'nothing happened in {seconds} s'
    time.sleep(0.01)


def test_killed_program_goes_on_to_the_same_file(tmp_path):
  _write_npz(tmp_path)
  straight = _start(tmp_path, '--run_dir=straight', *_FLAGS)
  killed = _start(tmp_path, '--run_dir=killed', *_FLAGS)
  state = tmp_path / 'killed' / 'pretrain_checkpoints' / 'checkpoint'
  _wait_for(state.is_file, killed)
  killed.send_signal(signal.SIGKILL)
  killed.communicate()
  assert not (tmp_path / 'killed' / 'float_weights.npz').exists()

  again = _start(tmp_path, '--run_dir=killed', *_FLAGS)
  for process in (straight, again):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert 'on the test split' in output
  for name in ('float_weights.npz', 'float_weights.json'):
    assert (tmp_path / 'straight' / name).read_bytes() == (
        tmp_path / 'killed' / name
    ).read_bytes()
  record = json.loads((tmp_path / 'killed' / 'float_weights.json').read_text())
  assert record['command'].startswith('./bazelw run //tfmpq:pretrain -- ')
  assert set(record['command'].split(' -- ')[1].split()) == set(_FLAGS)


def test_program_explains_a_wrong_flag_without_a_traceback(tmp_path):
  process = _start(tmp_path, '--dataset=npz:absent.npz')
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 1
  assert f'npz:{tmp_path}/absent.npz' in errors
  assert 'Traceback' not in errors
