"""Packages build on their own, hold no more than they need, and compute right.

They are copied nowhere: everything is compiled inside their folder, with no
other folder on the include path.
"""

import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests import mixed_network
from tests import package_builds
from tfmpq import c_writer
from tfmpq import elf_sections
from tfmpq import firmware_package
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import source_closure
from tfmpq import specs

# Runs the images and returns the number of the first one that goes wrong.
_MAIN = """#include <string.h>

#include "model.h"

static const signed char images[{count}][MODEL_INPUT_BYTES] = {{
{images}
}};
static const signed char expected[{count}][MODEL_OUTPUT_BYTES] = {{
{expected}
}};

int main(void) {{
  for (int i = 0; i < {count}; ++i) {{
    memcpy(model_input(), images[i], MODEL_INPUT_BYTES);
    model_invoke();
    if (memcmp(model_output(), expected[i], MODEL_OUTPUT_BYTES) != 0) {{
      return i + 1;
    }}
  }}
  return 0;
}}
"""


def _dense_network() -> quantized_network.QuantizedNetwork:
  """Returns a network of one op."""
  kind = specs.TensorKind
  spec = specs.NetworkSpec(
      name='dense',
      tensors=(
          specs.TensorSpec('in', kind.ACTIVATION, (1, 1, 12), True, 8),
          specs.TensorSpec('out', kind.ACTIVATION, (1, 1, 5), True, 8),
          specs.TensorSpec('w', kind.WEIGHT, (5, 12)),
      ),
      layers=(
          specs.LayerSpec('out', specs.Op.FULLY_CONNECTED, ('in',), 'out', 'w'),
      ),
      input='in',
      output='out',
  )
  policy = specs.QuantizationPolicy.uniform(spec, 4, 8)
  rng = np.random.default_rng(2)
  return mixed_network.random_network(spec, policy, False, rng)


_NETWORKS = {
    'every_op': lambda: mixed_network.mixed_network(4),
    'dense': _dense_network,
}


def _main(network) -> str:
  codes = package_builds.codes(network)
  logits = reference_ops.run(network, codes)

  def rows(values):
    flat = values.reshape(len(values), -1)
    return ',\n'.join('{' + ', '.join(map(str, row)) + '}' for row in flat)

  return _MAIN.format(
      count=len(codes), images=rows(codes), expected=rows(logits)
  )


@pytest.fixture(params=_NETWORKS, name='network')
def _network(request):
  return _NETWORKS[request.param]()


def _written(network, core, folder) -> pathlib.Path:
  firmware_package.write(
      firmware_package.c_package(network, core), folder / 'package'
  )
  return folder / 'package'


def _objects(network, core, folder, *further) -> list[pathlib.Path]:
  """Writes and compiles a package, and a main program; returns the objects."""
  package = _written(network, core, folder)
  (package / 'main.c').write_text(_main(network))
  paths = [*package_builds.sources(package), 'main.c', *further]
  return package_builds.compiled(package, paths, core)


def test_c_package_runs_on_the_host(network, tmp_path):
  objects = _objects(network, 'host', tmp_path, 'example.c')
  package_builds.call('cc', *objects, '-o', tmp_path / 'program')
  package_builds.call(tmp_path / 'program')


@pytest.mark.parametrize('core', ['cortex_m4', 'cortex_m55'])
def test_c_package_runs_on_a_core(core, network, tmp_path):
  objects = _objects(network, core, tmp_path, 'example.c')
  package_builds.run_firmware(objects, tmp_path, core)


@pytest.mark.parametrize('core', ['cortex_m4', 'cortex_m55'])
def test_linker_keeps_the_kernels_that_the_model_calls(core, tmp_path):
  objects = _objects(_dense_network(), core, tmp_path)
  package_builds.run_firmware(objects, tmp_path, core)
  elf = (tmp_path / 'firmware.elf').read_bytes()
  kernels = [n for n in elf_sections.function_sizes(elf) if 'tfmpq_' in n]
  assert any('fully_connected_a8_w4_o8' in name for name in kernels)
  assert not [n for n in kernels if re.search('_w[28]|_a[24]', n)]


@pytest.mark.parametrize('core', ['host', 'cortex_m4', 'cortex_m55'])
def test_every_source_of_a_package_is_needed(core, tmp_path):
  objects = _objects(_NETWORKS['every_op'](), core, tmp_path)
  link = [*package_builds.compiler(core), '-Wl,--gc-sections']
  if core != 'host':
    link.append('--specs=nosys.specs')
  for left_out in objects:
    kept = [path for path in objects if path != left_out]
    result = subprocess.run(
        [*link, *kept, '-o', tmp_path / 'program'],
        check=False,
        capture_output=True,
    )
    names = package_builds.sources(tmp_path / 'package')
    assert result.returncode, f'{left_out.stem} of {names} is not needed'


def test_a_package_of_one_op_holds_the_kernels_of_that_op(tmp_path):
  package = _written(_dense_network(), 'host', tmp_path)
  sources = {
      pathlib.Path(path).stem for path in package_builds.sources(package)
  }
  assert sources == {'model', 'fully_connected', 'weight_layouts'}


def test_readme_and_cmake_name_sizes_and_files(tmp_path):
  network = _NETWORKS['every_op']()
  package = _written(network, 'cortex_m4', tmp_path)
  target = kernel_targets.Target.DSP
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  flash_bytes = c_writer.flash_bytes(
      network.spec, network.policy, network.per_channel_zero_points, target
  )
  readme = (package / 'README.md').read_text()
  assert f'| {plan.size_bytes:,} |' in readme
  assert f'| {flash_bytes:,} |' in readme
  assert (package / 'LICENSE').read_text() == (
      package_builds.ROOT / 'LICENSE'
  ).read_text()
  for path in package_builds.sources(package):
    assert (package / path).is_file()
  compiled = {*package_builds.sources(package)}
  for path in package.rglob('*.c'):
    name = str(path.relative_to(package))
    assert (name in compiled) != (name == 'example.c')


@pytest.mark.skipif(not shutil.which('cmake'), reason='there is no cmake')
def test_cmake_builds_the_package(tmp_path):
  _written(_dense_network(), 'host', tmp_path)
  (tmp_path / 'CMakeLists.txt').write_text(
      'cmake_minimum_required(VERSION 3.13)\n'
      'project(firmware C)\n'
      'add_subdirectory(package)\n'
      'add_executable(firmware main.c package/example.c)\n'
      'target_link_libraries(firmware PRIVATE tfmpq_model)\n'
  )
  (tmp_path / 'main.c').write_text(_main(_dense_network()))
  package_builds.call('cmake', '-S', tmp_path, '-B', tmp_path / 'build')
  package_builds.call('cmake', '--build', tmp_path / 'build')
  package_builds.call(tmp_path / 'build' / 'firmware')


def test_a_package_replaces_an_older_one_and_nothing_else(tmp_path):
  package = _written(_NETWORKS['every_op'](), 'cortex_m4', tmp_path)
  (package / 'notes.txt').write_text('mine')
  before = {str(p.relative_to(package)) for p in package.rglob('*.c')}
  _written(_dense_network(), 'host', tmp_path)
  after = {str(p.relative_to(package)) for p in package.rglob('*.c')}
  assert after < before | {'tflm_ext/kernels/fully_connected.c'} | {
      'tflm_ext/kernels/weight_layouts.c'
  }
  assert sorted(after) == sorted(
      {*package_builds.sources(package), 'example.c'}
  )
  assert (package / 'notes.txt').read_text() == 'mine'
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'thesis.tex').write_text('mine')
  with pytest.raises(ValueError, match='neither empty nor a package'):
    firmware_package.write({'README.md': 'x'}, tmp_path / 'other')


def test_every_kernel_source_belongs_to_a_header():
  """A new source file is found by its name, or must be listed."""
  kernels = package_builds.ROOT / 'tflm_ext' / 'kernels'
  headers = [
      f'#include "tflm_ext/kernels/{path.name}"'
      for path in kernels.glob('*.h')
      if 'test' not in path.name
  ]
  found = source_closure.needed('\n'.join(headers))
  sources = {path.name for path in kernels.glob('*.c')}
  reached = {pathlib.Path(path).name for path in found}
  assert {n for n in sources - reached if 'test' not in n} == set()
