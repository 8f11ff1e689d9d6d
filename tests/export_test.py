"""The export program: what it writes, prints, checks and refuses."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tfmpq import c_writer
from tfmpq import exporting
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_file
from tfmpq import tflite_reader
from tfmpq import tflite_writer

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SEEDS = range(12)
_PORTABLE = kernel_targets.Target.PORTABLE


def _run(
    *arguments: str, cwd: pathlib.Path | None = None
) -> subprocess.CompletedProcess:
  """Runs the program; `cwd` is where the user typed the command."""
  paths = [str(_ROOT)] + [path for path in sys.path if path]
  environment = {'PYTHONPATH': ':'.join(paths), 'PATH': '/usr/bin:/bin'}
  if cwd is not None:
    environment['BUILD_WORKING_DIRECTORY'] = str(cwd)
  return subprocess.run(
      [sys.executable, '-m', 'tfmpq.export', *arguments],
      check=False,
      capture_output=True,
      cwd=_ROOT,
      env=environment,
      text=True,
  )


@pytest.fixture(name='network')
def _network() -> quantized_network.QuantizedNetwork:
  return mixed_network.mixed_network(5)


@pytest.fixture(name='folder')
def _folder(tmp_path, network) -> pathlib.Path:
  folder = tmp_path / 'my run'
  folder.mkdir()
  quantized_network.save(network, folder / run_dir.QUANTIZED_NETWORK)
  return folder


def test_program_writes_all_files_and_prints_their_sizes(folder, network):
  result = _run('--run_dir', 'my run', cwd=folder.parent)
  assert result.returncode == 0, result.stderr
  files = [path for path in folder.rglob('*') if path.is_file()]
  assert sorted(str(path.relative_to(folder)) for path in files) == [
      'dsp/model.c',
      'dsp/model.h',
      'dsp/model.tflite',
      'model.c',
      'model.h',
      'model.tflite',
      'mve/model.c',
      'mve/model.h',
      'mve/model.tflite',
      'quantized_network.npz',
  ]
  data = (folder / run_dir.TFLITE).read_bytes()
  const_bytes = [
      c_writer.flash_bytes(
          network.spec, network.policy, network.per_channel_zero_points, target
      )
      for target in kernel_targets.Target
  ]
  for num_bytes in (len(data), *const_bytes):
    assert (
        f'FLASH {num_bytes:,} bytes written, {num_bytes:,} predicted'
        in result.stdout
    )
  assert 'equal logits on 20 images' in result.stdout
  assert tflite_reader.read(data).policy == network.policy


def test_one_of_the_two_formats_can_be_left_out(folder):
  assert _run(f'--run_dir={folder}', '--notflite').returncode == 0
  assert not (folder / run_dir.TFLITE).exists()
  result = _run(f'--run_dir={folder}', '--notflite', '--noc')
  assert result.returncode == 1
  assert 'nothing to write' in result.stderr


def test_missing_network_says_what_to_run(tmp_path):
  result = _run(f'--run_dir={tmp_path}')
  assert result.returncode == 1
  assert result.stderr.startswith('export: ')
  assert 'quantized_network.npz does not exist' in result.stderr
  assert '//tfmpq:search' in result.stderr


def test_help_explains_the_program():
  result = _run('--help')
  assert './bazelw run //tfmpq:export' in result.stdout
  for flag in ('--run_dir', '--[no]tflite', '--[no]c', '--check_images'):
    assert flag in result.stdout


def test_exports_match_their_predictions(tmp_path):
  for seed in _SEEDS:
    print(f'seed {seed}')
    network = mixed_network.mixed_network(seed, bool(seed % 2))
    codes = exporting.random_codes(network, 2, seed)
    exports = []
    for target in kernel_targets.Target:
      exports.append(exporting.export_tflite(network, tmp_path, codes, target))
      exports.append(exporting.export_c(network, tmp_path, target))
      assert exports[-1].arena_bytes == exports[-1].predicted.ram_bytes
    names = [export.name for export in exports]
    assert names == [
        'tflm',
        'c_portable',
        'tflm_dsp',
        'c_dsp',
        'tflm_mve',
        'c_mve',
    ]
    paths = [path for export in exports for path in export.paths]
    assert len(set(paths)) == 9
    assert all(path.exists() for path in paths)
    for export in exports:
      assert export.flash_bytes == export.predicted.flash_bytes
      plan = memory_planner.arena_plan(
          network.spec, network.policy, export.target
      )
      assert export.arena_bytes == plan.size_bytes


def test_same_network_gives_the_same_files(tmp_path, network):
  codes = exporting.random_codes(network, 1, 0)
  contents = []
  for name in ('a', 'b'):
    exporting.export_tflite(network, tmp_path / name, codes)
    exporting.export_c(network, tmp_path / name, _PORTABLE)
    contents.append(
        [p.read_bytes() for p in sorted((tmp_path / name).iterdir())]
    )
  assert contents[0] == contents[1]


def test_constants_are_counted_in_the_text_of_model_c(network):
  source = """
typedef char model_tfmpq_channel_size
    [(sizeof(tfmpq_channel) + 3) / 4 * 4 == 8 ? 1 : -1];
TFMPQ_CONST static const uint8_t a_weight[5] = {
    0x01, 0x02, 0x03,
    0x04, 0x05,
};
TFMPQ_CONST static const tfmpq_channel a_channels[2] = {
    {1, 2}, {3, -4},
};
TFMPQ_CONST static const int32_t b_multipliers[1] = {
    7,
};
"""
  assert exporting.c_constant_bytes(source) == 8 + 16 + 4
  with pytest.raises(ValueError, match='array of 5 uint8_t has 4 initializers'):
    exporting.c_constant_bytes(source.replace('0x04, ', ''))


def _changed(network) -> quantized_network.QuantizedNetwork:
  """Returns the network with another bias of the last layer."""
  constants = dict(network.constants)
  last = network.spec.layers[-1].name
  constants[last] = dataclasses.replace(
      constants[last], bias=constants[last].bias[::-1].copy()
  )
  return dataclasses.replace(network, constants=constants)


def test_other_logits_are_noticed(network):
  plan = memory_planner.arena_plan(network.spec, network.policy)
  data = tflite_writer.write(_changed(network), plan)
  codes = exporting.random_codes(network, 5, 0)
  assert exporting.count_different_logits(data, network, codes) == 5
  assert exporting.count_different_logits(data, _changed(network), codes) == 0


def test_export_refuses_a_file_with_other_logits(
    tmp_path, network, monkeypatch
):
  write = tflite_writer.write
  monkeypatch.setattr(
      tflite_writer, 'write', lambda net, *args: write(_changed(net), *args)
  )
  codes = exporting.random_codes(network, 3, 0)
  with pytest.raises(ValueError, match='3 of 3 images have other logits'):
    exporting.export_tflite(network, tmp_path, codes)
  assert not list(tmp_path.iterdir())


def test_export_refuses_sizes_that_were_not_predicted(
    tmp_path, network, monkeypatch
):
  predict_tflite, predict_c = tflite_writer.flash_bytes, c_writer.flash_bytes
  monkeypatch.setattr(
      tflite_writer, 'flash_bytes', lambda *args: predict_tflite(*args) + 16
  )
  monkeypatch.setattr(
      c_writer, 'flash_bytes', lambda *args: predict_c(*args) + 4
  )
  codes = exporting.random_codes(network, 1, 0)
  with pytest.raises(ValueError, match='model.tflite has .* predicted were'):
    exporting.export_tflite(network, tmp_path, codes)
  with pytest.raises(ValueError, match='model.c has .* predicted were'):
    exporting.export_c(network, tmp_path, _PORTABLE)
  assert not list(tmp_path.iterdir())


def test_random_codes_cover_the_input_range(network):
  codes = exporting.random_codes(network, 50, 1)
  assert codes.dtype == np.int8
  assert codes.shape == (50, *mixed_network.INPUT_SHAPE)
  assert (codes.min(), codes.max()) == (-128, 127)


@pytest.fixture(name='builtin_folder')
def _builtin_folder(tmp_path) -> pathlib.Path:
  """A run whose network a stock TFLM can run."""
  spec = mobilenet_specs.mobilenet_v1(0.25, 32, 1, 2)
  bits = {t.name: 4 + 4 * (i % 2) for i, t in enumerate(spec.weights)}
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8).with_bits(bits)
  network = mixed_network.random_network(
      spec, policy, False, np.random.default_rng(3)
  )
  quantized_network.save(network, tmp_path / run_dir.QUANTIZED_NETWORK)
  return tmp_path


def test_builtin_ops_are_written_on_request(builtin_folder):
  result = _run(f'--run_dir={builtin_folder}', '--tflite_ops=builtin', '--noc')
  assert result.returncode == 0, result.stderr
  model = tflite_file.parse(
      (builtin_folder / run_dir.TFLITE_BUILTIN).read_bytes()
  )
  assert all(operator.builtin for operator in model.operators)
  assert (builtin_folder / run_dir.TFLITE).exists()
  assert result.stdout.count('bytes written') == 4


def test_builtin_ops_refuse_other_widths_in_one_line(folder):
  result = _run(f'--run_dir={folder}', '--tflite_ops=builtin', '--noc')
  assert result.returncode == 1
  assert result.stderr.startswith('export: --tflite_ops=builtin needs')
  assert not (folder / run_dir.TFLITE_BUILTIN).exists()


def test_a_builtin_layer_far_from_the_network_is_refused(
    builtin_folder, monkeypatch
):
  network = exporting.load_network(builtin_folder)
  codes = exporting.random_codes(network, 2, 0)
  layer = network.spec.layers[0]
  before = network.constants[layer.name]
  bias = before.bias + np.abs(before.bias).max() * 4
  wrong = dataclasses.replace(
      network,
      constants={
          **network.constants,
          layer.name: dataclasses.replace(before, bias=bias),
      },
  )
  data = tflite_builtin.write(wrong)
  monkeypatch.setattr(tflite_builtin, 'write', lambda _: data)
  with pytest.raises(ValueError, match=f"'{layer.name}' of model_builtin"):
    exporting.export_builtin(network, builtin_folder, codes)


def test_package_holds_the_model_and_its_kernels(folder):
  package = folder.parent / 'firmware'
  result = _run(
      f'--run_dir={folder}', '--notflite', f'--package={package}', '--core=host'
  )
  assert result.returncode == 0, result.stderr
  assert 'see README.md there' in result.stdout
  model = (package / 'model' / 'model.c').read_text()
  assert model == (folder / run_dir.C_SOURCE).read_text()
  assert (package / 'tflm_ext' / 'kernels' / 'conv2d.c').exists()


def test_package_of_builtin_ops_holds_no_kernels(builtin_folder):
  package = builtin_folder / 'firmware'
  flags = ('--tflite_ops=builtin', '--backend=tflm', '--noc')
  result = _run(f'--run_dir={builtin_folder}', *flags, f'--package={package}')
  assert result.returncode == 0, result.stderr
  model = (package / 'model' / 'model.tflite').read_bytes()
  assert model == (builtin_folder / run_dir.TFLITE_BUILTIN).read_bytes()
  assert not (package / 'tflm_ext' / 'kernels').exists()


def test_package_for_tflm_needs_its_tflite(folder):
  result = _run(
      f'--run_dir={folder}', '--notflite', '--backend=tflm', '--package=p'
  )
  assert result.returncode == 1
  assert 'leave out --notflite' in result.stderr
