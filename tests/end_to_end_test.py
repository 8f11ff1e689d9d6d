"""The whole program on a tiny data set, as a user starts it, and killed.

The stage 'deploy' builds firmware with Bazel, which a test cannot start; the
exported program itself is run by tests/c_model on every core.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfmpq import budgets
from tfmpq import c_writer
from tfmpq import datasets
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import tflite_reader

_RAM, _FLASH = 2000, 2500
_FLAGS = (
    '--dataset=npz:images.npz',
    '--model=ds_cnn',
    '--width=0.25',
    '--pretrain',
    '--pretrain_epochs=30',
    '--num_reward_images=40',
    '--num_calibration_images=64',
    '--episodes=24',
    '--finetune_epochs=2',
    '--batch_size=16',
    f'--ram={_RAM}',
    f'--flash={_FLASH}',
)


def _write_images(folder) -> None:
  """Three classes of 12x12 images that differ in where they are bright."""
  rng = np.random.default_rng(7)
  arrays = {}
  for split, count in (('train', 540), ('test', 60)):
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 12, 12, 1))
    for label in range(3):
      images[labels == label, 4 * label : 4 * label + 4] += 100
    arrays[f'x_{split}'] = images.astype(np.uint8)
    arrays[f'y_{split}'] = labels
  np.savez(folder / 'images.npz', **arrays)


def _start(folder, program: str, *arguments) -> subprocess.Popen:
  environment = dict(
      os.environ,
      BUILD_WORKING_DIRECTORY=str(folder),
      PYTHONPATH=os.pathsep.join(p for p in sys.path if p),
  )
  return subprocess.Popen(
      [sys.executable, '-m', f'tfmpq.{program}', *arguments],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
  )


def _run(folder, program: str, *arguments) -> str:
  process = _start(folder, program, *arguments)
  output, _ = process.communicate(timeout=600)
  assert process.returncode == 0, output
  return output


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  """A folder with an undisturbed run in it, up to the exports."""
  folder = tmp_path_factory.mktemp('finished')
  _write_images(folder)
  _run(folder, 'search', '--run_dir=run', '--until=export', *_FLAGS)
  return folder


def _network(folder) -> quantized_network.QuantizedNetwork:
  return quantized_network.load(folder / 'run' / run_dir.QUANTIZED_NETWORK)


def test_policy_fits_the_budget(finished):
  network = _network(finished)
  text = (finished / 'run' / run_dir.POLICY).read_text()
  assert network.policy == specs.QuantizationPolicy.from_json(text)
  # The instruction sets of the cores for which the search was.
  target = kernel_targets.Target.DSP
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  footprint = budgets.MemoryFootprint(
      plan.size_bytes,
      c_writer.flash_bytes(network.spec, network.policy, False, target),
  )
  assert footprint.fits(budgets.MemoryBudget(_RAM, _FLASH))
  assert 2 in network.policy.as_dict().values()


def test_tflite_opened_alone_gives_the_same_logits(finished):
  network = _network(finished)
  data = (finished / 'run' / run_dir.TFLITE).read_bytes()
  with np.load(finished / 'images.npz') as images:
    codes = datasets.to_codes(images['x_test'])
  np.testing.assert_array_equal(
      reference_ops.run(tflite_reader.read(data), codes),
      reference_ops.run(network, codes),
  )


def test_integer_network_has_learned_the_classes(finished):
  output = _run(finished, 'evaluate', '--run_dir=run')
  accuracy = float(output.split('top-1 ')[1].split('%')[0])
  # A constant answer is right in 33 %.
  assert accuracy > 60
  from_tflite = _run(finished, 'evaluate', '--run_dir=run', '--tflite')
  assert output.splitlines()[-1] == from_tflite.splitlines()[-1]


def test_finished_stages_are_not_repeated(finished):
  files = [run_dir.POLICY, run_dir.QUANTIZED_NETWORK, run_dir.TFLITE]
  before = [(finished / 'run' / name).stat().st_mtime_ns for name in files]
  _run(finished, 'search', '--run_dir=run', '--until=export')
  after = [(finished / 'run' / name).stat().st_mtime_ns for name in files]
  assert before == after


def test_another_configuration_needs_another_folder(finished):
  process = _start(finished, 'search', '--run_dir=run', '--ram=2100')
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 1
  assert "--ram: '2000' there, '2100' here" in output


def test_infeasible_budget_is_refused_before_any_training(finished):
  process = _start(
      finished, 'search', '--run_dir=no', *_FLAGS[:5], '--ram=100B'
  )
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 1
  assert '100' in output and 'needs' in output and "layer '" in output
  assert not (finished / 'no' / 'pretrain_checkpoints').exists()


def test_killed_runs_end_with_the_same_bytes(finished, tmp_path):
  seed = random.randrange(10**6)
  print(f'seed {seed}')
  rng = random.Random(seed)
  _write_images(tmp_path)
  (tmp_path / 'run').mkdir()
  for name in (run_dir.CONFIG, run_dir.FLOAT_NETWORK, run_dir.NETWORK_SPEC):
    shutil.copy(finished / 'run' / name, tmp_path / 'run' / name)
  arguments = ('--run_dir=run', '--until=finetune', *_FLAGS)
  for state in (run_dir.SEARCH_STATE, run_dir.FINETUNE_STATE):
    process = _start(tmp_path, 'search', *arguments)
    deadline = time.monotonic() + 300
    while not list((tmp_path / 'run' / state).glob('**/*.*')):
      assert process.poll() is None, process.communicate()[0]
      assert time.monotonic() < deadline, f'no state in {state}'
      time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.8))
    process.send_signal(signal.SIGKILL)
    process.communicate()
  _run(tmp_path, 'search', *arguments)
  for name in (run_dir.POLICY, run_dir.QUANTIZED_NETWORK):
    expected = (finished / 'run' / name).read_bytes()
    assert (tmp_path / 'run' / name).read_bytes() == expected, f'seed {seed}'
  records = json.loads((tmp_path / 'run' / run_dir.FINETUNE).read_text())
  assert records[-1]['phase'] == 'policy'
