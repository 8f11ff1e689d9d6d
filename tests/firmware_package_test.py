"""Packages build on their own, hold no more than they need, and compute right.

They are copied nowhere: everything is compiled inside their folder, with no
other folder on the include path.
"""

import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import tflm_sdk
from tfmpq import c_writer
from tfmpq import firmware_package
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import source_closure
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflite_writer

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_RUNNERS = _ROOT / 'tflm_ext' / 'runners'
_WARNINGS = ('-Wall', '-Wextra', '-Werror')
_C = ('-std=c99', '-O2', '-ffunction-sections', '-Imodel', '-I.')
_ARM = (
    'arm-none-eabi-gcc',
    '-mcpu=cortex-m4',
    '-mfpu=fpv4-sp-d16',
    '-mfloat-abi=hard',
)
_NUM_IMAGES = 3
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


def _call(*command, cwd=None) -> subprocess.CompletedProcess:
  result = subprocess.run(
      [str(word) for word in command],
      check=False,
      cwd=cwd,
      stderr=subprocess.STDOUT,
      stdout=subprocess.PIPE,
      text=True,
  )
  assert result.returncode == 0, result.stdout
  return result


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


def _codes(network) -> np.ndarray:
  shape = network.spec.tensor(network.spec.input).shape
  rng = np.random.default_rng(9)
  return mixed_network.random_codes(shape, _NUM_IMAGES, rng)


def _main(network) -> str:
  codes = _codes(network)
  logits = reference_ops.run(network, codes)

  def rows(values):
    flat = values.reshape(len(values), -1)
    return ',\n'.join('{' + ', '.join(map(str, row)) + '}' for row in flat)

  return _MAIN.format(
      count=len(codes), images=rows(codes), expected=rows(logits)
  )


def _sources(folder: pathlib.Path) -> list[str]:
  """Returns what the package's CMakeLists.txt compiles."""
  text = (folder / 'CMakeLists.txt').read_text()
  block = re.search(r'add_library\(tfmpq_model STATIC\n(.*?)\)', text, re.S)
  return block[1].split()


@pytest.fixture(params=_NETWORKS, name='network')
def _network(request):
  return _NETWORKS[request.param]()


def _written(network, core, folder) -> pathlib.Path:
  firmware_package.write(
      firmware_package.c_package(network, core), folder / 'package'
  )
  return folder / 'package'


def test_c_package_runs_on_the_host(network, tmp_path):
  package = _written(network, 'host', tmp_path)
  (package / 'main.c').write_text(_main(network))
  sources = [*_sources(package), 'main.c', 'example.c']
  _call('cc', *_C, *_WARNINGS, *sources, '-o', 'program', cwd=package)
  _call(package / 'program')


def test_c_package_runs_on_a_cortex_m4(network, tmp_path):
  package = _written(network, 'cortex_m4', tmp_path)
  (package / 'main.c').write_text(_main(network))
  sources = [*_sources(package), 'main.c', 'example.c']
  objects = [f'{i}.o' for i in range(len(sources))]
  for source, output in zip(sources, objects, strict=True):
    _call(*_ARM, *_C, *_WARNINGS, '-c', source, '-o', output, cwd=package)
  # The board belongs to the firmware, not to the package.
  board = [_RUNNERS / n for n in ('startup.c', 'syscalls.c', 'semihost.c')]
  _call(
      *_ARM,
      '-std=gnu99',
      f'-I{_ROOT}',
      *[package / name for name in objects],
      *board,
      '-nostartfiles',
      '--specs=nano.specs',
      '-Wl,--gc-sections',
      '-Wl,--no-warn-rwx-segments',
      f'-L{_ROOT}',
      '-Ttflm_ext/runners/mps2_an386.ld',
      '-o',
      package / 'firmware.elf',
      cwd=_ROOT,
  )
  runner = _ROOT / 'tools' / 'arm' / 'run_firmware.sh'
  _call(runner, 'cortex_m4', package / 'firmware.elf', cwd=tmp_path)


@pytest.mark.parametrize('core', ['host', 'cortex_m4'])
def test_every_source_of_a_package_is_needed(core, tmp_path):
  package = _written(_NETWORKS['every_op'](), core, tmp_path)
  (package / 'main.c').write_text(_main(_NETWORKS['every_op']()))
  compiler = ('cc',) if core == 'host' else (*_ARM, '--specs=nosys.specs')
  sources = [*_sources(package), 'main.c']
  for i, source in enumerate(sources):
    _call(*compiler, *_C, '-c', source, '-o', f'{i}.o', cwd=package)
  for left_out in range(len(sources)):
    objects = [f'{i}.o' for i in range(len(sources)) if i != left_out]
    result = subprocess.run(
        [*compiler, '-Wl,--gc-sections', *objects, '-o', 'program'],
        check=False,
        capture_output=True,
        cwd=package,
    )
    assert result.returncode, f'{sources[left_out]} is not needed'


def test_a_package_of_one_op_holds_the_kernels_of_that_op(tmp_path):
  package = _written(_dense_network(), 'host', tmp_path)
  sources = {pathlib.Path(path).stem for path in _sources(package)}
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
  assert (package / 'LICENSE').read_text() == (_ROOT / 'LICENSE').read_text()
  for path in _sources(package):
    assert (package / path).is_file()
  compiled = {*_sources(package)}
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
  _call('cmake', '-S', tmp_path, '-B', tmp_path / 'build')
  _call('cmake', '--build', tmp_path / 'build')
  _call(tmp_path / 'build' / 'firmware')


def test_a_package_replaces_an_older_one_and_nothing_else(tmp_path):
  package = _written(_NETWORKS['every_op'](), 'cortex_m4', tmp_path)
  (package / 'notes.txt').write_text('mine')
  before = {str(p.relative_to(package)) for p in package.rglob('*.c')}
  _written(_dense_network(), 'host', tmp_path)
  after = {str(p.relative_to(package)) for p in package.rglob('*.c')}
  assert after < before | {'tflm_ext/kernels/fully_connected.c'} | {
      'tflm_ext/kernels/weight_layouts.c'
  }
  assert sorted(after) == sorted({*_sources(package), 'example.c'})
  assert (package / 'notes.txt').read_text() == 'mine'
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'thesis.tex').write_text('mine')
  with pytest.raises(ValueError, match='neither empty nor a package'):
    firmware_package.write({'README.md': 'x'}, tmp_path / 'other')


def test_every_kernel_source_belongs_to_a_header():
  """A new source file is found by its name, or must be listed."""
  kernels = _ROOT / 'tflm_ext' / 'kernels'
  headers = [
      f'#include "tflm_ext/kernels/{path.name}"'
      for path in kernels.glob('*.h')
      if 'test' not in path.name
  ]
  found = source_closure.needed('\n'.join(headers))
  sources = {path.name for path in kernels.glob('*.c')}
  reached = {pathlib.Path(path).name for path in found}
  assert {n for n in sources - reached if 'test' not in n} == set()


def _tflm_networks():
  rng = np.random.default_rng(3)
  spec = mobilenet_specs.mobilenet_v1(0.25, 32, 1, 2)
  bits = {t.name: 4 + 4 * (i % 2) for i, t in enumerate(spec.weights)}
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8).with_bits(bits)
  network = mixed_network.random_network(spec, policy, False, rng)
  builtin = tflite_builtin.write(network)
  expected = tflite_builtin_reference.run(
      tflite_file.parse(builtin), _codes(network)
  )
  yield 'builtin', builtin, network, expected
  network = _NETWORKS['every_op']()
  plan = memory_planner.arena_plan(network.spec, network.policy)
  expected = reference_ops.run(network, _codes(network))
  yield 'custom', tflite_writer.write(network, plan), network, expected


@pytest.mark.parametrize('ops', ['builtin', 'custom'])
def test_tflm_package_names_what_it_compiles(ops, tmp_path):
  data = {name: data for name, data, _, _ in _tflm_networks()}[ops]
  for core in ('host', 'cortex_m4'):
    files = firmware_package.tflm_package(data, core, 20000)
    package = tmp_path / core
    firmware_package.write(files, package)
    assert (package / 'model' / 'model.tflite').read_bytes() == data
    assert '#define MODEL_ARENA_BYTES 20000' in files['model/model_data.h']
    compiled = {*_sources(package)}
    assert compiled == {p for p in files if p.endswith(('.c', '.cc'))} - {
        'example.cc'
    }
    has_kernels = any('kernels' in path for path in compiled)
    assert has_kernels == (ops == 'custom')
    has_dsp = any('_dsp' in path for path in compiled)
    assert has_dsp == (ops == 'custom' and core == 'cortex_m4')


_TFLM_MAIN = """#include <cstdio>
#include <cstdint>

#include "model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

int classify(const int8_t* image);

alignas(16) static uint8_t arena[4000000];

int main() {
  tfmpq::ModelOpResolver resolver;
  if (tfmpq::RegisterModelOps(resolver) != kTfLiteOk) return 1;
  tfmpq::tflm::MicroInterpreter interpreter(
      tfmpq::tflm::GetModel(model_data), resolver, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return 2;
  const TfLiteTensor* const input = interpreter.input(0);
  const TfLiteTensor* const output = interpreter.output(0);
  while (std::fread(input->data.raw, 1, input->bytes, stdin) == input->bytes) {
    if (interpreter.Invoke() != kTfLiteOk) return 3;
    std::fwrite(output->data.raw, 1, output->bytes, stdout);
  }
  return model_data_bytes == sizeof(model_data) ? 0 : 4;
}
"""


@pytest.mark.parametrize('ops', ['builtin', 'custom'])
def test_tflm_package_runs_on_the_host(ops, tmp_path):
  sdk = tflm_sdk.root()
  if sdk is None:
    pytest.skip('TFLM: skipped, no SDK (TFLM_ROOT)')
  _, data, network, expected = next(
      item for item in _tflm_networks() if item[0] == ops
  )
  firmware_package.write(
      firmware_package.tflm_package(data, 'host', 4000000), tmp_path
  )
  (tmp_path / 'main.cc').write_text(_TFLM_MAIN)
  include = sdk / 'include'
  options = (
      *('-std=c++17', '-O0', '-DTF_LITE_STATIC_MEMORY', '-fno-exceptions'),
      *('-fno-rtti', f'-isystem{include}', f'-isystem{include}/gemmlowp'),
  )
  objects = []
  for path in (*_sources(tmp_path), 'main.cc', 'example.cc'):
    objects.append(f'{path}.o')
    compiler = ('c++', *options) if path.endswith('.cc') else ('cc', *_C)
    command = (*compiler, '-Imodel', '-I.', *_WARNINGS, '-c', path)
    _call(*command, '-o', objects[-1], cwd=tmp_path)
  library = sdk / 'lib' / 'host' / 'libtensorflow-microlite.a'
  _call('c++', *objects, library, '-lm', '-o', 'program', cwd=tmp_path)
  result = subprocess.run(
      [tmp_path / 'program'],
      check=True,
      capture_output=True,
      env=os.environ,
      input=_codes(network).tobytes(),
  )
  assert result.stdout == expected.tobytes()
