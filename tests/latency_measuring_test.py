"""Counts repeat, are kept, and their sum is the count of the whole network."""

import functools
import pathlib

import numpy as np
import pytest

from tests import mixed_network
from tflm_ext.benchmarks import counts
from tflm_ext.benchmarks import networks
from tfmpq import firmware
from tfmpq import kernel_targets
from tfmpq import latency_measuring
from tfmpq import latency_model
from tfmpq import latency_table
from tfmpq import specs

_ROOT = pathlib.Path('.')
_FOLDER = pathlib.Path('tflm_ext/benchmarks')
_SEED = 20261124
# Instructions that sum and whole network may differ by.
_TOLERANCE = 20


def _program(core):
  return _FOLDER / f'layer_counter_{core}.elf'


def _spec(name):
  text = (_FOLDER / f'{name}.json').read_text(encoding='utf-8')
  return specs.NetworkSpec.from_json(text)


@functools.cache
def _whole(core):
  """Returns network and policy -> instructions."""
  rows = counts.count_networks(core, _ROOT)
  return {row.layer: row.instructions for row in rows}


def _network(spec, policy_name):
  """Returns what networks.export makes of a policy."""
  rng = np.random.default_rng(_SEED)
  activation_bits, weight_bits = networks.widths(policy_name)
  policy = (
      mixed_network.random_policy(spec, rng)
      if weight_bits is None
      else specs.QuantizationPolicy.uniform(spec, weight_bits, activation_bits)
  )
  return mixed_network.random_network(spec, policy, True, rng)


def _measure(folder, core, spec, on_batch=lambda _: None, run=firmware.run):
  calls = latency_model.calls(spec, latency_model.allowed_widths(spec), True)
  return latency_measuring.measure(
      folder, core, calls, _program(core), _ROOT, on_batch, run
  )


@pytest.mark.parametrize('name', (networks.DEFAULT, networks.PERSON))
@pytest.mark.parametrize('core', counts.NETWORK_CORES)
def test_sum_is_the_count_of_the_whole_network(tmp_path, core, name):
  spec = _spec(name)
  table = _measure(tmp_path, core, spec)
  model = latency_model.LatencyModel(spec, table, True)
  whole = _whole(core)
  for policy_name in ('a8_w8', 'a4_w4', 'a2_w2', 'mixed'):
    network = _network(spec, policy_name)
    shifted = [
        layer.name
        for layer in spec.layers
        if layer.weight and network.constants[layer.name].rescale.pre_shift
    ]
    found = whole[f'{name}_{policy_name}']
    known = model.instructions_with(network.policy, shifted)
    worst = model.instructions(network.policy)
    print(core, name, policy_name, found, found - known, worst / found)
    assert abs(found - known) <= _TOLERANCE
    assert found <= worst
    assert worst <= 1.03 * found


@pytest.mark.parametrize('core', firmware.CORES)
def test_every_op_is_counted_and_counts_repeat(core):
  spec = mixed_network.network_spec()
  calls = latency_model.calls(spec, latency_model.allowed_widths(spec), True)
  ops = {call.geometry.op for call in calls}
  assert ops == set(specs.Op)
  first = latency_measuring.count(core, calls, _program(core), _ROOT)
  assert min(first) > 0
  again = latency_measuring.count(core, calls[::-1], _program(core), _ROOT)
  assert again == first[::-1]


def test_a_stopped_measurement_goes_on_and_a_full_table_runs_nothing(tmp_path):
  core, spec = 'cortex_m4', _spec(networks.DEFAULT)
  runs = []

  def run_twice(*arguments):
    if len(runs) == 1:
      raise KeyboardInterrupt
    runs.append(arguments)
    return firmware.run(*arguments)

  with pytest.raises(KeyboardInterrupt):
    _measure(tmp_path, core, spec, run=run_twice)
  there = latency_table.load(tmp_path, core).counts
  assert len(there) == 200  # A batch.
  progress = []
  table = _measure(tmp_path, core, spec, progress.append)
  assert progress[0] == 200 and progress[-1] == len(table.counts)
  assert there.items() <= table.counts.items()

  def run_never(*arguments):
    raise AssertionError(f'nothing is missing: {arguments}')

  assert _measure(tmp_path, core, spec, run=run_never) == table


def test_another_program_starts_anew(tmp_path):
  core = 'cortex_m4'
  calls = [
      latency_table.LayerCall(
          kernel_targets.Geometry(specs.Op.MAX_POOL_2D, (2, 2, 4), (1, 1, 4)),
          *(8, 8, 8),
      )
  ]
  table = latency_table.InstructionTable(core, 'old', {calls[0]: 1})
  latency_table.path(tmp_path, core).write_text(table.to_text())
  new = latency_measuring.measure(
      tmp_path, core, calls, _program(core), _ROOT, lambda _: None
  )
  assert new.firmware != 'old'
  assert new.counts[calls[0]] > 1
  assert latency_table.load(tmp_path, core) == new


def test_batches_hold_seconds_of_emulation():
  def call(size, channels):
    shape = (size, size, channels)
    return latency_table.LayerCall(
        kernel_targets.Geometry(specs.Op.CONV_2D, shape, shape), 8, 8, 8
    )

  small, large = call(4, 8), call(56, 256)
  calls = [small] * 450 + [large] * 3
  found = list(latency_measuring.batches(calls))
  assert [len(batch) for batch in found] == [200, 200, 50, 1, 1, 1]
  assert [c for batch in found for c in batch] == calls


def test_a_layer_too_large_for_the_board_is_an_error():
  shape = (300, 300, 64)
  call = latency_table.LayerCall(
      kernel_targets.Geometry(specs.Op.CONV_2D, shape, shape), 8, 8, 8
  )
  with pytest.raises(firmware.FirmwareError, match='needs more than'):
    latency_measuring.count('cortex_m4', [call], _program('cortex_m4'), _ROOT)
