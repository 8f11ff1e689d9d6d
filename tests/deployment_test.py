"""Deployment of a network with every op on every machine.

The programs are built by Bazel beforehand (tests/c_model), because a test
cannot start another build.
"""

import dataclasses
import pathlib

import numpy as np
import pytest

from tests import mixed_network
from tfmpq import deployment
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import run_dir

_ROOT = pathlib.Path('.')
_SEED = 1  # of the network that tests/c_model/BUILD builds
_NUM_IMAGES = 5

# Prints what a runner prints where instructions cannot be counted.
_FVP_STAND_IN = """#!/bin/sh
echo "$@" >"$ARGUMENTS_FILE"
echo 'result arena_high_water_bytes HIGH_WATER'
echo 'result images 5'
echo 'result equal_images 5'
echo 'TFMPQ_EXIT 0'
"""


def _built(cores, folder):
  """Returns the programs that Bazel has built for this test."""
  del folder
  return {
      core: pathlib.Path('tests/c_model', f'mixed_{core}')
      if core == deployment.HOST
      else pathlib.Path('tests/c_model', f'mixed_{core}.elf')
      for core in cores
  }


@pytest.fixture(name='network', scope='module')
def _network():
  return mixed_network.mixed_network(_SEED)


@pytest.fixture(name='codes', scope='module')
def _codes():
  rng = np.random.default_rng(0)
  return mixed_network.random_codes(mixed_network.INPUT_SHAPE, _NUM_IMAGES, rng)


@pytest.fixture(autouse=True)
def _no_fvp_of_this_machine(monkeypatch):
  monkeypatch.delenv('TFMPQ_FVP', raising=False)


def _deploy(network, codes, cores, folder, **kwargs):
  kwargs = {'root': _ROOT, 'build': _built} | kwargs
  return deployment.deploy(network, codes, cores, folder, **kwargs)


def test_every_core_gives_the_logits_and_sizes_that_were_predicted(
    network, codes, tmp_path
):
  results = _deploy(network, codes, deployment.CORES, tmp_path)
  assert [result.core for result in results] == list(deployment.CORES)
  for result in results:
    assert result.problems() == []
    assert result.logits_equal
    assert result.num_images == _NUM_IMAGES
    target = kernel_targets.of_core(result.core)
    assert result.target == target.value
    plan = memory_planner.arena_plan(network.spec, network.policy, target)
    assert result.ram_bytes_measured == plan.size_bytes
    if result.core == deployment.HOST:
      continue
    assert result.const_bytes == result.flash_bytes_predicted
    assert result.machine.endswith('(QEMU)')
    # Ten layers of kernels; a whole image is at least as many instructions as
    # multiply-accumulates.
    assert 2_000 < result.code_bytes < 30_000
    assert network.spec.num_macs < result.instructions_min
    assert result.instructions_min <= result.instructions
    assert 50 < result.stack_bytes < 2_000
  assert len({result.machine for result in results}) == len(results)
  assert (tmp_path / run_dir.C_SOURCE).exists()
  table = deployment.table(results).splitlines()
  assert len(table) == 1 + len(results)
  assert 'DIFFERENT' not in deployment.table(results)


def test_measurements_repeat(network, codes, tmp_path):
  first = _deploy(network, codes, ['cortex_m4', 'cortex_m55'], tmp_path)
  assert _deploy(network, codes, ['cortex_m4', 'cortex_m55'], tmp_path) == first


@pytest.mark.parametrize('core', [deployment.HOST, 'cortex_m33'])
def test_one_wrong_logit_is_found(core, network, codes, tmp_path):
  expected = reference_ops.run(network, codes)
  expected[3, 0, 0, 2] ^= 1
  (result,) = _deploy(network, codes, [core], tmp_path, expected=expected)
  assert not result.logits_equal
  (problem,) = result.problems()
  assert problem.startswith(core) and 'logits differ' in problem
  assert 'DIFFERENT' in deployment.table([result])


def test_sizes_that_differ_are_problems(network, codes, tmp_path):
  (result,) = _deploy(network, codes, ['cortex_m7'], tmp_path)
  changed = dataclasses.replace(
      result, ram_bytes_measured=result.ram_bytes_predicted + 16, const_bytes=4
  )
  arena, constants = changed.problems()
  assert f'{result.ram_bytes_predicted + 16} measured' in arena
  assert '4 in the ELF file' in constants


def test_another_networks_program_is_found_out(codes, tmp_path):
  other = mixed_network.mixed_network(_SEED + 1)
  (result,) = _deploy(other, codes, ['cortex_m4'], tmp_path)
  assert not result.logits_equal
  assert result.const_bytes != result.flash_bytes_predicted


def test_fvp_runs_the_m55_and_counts_no_instructions(
    network, codes, tmp_path, monkeypatch
):
  fvp = tmp_path / 'FVP_Corstone_SSE-300_Ethos-U55'
  plan = memory_planner.arena_plan(
      network.spec, network.policy, kernel_targets.of_core('cortex_m55')
  )
  # Rounded up to the alignment of 16, this is the size of the arena.
  high_water = str(plan.size_bytes - 6)
  fvp.write_text(_FVP_STAND_IN.replace('HIGH_WATER', high_water))
  fvp.chmod(0o755)
  monkeypatch.setenv('TFMPQ_FVP', str(fvp))
  monkeypatch.setenv('ARGUMENTS_FILE', str(tmp_path / 'arguments'))
  (result,) = _deploy(network, codes, ['cortex_m55'], tmp_path)
  assert result.machine == 'FVP_Corstone_SSE-300_Ethos-U55 (FVP)'
  assert result.instructions is None
  assert result.stack_bytes is None
  assert result.problems() == []
  arguments = (tmp_path / 'arguments').read_text()
  assert (
      'cpu0.semihosting-cmd_line=cortex_m55.elf images.bin expected.bin'
      in arguments
  )
  assert f'cpu0.semihosting-cwd={tmp_path / "deploy"}' in arguments
  assert f'-a {tmp_path / "deploy" / "cortex_m55.elf"}' in arguments


def test_a_missing_emulator_says_what_to_install(
    network, codes, tmp_path, monkeypatch
):
  monkeypatch.setenv('PATH', str(tmp_path))
  with pytest.raises(firmware.FirmwareError, match='install qemu-system-arm'):
    _deploy(network, codes, ['cortex_m4'], tmp_path)


def test_firmware_that_does_not_end_is_an_error(network, codes, tmp_path):
  def wrong_core(cores, folder):
    del cores, folder
    return {'cortex_m4': pathlib.Path('tests/c_model/mixed_cortex_m33.elf')}

  with pytest.raises(firmware.FirmwareError, match='printed no results'):
    _deploy(network, codes, ['cortex_m4'], tmp_path, build=wrong_core)


def test_a_failure_besides_the_logits_is_an_error(network, codes, tmp_path):
  def overrun(cores, folder):
    del cores
    program = folder / 'overrun'
    program.write_text(
        '#!/bin/sh\necho "bytes around the arena were written"\n'
        'echo "result images 5"\necho "result equal_images 5"\nexit 1\n'
    )
    program.chmod(0o755)
    return {deployment.HOST: program}

  with pytest.raises(firmware.FirmwareError, match='around the arena'):
    _deploy(network, codes, [deployment.HOST], tmp_path, build=overrun)


def test_an_unknown_core_names_the_nearest(network, codes, tmp_path):
  with pytest.raises(ValueError, match="'cortex-m4'; did you mean 'cortex_m4'"):
    _deploy(network, codes, ['cortex-m4'], tmp_path)


def test_no_images_is_an_error(network, codes, tmp_path):
  with pytest.raises(ValueError, match='at least one image'):
    _deploy(network, codes[:0], ['cortex_m4'], tmp_path)


def test_bazel_is_asked_for_the_model_of_the_folder(
    network, tmp_path, monkeypatch
):
  asked = []

  def build(targets, options, root):
    asked.append((targets, options, root))
    return {target: pathlib.Path('/out', target[-2:]) for target in targets}

  monkeypatch.setattr(deployment.bazel_build, 'build', build)
  for name in (run_dir.C_SOURCE, run_dir.C_HEADER):
    (tmp_path / name).write_text('first')
  programs = deployment.build_programs(['cortex_m4'], tmp_path, _ROOT)
  assert programs == {'cortex_m4': pathlib.Path('/out/m4')}
  (tmp_path / run_dir.C_SOURCE).write_text('second')
  deployment.build_programs(['cortex_m4'], tmp_path, _ROOT)
  (targets, before, _), (_, after, _) = asked
  assert targets == ['//tflm_ext/runners:exported_cortex_m4']
  assert before[0] == after[0] == f'--repo_env=TFMPQ_MODEL_DIR={tmp_path}'
  assert before[1].startswith('--repo_env=TFMPQ_MODEL_HASH=')
  assert before[1] != after[1]
