"""Exported C: its sizes are predicted, its logits are the reference's."""

import dataclasses
import pathlib
import re
import subprocess
import time

import numpy as np
import pytest

from tests import mixed_network
from tests import random_specs
from tfmpq import c_writer
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import specs

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_OPS = (
    'add average_pool conv2d depthwise_conv2d fully_connected max_pool'.split()
)
_TYPE_BYTES = {
    'uint8_t': 1,
    'int8_t': 1,
    'int32_t': 4,
    'tfmpq_channel': 8,
    'tfmpq_conv_params': 24,
    'tfmpq_add_params': 20,
    'tfmpq_pool_params': 22,
}


def _write(network, **kwargs):
  plan = memory_planner.arena_plan(network.spec, network.policy)
  return c_writer.write(network, plan.offsets, plan.size_bytes, **kwargs)


def _network(seed, per_channel_zero_points=True):
  """Returns a random network of random shape and widths."""
  rng = np.random.default_rng(seed)
  spec = random_specs.random_spec(rng)
  policy = mixed_network.random_policy(spec, rng)
  return mixed_network.random_network(
      spec, policy, per_channel_zero_points, rng
  )


def _written_bytes(source):
  """Returns the padded bytes of every constant that a source defines."""
  total = 0
  for c_type, length, body in re.findall(
      r'^TFMPQ_CONST static const (\w+) \w+(?:\[(\d+)\])? = \{(.*?)^\};',
      source,
      re.MULTILINE | re.DOTALL,
  ):
    if length:
      values = re.sub(r'\{[^}]*\}', '0', body).count(',')
      assert values == int(length)
    total += -(-int(length or 1) * _TYPE_BYTES[c_type] // 4) * 4
  return total


@pytest.mark.parametrize('per_channel_zero_points', [True, False])
@pytest.mark.parametrize('seed', range(12))
def test_predicted_flash_is_what_is_written(seed, per_channel_zero_points):
  network = _network(seed, per_channel_zero_points)
  predicted = c_writer.flash_bytes(
      network.spec, network.policy, per_channel_zero_points
  )
  assert _written_bytes(_write(network).source) == predicted


def test_flash_of_a_small_network_by_hand():
  network = mixed_network.mixed_network(0, per_channel_zero_points=True)
  policy = specs.QuantizationPolicy.uniform(network.spec, 4, 4)
  sizes = {
      (item.layer, item.kind): item.num_bytes
      for item in c_writer.constant_objects(network.spec, policy, True)
  }
  # 5 runs of 27 codes: 14 bytes each, 70 in all.
  assert sizes['conv/1:a', 'weight'] == 72
  # 9 taps of 5 codes: 3 bytes each.
  assert sizes['depthwise_2', 'weight'] == 28
  assert sizes['dense_10', 'channels'] == 80
  assert sizes['dense_10', 'weight_zero_points'] == 12
  # 2x2 taps with padding; without padding one multiplier.
  assert sizes['average_pool_7', 'multipliers'] == 16
  assert sizes['pool_9', 'multipliers'] == 4
  assert ('max_pool_6', 'multipliers') not in sizes
  assert ('add_5', 'weight') not in sizes


def test_weights_of_8_bits_store_no_zero_points():
  network = mixed_network.mixed_network(0)
  policy = specs.QuantizationPolicy.uniform(network.spec, 8, 4)
  kinds = {
      item.kind
      for item in c_writer.constant_objects(network.spec, policy, True)
  }
  assert 'weight_zero_points' not in kinds


def test_flash_prediction_is_fast_enough_for_a_search():
  network = mixed_network.mixed_network(0)
  start = time.perf_counter()
  for _ in range(100):
    c_writer.flash_bytes(network.spec, network.policy, True)
  # Measured: 0.03 ms for 10 layers. The bound leaves room for a busy machine.
  assert (time.perf_counter() - start) / 100 < 1e-3


def test_same_network_gives_same_text():
  assert _write(mixed_network.mixed_network(3)) == _write(
      mixed_network.mixed_network(3)
  )


def test_external_names_begin_with_the_prefix():
  text = _write(mixed_network.mixed_network(1), prefix='digits')
  assert text.header_name == 'digits.h'
  assert '#include "digits.h"' in text.source
  assert 'void digits_invoke(void)' in text.header
  assert '#define DIGITS_ARENA_BYTES' in text.header
  assert 'model_' not in text.header + text.source


@pytest.mark.parametrize('prefix', ['', '1model', 'my model', 'a-b', '_x'])
def test_a_prefix_that_is_no_identifier_is_refused(prefix):
  with pytest.raises(ValueError, match='C identifier'):
    _write(mixed_network.mixed_network(1), prefix=prefix)


def test_header_describes_input_and_output():
  header = _write(mixed_network.mixed_network(1)).header
  for line in (
      '#define MODEL_INPUT_HEIGHT 11',
      '#define MODEL_INPUT_WIDTH 9',
      '#define MODEL_INPUT_CHANNELS 3',
      '#define MODEL_INPUT_BYTES 297',
      '#define MODEL_INPUT_ZERO_POINT (0)',
      '#define MODEL_OUTPUT_CHANNELS 10',
  ):
    assert line in header.splitlines()


def test_a_layer_name_cannot_end_a_comment():
  network = mixed_network.mixed_network(1)
  layers = network.spec.layers
  renamed = dataclasses.replace(layers[0], name='a*/b')
  constants = dict(network.constants)
  constants['a*/b'] = constants.pop(layers[0].name)
  spec = dataclasses.replace(
      network.spec, name='n*/m', layers=(renamed, *layers[1:])
  )
  changed = dataclasses.replace(network, spec=spec, constants=constants)
  text = _write(changed)
  for part in (text.source, text.header):
    assert part.count('/*') == part.count('*/')


def test_a_tensor_outside_the_arena_is_refused():
  network = mixed_network.mixed_network(1)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  with pytest.raises(ValueError, match="'input'.*297 bytes"):
    c_writer.write(network, plan.offsets, 288)
  offsets = dict(plan.offsets) | {'a1': plan.offsets['a1'] + 8}
  with pytest.raises(ValueError, match="'a1'.*multiple of 16"):
    c_writer.write(network, offsets, plan.size_bytes)
  del offsets['a1']
  with pytest.raises(ValueError, match="no buffer 'a1'"):
    c_writer.write(network, offsets, plan.size_bytes)


def test_a_dimension_that_does_not_fit_its_field_is_refused():
  rng = np.random.default_rng(0)
  activation = mixed_network.activation
  spec = specs.NetworkSpec(
      name='wide',
      tensors=(
          activation('input', (1, 300, 1), signed=True, fixed_bits=8),
          activation('logits', (1, 1, 1), signed=True, fixed_bits=8),
      ),
      layers=(
          specs.LayerSpec(
              'pool',
              specs.Op.AVERAGE_POOL_2D,
              ('input',),
              'logits',
              None,
              (1, 300),
          ),
      ),
      input='input',
      output='logits',
  )
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8)
  network = mixed_network.random_network(spec, policy, True, rng)
  with pytest.raises(ValueError, match="'pool': kernel_width.*received 300"):
    _write(network)


def test_ends_of_other_widths_are_refused():
  network = mixed_network.mixed_network(1)
  tensors = tuple(
      dataclasses.replace(t, fixed_bits=None) for t in network.spec.tensors
  )
  spec = dataclasses.replace(network.spec, tensors=tensors)
  policy = network.policy.with_bits({'logits': 4})
  rng = np.random.default_rng(0)
  changed = mixed_network.random_network(spec, policy, True, rng)
  with pytest.raises(ValueError, match="8 bits, 'logits' has 4"):
    _write(changed)


def _run(command):
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  assert result.returncode == 0, f'{command}\n{result.stdout}{result.stderr}'


@pytest.fixture(name='kernels', scope='module')
def _kernels(tmp_path_factory):
  """Returns the object files of the kernels and of what reads files."""
  folder = tmp_path_factory.mktemp('kernels')
  names = (*_OPS, 'weight_layouts')
  sources = [f'tflm_ext/kernels/{name}.c' for name in names]
  sources += [
      f'tflm_ext/runners/{name}.c'
      for name in ('files', 'files_host', 'model_meter_host')
  ]
  objects = []
  for source in sources:
    objects.append(folder / f'{pathlib.Path(source).stem}.o')
    command = ['gcc', '-std=c99', '-O0', f'-I{_ROOT}', '-c', _ROOT / source]
    _run([*command, '-o', objects[-1]])
  return objects


@pytest.mark.parametrize('seed', range(20))
def test_compiled_network_gives_the_logits_of_the_reference(
    seed, kernels, tmp_path
):
  network = _network(seed, per_channel_zero_points=bool(seed % 3))
  text = _write(network)
  (tmp_path / 'model.c').write_text(text.source)
  (tmp_path / 'model.h').write_text(text.header)
  shape = network.spec.tensor(network.spec.input).shape
  rng = np.random.default_rng(seed)
  codes = mixed_network.random_codes(shape, 10, rng)
  expected = reference_ops.run(network, codes)
  (tmp_path / 'images').write_bytes(codes.tobytes())
  (tmp_path / 'expected').write_bytes(expected.tobytes())
  flags = '-std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address'.split()
  flags += [f'-I{_ROOT}', f'-I{tmp_path}', tmp_path / 'model.c', *kernels]
  runners = _ROOT / 'tflm_ext/runners'
  _run(['gcc', *flags, runners / 'model_logits.c', '-o', tmp_path / 'logits'])
  _run([tmp_path / 'logits', tmp_path / 'images', tmp_path / 'output'])
  assert (tmp_path / 'output').read_bytes() == expected.tobytes()
  _run(['gcc', *flags, runners / 'model_runner.c', '-o', tmp_path / 'runner'])
  _run([tmp_path / 'runner', tmp_path / 'images', tmp_path / 'expected'])
