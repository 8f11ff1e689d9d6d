"""Packages for TFLite Micro: what they hold, and that they compute right."""

import os
import pathlib
import subprocess

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import package_builds
from tests import tflm_sdk
from tfmpq import exporting
from tfmpq import firmware_package
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflite_writer
from tfmpq import tflm_deployment


def _tflm_networks():
  rng = np.random.default_rng(3)
  spec = mobilenet_specs.mobilenet_v1(0.25, 32, 1, 2)
  bits = {t.name: 4 + 4 * (i % 2) for i, t in enumerate(spec.weights)}
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8).with_bits(bits)
  network = mixed_network.random_network(spec, policy, False, rng)
  builtin = tflite_builtin.write(network)
  expected = tflite_builtin_reference.run(
      tflite_file.parse(builtin), package_builds.codes(network)
  )
  yield 'builtin', builtin, network, expected
  network = mixed_network.mixed_network(4)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  expected = reference_ops.run(network, package_builds.codes(network))
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
    compiled = {*package_builds.sources(package)}
    assert compiled == {p for p in files if p.endswith(('.c', '.cc'))} - {
        'example.cc'
    }
    has_kernels = any('kernels' in path for path in compiled)
    assert has_kernels == (ops == 'custom')
    has_dsp = any('_dsp' in path for path in compiled)
    assert has_dsp == (ops == 'custom' and core == 'cortex_m4')


def _objects(core, package, sdk) -> list[pathlib.Path]:
  """Compiles a package, its example and main.cc; returns the objects."""
  include = sdk / 'include'
  options = (
      *('-DTF_LITE_STATIC_MEMORY', '-fno-exceptions', '-fno-rtti'),
      *('-fno-threadsafe-statics', f'-isystem{include}'),
      *(f'-isystem{include}/gemmlowp', '-O0' if core == 'host' else '-O1'),
  )
  paths = [*package_builds.sources(package), 'main.cc', 'example.cc']
  return package_builds.compiled(package, paths, core, options)


# The example with the arena of the package, which is the smallest.
_M4_MAIN = """#include <cstdint>

#include "model_data.h"

int classify(const int8_t* image);

static const int8_t images[{count}][{num_bytes}] = {{
{images}
}};
static const int expected[] = {{{classes}}};

int main() {{
  for (int i = 0; i < {count}; ++i) {{
    if (classify(images[i]) != expected[i]) return i + 1;
  }}
  return 0;
}}
"""


@pytest.mark.parametrize('ops', ['builtin', 'custom'])
def test_tflm_example_runs_on_a_cortex_m4_in_the_smallest_arena(ops, tmp_path):
  sdk = tflm_sdk.root()
  if sdk is None or not (sdk / 'lib' / 'cortex_m4').is_dir():
    pytest.skip('TFLM: skipped, no SDK for Cortex-M4 (TFLM_ROOT)')
  _, _, network, expected = next(
      item for item in _tflm_networks() if item[0] == ops
  )
  codes = package_builds.codes(network)
  if ops == 'builtin':
    export = exporting.export_builtin(network, tmp_path, codes)
  else:
    target = kernel_targets.Target.DSP
    export = exporting.export_tflite(network, tmp_path, codes, target)
  need = tflm_deployment.arena_need(network, export, 'cortex_m4')
  package = tmp_path / 'package'
  firmware_package.write(
      firmware_package.tflm_package(
          export.paths[0].read_bytes(), 'cortex_m4', need.arena_bytes
      ),
      package,
  )
  flat = codes.reshape(len(codes), -1)
  classes = expected.reshape(len(codes), -1).argmax(axis=1)
  (package / 'main.cc').write_text(
      _M4_MAIN.format(
          count=len(codes),
          num_bytes=flat.shape[1],
          images=',\n'.join('{' + ', '.join(map(str, r)) + '}' for r in flat),
          classes=', '.join(map(str, classes)),
      )
  )
  objects = _objects('cortex_m4', package, sdk)
  objects.append(sdk / 'lib' / 'cortex_m4' / 'libtensorflow-microlite.a')
  package_builds.run_firmware(objects, tmp_path, 'cortex_m4', 'c++')


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
  objects = _objects('host', tmp_path, sdk)
  library = sdk / 'lib' / 'host' / 'libtensorflow-microlite.a'
  package_builds.call(
      'c++', *objects, library, '-lm', '-o', 'program', cwd=tmp_path
  )
  result = subprocess.run(
      [tmp_path / 'program'],
      check=True,
      capture_output=True,
      env=os.environ,
      input=package_builds.codes(network).tobytes(),
  )
  assert result.stdout == expected.tobytes()
