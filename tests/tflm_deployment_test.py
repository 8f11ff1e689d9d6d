"""Deployment under TFLite Micro: what is built and how a run is read.

The programs here are stand-ins; tflm_firmware_test has real ones.
"""

import pathlib
import stat

import numpy as np
import pytest

from tests import mixed_network
from tests import tflm_networks
from tfmpq import budgets
from tfmpq import exporting
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import tflm_arena
from tfmpq import tflm_deployment
from tfmpq import tflm_sources

_ROOT = pathlib.Path('.')

# Starts with an arena of 1000 bytes and more; with less than 900 it is stopped
# before it can say so.
_STAND_IN = """#!/bin/sh
test "$1" = embedded || exit 2
echo "result arena_bytes $2"
test "$2" -ge 900 -o "$2" = 0 || exit 134
if [ "$2" -lt 1000 -a "$2" != 0 ]; then
  echo "result allocated 0"
  exit 1
fi
echo "result allocated 1"
echo "result arena_used_bytes 990"
echo "result arena_head_bytes 400"
echo "result arena_tail_bytes 590"
test -n "$3" || exit 0
test -s "$3" -a -s "$4" || exit 3
echo "result images 2"
echo "result equal_images EQUAL"
exit STATUS
"""


@pytest.fixture(name='export')
def _export(tmp_path):
  network = tflm_networks.network(1, 'portable')
  path = tmp_path / 'model.tflite'
  path.write_bytes(tflm_networks.tflite(network, 'portable'))
  return exporting.Export(
      backend='tflm',
      target=kernel_targets.Target.PORTABLE,
      paths=(path,),
      predicted=budgets.MemoryFootprint(ram_bytes=1000, flash_bytes=4000),
      arena_bytes=400,
      flash_bytes=4000,
  )


def _builder(tmp_path, equal='2', status='0'):
  """Returns a builder that makes the stand-in, and its list of calls."""
  calls = []

  def build(cores, sources):
    calls.append((list(cores), sources))
    program = tmp_path / 'stand_in'
    text = _STAND_IN.replace('EQUAL', equal).replace('STATUS', status)
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return dict.fromkeys(cores, program)

  return build, calls


def _run(export, folder, build, arena_bytes=1000):
  codes = np.zeros((2, 11, 9, 3), np.int8)
  expected = np.zeros((2, 10), np.int8)
  need = tflm_arena.ArenaNeed(arena_bytes, head_bytes=400, tail_bytes=590)
  item = tflm_deployment.Deployment('host', export, need)
  return tflm_deployment.run(
      [item], codes, expected, folder, root=_ROOT, build=build
  )


def test_a_run_is_read_and_the_smallest_arena_found(export, tmp_path):
  build, calls = _builder(tmp_path)
  (result,) = _run(export, tmp_path, build)
  assert result.backend == 'tflm'
  assert result.logits_equal
  assert result.num_images == 2
  assert result.ram_bytes_measured == 1000
  assert result.arena_used_bytes == 990
  assert result.arena_head_bytes + result.arena_tail_bytes == 990
  assert result.problems() == []
  ((cores, sources),) = calls
  assert cores == ['host']
  data = (sources / tflm_sources.DATA_FILE).read_text()
  assert data == tflm_sources.model_data(export.paths[0].read_bytes())
  assert (sources / tflm_sources.OPS_FILE).exists()


def test_other_logits_are_part_of_the_result(export, tmp_path):
  build, _ = _builder(tmp_path, equal='1', status='1')
  (result,) = _run(export, tmp_path, build)
  assert not result.logits_equal
  assert 'logits differ' in result.problems()[0]


def test_a_failure_besides_the_logits_is_an_error(export, tmp_path):
  build, _ = _builder(tmp_path, status='1')
  with pytest.raises(firmware.FirmwareError, match='reports a failure'):
    _run(export, tmp_path, build)


def test_another_arena_than_predicted_is_a_problem(export, tmp_path):
  build, _ = _builder(tmp_path)
  (result,) = _run(export, tmp_path, build, arena_bytes=996)
  assert result.ram_bytes_measured == 1000
  assert '996 bytes predicted, 1000 measured' in result.problems()[0]


def test_no_images_is_an_error(tmp_path):
  none = np.zeros((0, 11, 9, 3), np.int8)
  with pytest.raises(ValueError, match='at least one image'):
    tflm_deployment.run([], none, none, tmp_path, root=_ROOT)


@pytest.mark.parametrize('tflite_ops', ['custom', 'builtin'])
def test_each_core_gets_the_export_for_it(tflite_ops, tmp_path):
  kind = tflm_networks.BUILTIN if tflite_ops == 'builtin' else 'portable'
  network = tflm_networks.network(1, kind)
  build, calls = _builder(tmp_path)
  codes = np.zeros((2, *mixed_network.INPUT_SHAPE), np.int8)
  (result,) = tflm_deployment.deploy(
      network,
      codes,
      ['host'],
      tmp_path,
      tflite_ops=tflite_ops,
      root=_ROOT,
      build=build,
  )
  assert result.tflite_ops == tflite_ops
  # Predicted for the real program, not for the stand-in.
  assert result.ram_bytes_predicted > 2000
  ((_, sources),) = calls
  name = 'tflm_builtin' if tflite_ops == 'builtin' else 'tflm'
  assert sources == tmp_path / 'tflm' / name
  expected = (tmp_path / 'deploy' / 'expected.bin').read_bytes()
  assert expected == tflm_networks.logits(network, kind, codes).tobytes()


def test_a_missing_sdk_is_described(tmp_path, monkeypatch):
  monkeypatch.setenv('TFLM_ROOT', str(tmp_path))
  text = tflm_deployment.missing_sdk(['cortex_m4'])
  library = 'lib/cortex_m4/libtensorflow-microlite.a'
  assert str(tmp_path) in text and f'lacks include, {library}' in text
  (tmp_path / 'include').mkdir()
  (tmp_path / library).parent.mkdir(parents=True)
  (tmp_path / library).touch()
  assert tflm_deployment.missing_sdk(['cortex_m4']) == ''
  assert 'lib/cortex_m7' in tflm_deployment.missing_sdk(['cortex_m7'])


@pytest.mark.parametrize('answer', [1, 17, 990, 999, 1000, 1001, 1003, 1300])
def test_smallest_arena_is_exact_wherever_it_lies(answer):
  tried = []

  def starts(num_bytes):
    tried.append(num_bytes)
    return num_bytes >= answer

  assert tflm_deployment.smallest_arena(1000, starts) == answer
  assert len(tried) <= 20


def test_the_usual_arena_takes_two_tries():
  tried = []

  def starts(num_bytes):
    tried.append(num_bytes)
    return num_bytes >= 1000

  assert tflm_deployment.smallest_arena(1000, starts) == 1000
  assert sorted(tried) == [999, 1000]


def test_a_model_that_never_starts_is_an_error():
  with pytest.raises(firmware.FirmwareError, match='does not start'):
    tflm_deployment.smallest_arena(1000, lambda num_bytes: False)


def test_bazel_is_asked_for_the_sources_of_the_folder(tmp_path, monkeypatch):
  asked = []

  def build(targets, options, root):
    asked.append((targets, options, root))
    return {target: pathlib.Path('/out', target[-2:]) for target in targets}

  monkeypatch.setattr(tflm_deployment.bazel_build, 'build', build)
  for name in (tflm_sources.DATA_FILE, tflm_sources.OPS_FILE):
    (tmp_path / name).write_text('first')
  programs = tflm_deployment.build_programs(['cortex_m4'], tmp_path, _ROOT)
  assert programs == {'cortex_m4': pathlib.Path('/out/m4')}
  (tmp_path / tflm_sources.DATA_FILE).write_text('second')
  tflm_deployment.build_programs(['cortex_m4'], tmp_path, _ROOT)
  (targets, before, _), (_, after, _) = asked
  assert targets == ['//tflm_ext/runners:exported_tflm_cortex_m4']
  assert before[0] == after[0] == f'--repo_env=TFMPQ_TFLM_MODEL_DIR={tmp_path}'
  assert before[1] != after[1]
