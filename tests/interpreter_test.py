"""The interpreter gives the integer network's logits on every backend."""

import pathlib
import re

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import random_specs
from tests import tflm_sdk
from tfmpq import host_programs
from tfmpq import interpreter
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflite_writer

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_TFLM_ROOT = tflm_sdk.root()
_HAS_TFLM = _TFLM_ROOT is not None
_needs_tflm = pytest.mark.skipif(
    not _HAS_TFLM, reason='TFLM: skipped, no SDK (TFLM_ROOT)'
)


@pytest.fixture(scope='module', autouse=True)
def _cache(tmp_path_factory):
  """Programs of this test only, built once."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('TFMPQ_CACHE', str(tmp_path_factory.mktemp('cache')))
    if _HAS_TFLM:
      patch.setenv('TFLM_ROOT', str(_TFLM_ROOT))
    yield


@pytest.fixture(name='network')
def _network() -> quantized_network.QuantizedNetwork:
  return mixed_network.mixed_network(7)


@pytest.fixture(name='run')
def _run(network, tmp_path) -> pathlib.Path:
  quantized_network.save(network, tmp_path / run_dir.QUANTIZED_NETWORK)
  return tmp_path


def _codes(network, count=40) -> np.ndarray:
  shape = network.spec.tensor(network.spec.input).shape
  return mixed_network.random_codes(shape, count, np.random.default_rng(0))


@pytest.mark.parametrize(
    'backend', ['c', pytest.param('tflm', marks=_needs_tflm)]
)
def test_codes_are_those_of_the_reference(backend, network, run):
  program = interpreter.Interpreter(run, backend=backend)
  codes = _codes(network)
  expected = reference_ops.run(network, codes)
  np.testing.assert_array_equal(program.run_codes(codes), expected)
  assert program.backend == backend
  assert program.run_codes(codes[:0]).shape == (0, *expected.shape[1:])


def test_pixels_become_logits_in_real_units(network, run):
  program = interpreter.Interpreter(run, backend='c')
  codes = _codes(network)
  pixels = (codes.astype(np.int16) + 128).astype(np.uint8)
  params = network.params[network.spec.output]
  expected = reference_ops.run(network, codes).reshape(len(codes), -1)
  np.testing.assert_allclose(
      program.run(pixels),
      params.scale * (expected.astype(np.float64) - params.zero_point),
      rtol=1e-6,  # the .tflite holds the scale as float32
  )
  assert program.input_details.shape == mixed_network.INPUT_SHAPE
  assert program.input_details.scale == 1 / 128
  assert program.output_details.name == network.spec.output


def test_a_tflite_file_is_run_like_its_run_directory(network, tmp_path):
  plan = memory_planner.arena_plan(network.spec, network.policy)
  path = tmp_path / 'any_name.tflite'
  path.write_bytes(tflite_writer.write(network, plan))
  codes = _codes(network)
  np.testing.assert_array_equal(
      interpreter.Interpreter(path, backend='c').run_codes(codes),
      reference_ops.run(network, codes),
  )


def test_auto_takes_tflm_where_it_is(run, monkeypatch):
  if _HAS_TFLM:
    assert interpreter.Interpreter(run).backend == 'tflm'
  monkeypatch.setenv('TFLM_ROOT', str(run))
  assert interpreter.Interpreter(run).backend == 'c'
  with pytest.raises(FileNotFoundError, match="Backend 'c' needs none"):
    interpreter.Interpreter(run, backend='tflm')


def _builtin_file(folder: pathlib.Path):
  spec = mobilenet_specs.mobilenet_v1(0.25, 32, 1, 2)
  bits = {t.name: 4 + 4 * (i % 2) for i, t in enumerate(spec.weights)}
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8).with_bits(bits)
  rng = np.random.default_rng(3)
  network = mixed_network.random_network(spec, policy, False, rng)
  path = folder / run_dir.TFLITE_BUILTIN
  path.write_bytes(tflite_builtin.write(network))
  return network, path


def test_builtin_ops_need_tflm(tmp_path):
  _, path = _builtin_file(tmp_path)
  with pytest.raises(ValueError, match="only backend 'tflm' runs"):
    interpreter.Interpreter(path, backend='c')


@_needs_tflm
def test_builtin_ops_give_the_codes_of_their_reference(tmp_path):
  network, path = _builtin_file(tmp_path)
  codes = _codes(network)
  expected = tflite_builtin_reference.run(
      tflite_file.parse(path.read_bytes()), codes
  )
  program = interpreter.Interpreter(path)
  assert program.backend == 'tflm'
  np.testing.assert_array_equal(program.run_codes(codes), expected)


@_needs_tflm
def test_random_networks_of_builtin_ops_give_the_codes_of_their_reference(
    tmp_path,
):
  path = tmp_path / run_dir.TFLITE_BUILTIN
  seen = set()
  for seed in range(60):
    print(f'seed {seed}')
    rng = np.random.default_rng(seed)
    spec = random_specs.random_spec(rng)
    bits = {t.name: int(rng.choice([4, 8])) for t in spec.weights}
    policy = specs.QuantizationPolicy.uniform(spec, 8, 8).with_bits(bits)
    network = mixed_network.random_network(spec, policy, False, rng)
    try:
      data = tflite_builtin.write(network)
    except ValueError:
      continue  # padding of a pool for which there is no builtin op
    path.write_bytes(data)
    codes = _codes(network, 3)
    model = tflite_file.parse(data)
    np.testing.assert_array_equal(
        interpreter.Interpreter(path).run_codes(codes),
        tflite_builtin_reference.run(model, codes),
    )
    seen |= {operator.builtin for operator in model.operators}
  assert seen == set(tflite_file.BUILTIN_OPS)


def test_programs_are_built_once(run, monkeypatch):
  interpreter.Interpreter(run, backend='c')
  monkeypatch.setenv('CC', 'a_compiler_that_is_not_there')
  interpreter.Interpreter(run, backend='c')
  quantized_network.save(
      mixed_network.mixed_network(8), run / run_dir.QUANTIZED_NETWORK
  )
  with pytest.raises(host_programs.BuildError, match='name them in CC'):
    interpreter.Interpreter(run, backend='c')
  monkeypatch.setenv('CC', 'cc -no-such-option')
  with pytest.raises(host_programs.BuildError, match='no-such-option'):
    interpreter.Interpreter(run, backend='c')


def test_mistakes_are_explained(run, network, tmp_path):
  with pytest.raises(ValueError, match="backend: .*did you mean 'tflm'"):
    interpreter.Interpreter(run, backend='tflmm')
  with pytest.raises(ValueError, match='core: expected one of'):
    interpreter.Interpreter(run, core='cortex_m4')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(FileNotFoundError, match='//tfmpq:search'):
    interpreter.Interpreter(tmp_path / 'empty')
  program = interpreter.Interpreter(run, backend='c')
  codes = _codes(network)
  for wrong in (codes.astype(np.float32), codes[:, 1:], codes[0]):
    with pytest.raises(ValueError, match='expected uint8 pixels or int8 codes'):
      program.run(wrong)


def test_a_program_that_fails_is_reported(run, network, tmp_path):
  program = interpreter.Interpreter(run, backend='c')
  broken = tmp_path / 'broken'
  broken.write_text('#!/bin/sh\necho something broke >&2\nexit 3\n')
  broken.chmod(0o755)
  program._program = broken  # pylint: disable=protected-access
  with pytest.raises(interpreter.InterpreterError, match='status 3') as info:
    program.run_codes(_codes(network))
  assert 'something broke' in str(info.value)


def test_example_of_the_readme_runs(
    network, run, monkeypatch, tmp_path, capsys
):
  readme = (_ROOT / 'README.md').read_text()
  (example,) = [
      block
      for block in re.findall(r'```python\n(.*?)```', readme, re.DOTALL)
      if 'Interpreter(' in block
  ]
  (folder,) = re.findall(r"Interpreter\('(.*)'\)", example)
  (tmp_path / folder).parent.mkdir()
  (tmp_path / folder).symlink_to(run)
  monkeypatch.chdir(tmp_path)
  pixels = (_codes(network).astype(np.int16) + 128).astype(np.uint8)
  names = {'images': pixels}
  exec(example, names)  # pylint: disable=exec-used
  expected = interpreter.Interpreter(run, backend='c').run(pixels)
  np.testing.assert_array_equal(names['logits'], expected)
  backend = 'tflm' if _HAS_TFLM else 'c'
  assert capsys.readouterr().out.startswith(f"{backend} TensorDetails(name='")
