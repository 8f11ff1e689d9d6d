"""The deploy program: what it reads, writes and says."""

import json

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest

from tests import mixed_network
from tfmpq import bazel_build
from tfmpq import config
from tfmpq import deploy
from tfmpq import deploying
from tfmpq import deployment
from tfmpq import quantized_network
from tfmpq import run_dir
from tfmpq import tflm_deployment


def _result(**kwargs):
  values = {
      'backend': 'c',
      'target': 'dsp',
      'core': 'cortex_m4',
      'machine': 'mps2-an386 (QEMU)',
      'num_images': 3,
      'logits_equal': True,
      'ram_bytes_predicted': 544,
      'ram_bytes_measured': 544,
      'stack_bytes': 332,
      'flash_bytes_predicted': 908,
      'const_bytes': 908,
      'code_bytes': 7816,
      'instructions': 261580,
      'instructions_min': 261580,
  }
  return deployment.DeployResult(**(values | kwargs))


@pytest.fixture(name='folder')
def _folder(tmp_path):
  """Returns a run directory with a network; sets the flags that name it."""
  rng = np.random.default_rng(0)
  shape = mixed_network.INPUT_SHAPE
  images = rng.integers(0, 256, (40, *shape)).astype(np.uint8)
  labels = np.arange(40) % 10
  data = tmp_path / 'data.npz'
  np.savez(
      data,
      x_train=images,
      y_train=labels,
      x_test=images[::-1],
      y_test=labels,
  )
  folder = tmp_path / 'run'
  folder.mkdir()
  quantized_network.save(
      mixed_network.mixed_network(1), folder / run_dir.QUANTIZED_NETWORK
  )
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['deploy'])
  with flagsaver.as_parsed(
      run_dir=str(folder), dataset=f'npz:{data}', num_deploy_images='3'
  ):
    yield folder


def test_rows_are_written_for_the_test_images(folder, monkeypatch, capsys):
  calls = []

  def fake_deploy(network, codes, cores, where):
    calls.append((network, codes, cores, where))
    return [_result()]

  monkeypatch.setattr(deployment, 'deploy', fake_deploy)
  deploy.main(['deploy'])
  ((network, codes, cores, where),) = calls
  assert network.spec.name == 'mixed'
  assert codes.dtype == np.int8
  assert codes.shape == (3, *mixed_network.INPUT_SHAPE)
  assert cores == ('cortex_m4', 'cortex_m55')
  assert where == folder
  rows = json.loads((folder / run_dir.DEPLOY).read_text())['runs']
  assert rows[0]['core'] == 'cortex_m4'
  assert rows[0]['ram_bytes_measured'] == rows[0]['ram_bytes_predicted'] == 544
  assert rows[0]['instructions'] == 261580
  assert '261,580' in capsys.readouterr().out


def test_a_difference_is_written_and_ends_with_an_error(folder, monkeypatch):
  monkeypatch.setattr(
      deployment, 'deploy', lambda *args: [_result(logits_equal=False)]
  )
  with pytest.raises(SystemExit, match='cortex_m4.*logits differ'):
    deploy.main(['deploy'])
  rows = json.loads((folder / run_dir.DEPLOY).read_text())['runs']
  assert rows[0]['logits_equal'] is False


def test_a_missing_network_says_who_writes_it(folder):
  (folder / run_dir.QUANTIZED_NETWORK).unlink()
  with pytest.raises(SystemExit, match='quantized_network.npz.*//tfmpq:search'):
    deploy.main(['deploy'])


def test_a_failed_build_is_one_message(folder, monkeypatch):
  del folder

  def failing(*args):
    raise bazel_build.BuildError('arm-none-eabi-gcc was not found')

  monkeypatch.setattr(deployment, 'deploy', failing)
  with pytest.raises(SystemExit, match='deploy: arm-none-eabi-gcc was not'):
    deploy.main(['deploy'])


def test_rows_of_other_backends_stay(folder, monkeypatch):
  monkeypatch.setattr(deployment, 'deploy', lambda *args: [_result()])
  deploy.main(['deploy'])
  monkeypatch.setattr(tflm_deployment, 'missing_sdk', lambda cores: '')
  calls = []

  def fake_deploy(*args, **kwargs):
    calls.append(kwargs)
    return [_result(backend='tflm', tflite_ops='custom')]

  monkeypatch.setattr(tflm_deployment, 'deploy', fake_deploy)
  with flagsaver.as_parsed(backend='tflm'):
    deploy.main(['deploy'])
    deploy.main(['deploy'])
  rows = json.loads((folder / run_dir.DEPLOY).read_text())['runs']
  assert [row['backend'] for row in rows] == ['c', 'tflm']
  assert calls[0] == {'tflite_ops': 'custom'}


def test_a_network_may_run_under_another_backend(folder):
  saved = config.ExperimentConfig()
  (folder / run_dir.CONFIG).write_text(config.to_json(saved))
  kept = {'run_dir': str(folder), 'dataset': saved.data.dataset}
  with flagsaver.as_parsed(**kept, backend='tflm', tflite_ops='builtin'):
    changed, _ = deploy.experiment_flags.experiment(('backend', 'tflite_ops'))
    assert changed.budget.backend == 'tflm'
    with pytest.raises(ValueError, match="--backend: 'c' there, 'tflm' here"):
      deploy.experiment_flags.experiment()


def test_a_run_of_builtin_ops_shows_custom_ones_beside_them(
    monkeypatch, tmp_path
):
  monkeypatch.setattr(tflm_deployment, 'missing_sdk', lambda cores: '')

  def fake_deploy(*args, tflite_ops):
    return [_result(backend='tflm', tflite_ops=tflite_ops)]

  monkeypatch.setattr(tflm_deployment, 'deploy', fake_deploy)
  fields = {'backend': 'tflm', 'tflite_ops': 'builtin'}
  changed = config.override(config.ExperimentConfig(), fields)
  results = deploying.deploy_what_can_run(changed, None, None, tmp_path)
  assert [result.tflite_ops for result in results] == ['builtin', 'custom']
  lines = deployment.table(results).splitlines()
  assert 'tflm builtin' in lines[1]
  assert 'tflm ' in lines[2] and 'builtin' not in lines[2]


def test_rows_of_another_network_go(folder, monkeypatch):
  monkeypatch.setattr(deployment, 'deploy', lambda *args: [_result()])
  deploy.main(['deploy'])
  quantized_network.save(
      mixed_network.mixed_network(2), folder / run_dir.QUANTIZED_NETWORK
  )
  monkeypatch.setattr(
      deployment, 'deploy', lambda *args: [_result(core='cortex_m7')]
  )
  deploy.main(['deploy'])
  rows = json.loads((folder / run_dir.DEPLOY).read_text())['runs']
  assert [row['core'] for row in rows] == ['cortex_m7']


def test_a_missing_tflm_is_one_message(folder, monkeypatch):
  del folder
  monkeypatch.setenv('TFLM_ROOT', '/nowhere')
  with flagsaver.as_parsed(backend='tflm'):
    with pytest.raises(SystemExit, match='--backend=tflm: .* in /nowhere'):
      deploy.main(['deploy'])


def test_a_run_without_tflm_ends_with_the_c_export(monkeypatch, tmp_path):
  monkeypatch.setenv('TFLM_ROOT', '/nowhere')
  calls = []
  monkeypatch.setattr(
      deployment, 'deploy', lambda *args: calls.append(args) or [_result()]
  )
  changed = config.override(config.ExperimentConfig(), {'backend': 'tflm'})
  (result,) = deploying.deploy_what_can_run(changed, None, None, tmp_path)
  assert result.backend == 'c'
  assert len(calls) == 1
