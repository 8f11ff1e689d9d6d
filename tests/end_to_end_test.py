"""The whole program on a tiny data set, as a user starts it, and killed.

The stage 'deploy' builds firmware with Bazel, which a test cannot start. Here
the host's compiler builds the export instead; tests/c_model has programs for
every core.
"""

import dataclasses
import html.parser
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from tests import tiny_run
from tfmpq import c_writer
from tfmpq import datasets
from tfmpq import deployment
from tfmpq import kernel_targets
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import tflite_reader

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_KERNELS = (
    'add average_pool conv2d depthwise_conv2d fully_connected max_pool '
    'weight_layouts'
).split()
_RUNNER = ('files', 'files_host', 'model_meter_host', 'model_runner')
_RESULTS = (run_dir.POLICY, run_dir.QUANTIZED_NETWORK)
_TIMEOUT_S = 300


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  """A folder with an undisturbed run in it, up to the exports."""
  folder = tmp_path_factory.mktemp('finished')
  tiny_run.write_images(folder)
  tiny_run.run(
      folder, 'search', '--run_dir=run', '--until=export', *tiny_run.FLAGS
  )
  return folder


@pytest.fixture(name='copy')
def _copy(finished, tmp_path):
  """A folder of its own with a copy of that run."""
  shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
  return tmp_path


def _begin_after_float(finished, folder) -> None:
  """Leaves in folder/run what the stage 'float' of the run has written."""
  tiny_run.write_images(folder)
  (folder / 'run').mkdir()
  for name in (run_dir.CONFIG, run_dir.FLOAT_NETWORK, run_dir.NETWORK_SPEC):
    shutil.copy(finished / 'run' / name, folder / 'run' / name)


def _network(folder) -> quantized_network.QuantizedNetwork:
  return quantized_network.load(folder / 'run' / run_dir.QUANTIZED_NETWORK)


def _test_split(folder) -> tuple[np.ndarray, np.ndarray]:
  """Returns codes and labels."""
  with np.load(folder / 'images.npz') as images:
    return datasets.to_codes(images['x_test']), images['y_test']


def _accuracy(network, folder) -> float:
  codes, labels = _test_split(folder)
  logits = reference_ops.run(network, codes).reshape(len(codes), -1)
  return float(np.mean(logits.argmax(axis=1) == labels))


def _compile(output, *arguments) -> None:
  command = ['gcc', '-std=c99', '-Wall', '-Wextra', '-Werror', f'-I{_ROOT}']
  result = subprocess.run(
      [*command, *arguments, '-o', output],
      check=False,
      capture_output=True,
      text=True,
  )
  assert result.returncode == 0, result.stderr


def _compiled_bytes(export, folder) -> tuple[int, int]:
  """Returns bytes of RAM and of constants of an export, as compiled.

  Args:
    export: folder of model.c.
    folder: for the object file.
  """
  _compile(folder / 'model.o', '-c', f'-I{export}', export / run_dir.C_SOURCE)
  symbols = subprocess.run(
      ['nm', '-S', '--defined-only', folder / 'model.o'],
      check=True,
      capture_output=True,
      text=True,
  ).stdout
  sizes = {'b': 0, 'd': 0, 'r': 0}
  for line in symbols.splitlines():
    _, size, kind, _ = line.split()
    if kind.lower() in sizes:
      sizes[kind.lower()] += -(-int(size, 16) // 4) * 4
  return sizes['b'] + sizes['d'], sizes['r']


def test_what_a_compiler_makes_of_the_exports_fits_the_budget(
    finished, tmp_path
):
  # The instruction sets of the cores for which the search was.
  for name in ('dsp', 'mve'):
    export = finished / 'run' / name
    ram_bytes, flash_bytes = _compiled_bytes(export, tmp_path)
    assert 0 < ram_bytes <= tiny_run.RAM_BYTES
    assert 0 < flash_bytes <= tiny_run.FLASH_BYTES
  # The budget binds: 8 bits everywhere would need more.
  spec = _network(finished).spec
  eight_bits = specs.QuantizationPolicy.uniform(spec, 8, 8)
  dsp = kernel_targets.Target.DSP
  needed = c_writer.flash_bytes(spec, eight_bits, False, dsp)
  assert needed > tiny_run.FLASH_BYTES


def test_integer_network_has_the_widths_of_the_policy(finished):
  text = (finished / 'run' / run_dir.POLICY).read_text()
  policy = specs.QuantizationPolicy.from_json(text)
  network = _network(finished)
  assert network.policy == policy
  assert 2 in policy.as_dict().values()
  for layer in network.spec.layers:
    if layer.weight is None:
      continue
    codes = network.constants[layer.name].weight_codes
    bits = policy.bits(network.spec, layer.weight)
    lowest, highest = (-127, 127) if bits == 8 else (0, 2**bits - 1)
    assert lowest <= codes.min() < codes.max() <= highest


def test_tflite_opened_alone_gives_the_same_logits(finished):
  data = (finished / 'run' / run_dir.TFLITE).read_bytes()
  codes, _ = _test_split(finished)
  np.testing.assert_array_equal(
      reference_ops.run(tflite_reader.read(data), codes),
      reference_ops.run(_network(finished), codes),
  )


def test_evaluate_prints_the_accuracy_of_a_split(finished):
  # A constant answer is right in 33 %.
  accuracy = _accuracy(_network(finished), finished)
  assert accuracy > 0.6
  output = tiny_run.run(finished, 'evaluate', '--run_dir=run')
  of_float, last = output.splitlines()[-2:]
  assert of_float.startswith('float network: top-1 ')
  assert 'agrees with it on ' in of_float
  assert last.startswith(f'top-1 {accuracy:.2%} (')
  assert last.endswith(f'{tiny_run.NUM_TEST_IMAGES} images')
  from_tflite = tiny_run.run(finished, 'evaluate', '--run_dir=run', '--tflite')
  assert from_tflite.splitlines()[-1] == last
  reward = tiny_run.run(finished, 'evaluate', '--run_dir=run', '--split=reward')
  assert '45 images of reward' in reward
  assert reward.splitlines()[-1].endswith(' 45 images')


def test_finished_stages_are_not_repeated(finished):
  files = [
      path
      for path in (finished / 'run').rglob('*')
      if path.is_file() and run_dir.TENSORBOARD not in path.parts
  ]
  before = {path: path.stat().st_mtime_ns for path in files}
  assert len(before) > 10
  tiny_run.run(finished, 'search', '--run_dir=run', '--until=export')
  assert {path: path.stat().st_mtime_ns for path in files} == before


def test_infeasible_budget_is_refused_before_any_training(finished):
  line = tiny_run.refusal(
      finished, 'search', '--run_dir=no', *tiny_run.FLAGS, '--ram=100B'
  )
  assert "layer 'conv_dw_1' needs 1248 bytes o" in line
  assert not (finished / 'no').exists()


def test_a_policy_of_ones_own_is_trained_and_belongs_to_its_folder(
    finished, tmp_path
):
  _begin_after_float(finished, tmp_path)
  spec = _network(finished).spec
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8)
  policy = policy.with_bits({'conv_pw_2/weight': 4})
  path = tmp_path / 'run' / run_dir.POLICY
  path.write_text(policy.to_json())
  output = tiny_run.run(tmp_path, 'finetune', '--run_dir=run')
  assert output.splitlines()[-1].endswith('bytes: DOES NOT FIT')
  assert _network(tmp_path).policy == policy
  assert _accuracy(_network(tmp_path), tmp_path) > 0.6
  path.write_text(policy.with_bits({'conv_pw_2/weight': 2}).to_json())
  line = tiny_run.refusal(tmp_path, 'finetune', '--run_dir=run')
  assert "'conv_pw_2/weight': 4 bits there, 2 here" in line


class _References(html.parser.HTMLParser):
  """Collects what a page refers to."""

  def __init__(self):
    super().__init__()
    self.found = []

  def handle_starttag(self, tag, attrs):
    self.found += [v for k, v in attrs if k in ('src', 'href', 'data')]


def test_report_tells_what_the_run_has_done(copy):
  network, folder = _network(copy), copy / 'run'
  codes, _ = _test_split(copy)

  def build(cores, export):
    assert list(cores) == [deployment.HOST]
    sources = [_ROOT / f'tflm_ext/kernels/{name}.c' for name in _KERNELS]
    sources += [_ROOT / f'tflm_ext/runners/{name}.c' for name in _RUNNER]
    _compile(copy / 'host', f'-I{export}', export / 'model.c', *sources)
    return {deployment.HOST: copy / 'host'}

  results = deployment.deploy(
      network, codes[:20], [deployment.HOST], folder, root=_ROOT, build=build
  )
  assert [result.problems() for result in results] == [[]]
  rows = [dataclasses.asdict(result) for result in results]
  (folder / run_dir.DEPLOY).write_text(json.dumps({'runs': rows}))
  output = tiny_run.run(copy, 'search', '--run_dir=run')
  assert output.splitlines()[-1] == str(folder / run_dir.REPORT_HTML)
  report = json.loads((folder / run_dir.REPORT_JSON).read_text())
  assert report['accuracy']['integer'] == _accuracy(network, copy)
  assert report['policy'] == network.policy.as_dict()
  # The most that an instruction set of the cores needs.
  compiled = [_compiled_bytes(folder / name, copy) for name in ('dsp', 'mve')]
  ram_bytes = max(ram for ram, _ in compiled)
  flash_bytes = max(flash for _, flash in compiled)
  assert report['footprint']['ram_bytes_predicted'] == ram_bytes
  assert report['footprint']['flash_bytes_predicted'] == flash_bytes
  assert report['footprint']['flash_bytes_written'] == flash_bytes
  assert report['budget']['ram_bytes'] == tiny_run.RAM_BYTES
  assert report['search']['episodes'] == 24
  assert report['search']['episodes_per_minute'] > 0
  assert [run['core'] for run in report['runs']] == [deployment.HOST]
  assert report['runs'][0]['logits_equal'] is True
  for flag in tiny_run.FLAGS:
    assert flag in report['command']
  page = _References()
  page.feed((folder / run_dir.REPORT_HTML).read_text())
  assert not page.found


def _wait_for(condition, process) -> None:
  deadline = time.monotonic() + _TIMEOUT_S
  while not condition():
    assert process.poll() is None, process.communicate()[0]
    assert time.monotonic() < deadline, f'nothing happened in {_TIMEOUT_S} s'
    time.sleep(0.005)


def _kill(process) -> None:
  """Kills the process group, which must not have ended before."""
  os.killpg(process.pid, signal.SIGKILL)
  output, _ = process.communicate()
  assert process.returncode == -signal.SIGKILL, output


def _num_episodes(folder) -> int:
  path = folder / 'run' / run_dir.SEARCH_STATE / 'episodes.json'
  return len(json.loads(path.read_text())['records']) if path.exists() else 0


def _require_equal(folder, finished, seed) -> None:
  for name in _RESULTS:
    expected = (finished / 'run' / name).read_bytes()
    assert (folder / 'run' / name).read_bytes() == expected, f'{name}, {seed=}'


def test_killed_runs_end_with_the_same_bytes(finished, tmp_path):
  seed = random.SystemRandom().randrange(10**6)
  print(f'seed {seed}')
  rng = random.Random(seed)
  _begin_after_float(finished, tmp_path)
  command = ('search', '--run_dir=run', '--until=finetune', *tiny_run.FLAGS)
  for count in sorted(rng.sample(range(1, 22), 3)):
    process = tiny_run.start(tmp_path, *command)
    _wait_for(lambda c=count: _num_episodes(tmp_path) >= c, process)
    _kill(process)
  assert not (tmp_path / 'run' / run_dir.POLICY).exists()
  state = tmp_path / 'run' / run_dir.FINETUNE_STATE
  # When it begins; after the first phase; in the second phase.
  for begun, most_seconds in (
      (state / run_dir.POLICY, 1.0),
      (state / 'least_4_bits' / 'state.npz', 1.0),
      (state / 'policy' / 'state.npz', 0.2),
  ):
    process = tiny_run.start(tmp_path, *command)
    _wait_for(begun.exists, process)
    time.sleep(rng.uniform(0, most_seconds))
    _kill(process)
  assert not (tmp_path / 'run' / run_dir.QUANTIZED_NETWORK).exists()
  tiny_run.run(tmp_path, *command)
  _require_equal(tmp_path, finished, seed)
  records = json.loads((tmp_path / 'run' / run_dir.FINETUNE).read_text())
  assert [r['phase'] for r in records] == ['least_4_bits'] + 3 * ['policy']


def test_ctrl_c_says_what_to_do_and_the_same_command_goes_on(
    finished, tmp_path
):
  _begin_after_float(finished, tmp_path)
  command = ('search', '--run_dir=run', '--until=search', *tiny_run.FLAGS)
  process = tiny_run.start(tmp_path, *command)
  _wait_for(lambda: _num_episodes(tmp_path) >= 2, process)
  process.send_signal(signal.SIGINT)
  output, _ = process.communicate(timeout=_TIMEOUT_S)
  assert process.returncode == 1
  assert 'Traceback' not in output
  assert output.splitlines()[-1] == (
      'search: stopped; the same command goes on from here'
  )
  assert 2 <= _num_episodes(tmp_path) < 24
  tiny_run.run(tmp_path, *command)
  name = run_dir.POLICY
  assert (tmp_path / 'run' / name).read_bytes() == (
      finished / 'run' / name
  ).read_bytes()
