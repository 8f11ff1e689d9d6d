"""A network with every op under TFLite Micro on every machine.

Bazel builds the programs beforehand (tests/tflm_model), and skips this test
where there is no TFLM.
"""

import pathlib

import numpy as np
import pytest

from tests import mixed_network
from tests import tflm_networks
from tfmpq import deployment
from tfmpq import elf_sections
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import tflm_deployment

_ROOT = pathlib.Path('.')
_SEED = 1  # of the networks that tests/tflm_model/BUILD builds
_NUM_IMAGES = 3
_MODELS = pathlib.Path('tests/tflm_model')


def _target(kind, core):
  if kind == tflm_networks.BUILTIN:
    return tflm_networks.BUILTIN
  return kernel_targets.of_core(core).value


def _program(kind, core):
  suffix = '' if core == deployment.HOST else '.elf'
  return _MODELS / f'{kind}_{core}{suffix}'


def _codes():
  rng = np.random.default_rng(0)
  return mixed_network.random_codes(mixed_network.INPUT_SHAPE, _NUM_IMAGES, rng)


def _deploy(kind, core, folder):
  """Returns the result of one of the programs that Bazel has built."""
  (result,) = tflm_deployment.deploy(
      tflm_networks.network(_SEED, _target(kind, core)),
      _codes(),
      [core],
      folder,
      tflite_ops='builtin' if kind == tflm_networks.BUILTIN else 'custom',
      root=_ROOT,
      build=lambda cores, sources: {core: _program(kind, core)},
  )
  return result


@pytest.fixture(autouse=True)
def _no_fvp_of_this_machine(monkeypatch):
  monkeypatch.delenv('TFMPQ_FVP', raising=False)


@pytest.mark.parametrize('core', deployment.CORES)
@pytest.mark.parametrize('kind', ['builtin', 'mixed'])
def test_logits_are_those_of_the_reference(kind, core, tmp_path):
  result = _deploy(kind, core, tmp_path)
  assert result.problems() == []
  assert result.num_images == _NUM_IMAGES
  assert result.arena_used_bytes == (
      result.arena_head_bytes + result.arena_tail_bytes
  )
  # Structures of TFLM, but nothing per channel.
  assert 500 < result.arena_tail_bytes < 5_000
  if core == deployment.HOST:
    return
  assert result.const_bytes == result.flash_bytes_predicted
  own_bytes = result.code_bytes - result.tflm_code_bytes
  assert 10_000 < result.tflm_code_bytes < 120_000
  assert own_bytes == 0 if kind == 'builtin' else 5_000 < own_bytes < 60_000
  assert 100 < result.stack_bytes < 5_000
  assert 1_000 < result.instructions_min <= result.instructions


def test_one_byte_less_than_the_smallest_arena_is_too_few(tmp_path):
  result = _deploy('mixed', 'cortex_m4', tmp_path)

  def run(num_bytes):
    arguments = ['embedded', str(num_bytes)]
    elf = tmp_path / 'deploy' / 'tflm_cortex_m4.elf'
    return firmware.run('cortex_m4', elf, arguments, tmp_path, _ROOT)

  enough, too_few = (run(result.ram_bytes_measured - i) for i in (0, 1))
  assert enough.status == 0 and enough['allocated'] == 1
  assert too_few.status == 1 and too_few['allocated'] == 0
  # What TFLM says: here its planner's table does not fit beside the tensors.
  assert 'Too many buffers' in too_few.output


@pytest.mark.parametrize('core', [deployment.HOST, 'cortex_m33'])
def test_another_networks_program_is_found_out(core, tmp_path):
  (result,) = tflm_deployment.deploy(
      tflm_networks.network(_SEED + 1, tflm_networks.BUILTIN),
      _codes(),
      [core],
      tmp_path,
      tflite_ops='builtin',
      root=_ROOT,
      build=lambda cores, sources: {core: _program('builtin', core)},
  )
  assert not result.logits_equal
  assert 'logits differ' in result.problems()[0]


@pytest.mark.parametrize('core', firmware.CORES)
@pytest.mark.parametrize('kind', ['builtin', 'mixed'])
def test_firmware_has_no_global_constructors(kind, core):
  sizes = elf_sections.section_sizes(_program(kind, core).read_bytes())
  assert sizes.get('.init_array', 0) == 0


@pytest.mark.parametrize('core', firmware.CORES)
def test_builtin_models_link_nothing_of_ours(core):
  elf = _program('builtin', core).read_bytes()
  functions = elf_sections.function_sizes(elf)
  assert not [name for name in functions if name.startswith('tfmpq_conv2d')]


@pytest.mark.parametrize('core', firmware.CORES)
def test_only_kernels_in_use_are_linked(core):
  elf = _program('mixed', core).read_bytes()
  kernels = [
      name
      for name in elf_sections.function_sizes(elf)
      if name.startswith('tfmpq_conv2d_a')
  ]
  target = kernel_targets.of_core(core)
  network = tflm_networks.network(_SEED, target.value)
  spec, policy = network.spec, network.policy
  expected = {
      'tfmpq_conv2d_a{}_w{}_o{}__{}'.format(
          *(
              policy.bits(spec, name)
              for name in (layer.inputs[0], layer.weight, layer.output)
          ),
          target.value,
      )
      for layer in spec.layers
      if layer.op.value == 'conv2d'
  }
  assert set(kernels) == expected
