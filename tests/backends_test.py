"""Tests of the memory models joined with the writers."""

import numpy as np
import pytest

from tests import mobilenet_specs
from tfmpq import backends
from tfmpq import budgets
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_file
from tfmpq import tflite_writer
from tfmpq import tflm_arena
from tfmpq import tflm_builtin_memory
from tfmpq import tflm_builtin_ram
from tfmpq import tflm_custom_memory
from tfmpq import tflm_structures

_PORTABLE = kernel_targets.Target.PORTABLE


def _network():
  return mobilenet_specs.mobilenet_v2(0.35, 32)


@pytest.mark.parametrize('per_channel', [True, False])
@pytest.mark.parametrize(
    'backend, writer', [('c', c_writer), ('tflm', tflite_writer)]
)
def test_flash_is_what_the_writer_of_the_backend_says(
    backend, writer, per_channel
):
  network = _network()
  model = backends.build_memory_model(
      network, 'arena', backend, per_channel, [_PORTABLE]
  )
  for bits in specs.BIT_WIDTHS:
    policy = specs.QuantizationPolicy.uniform(network, bits, 8)
    assert model.footprint(policy).flash_bytes == writer.flash_bytes(
        network, policy, per_channel
    )
  assert model.name == f'arena {backend} portable'


@pytest.mark.parametrize('target', kernel_targets.Target)
def test_ram_of_backend_c_is_the_exported_plan(target):
  network = _network()
  model = backends.build_memory_model(network, 'arena', 'c', True, [target])
  for bits in specs.BIT_WIDTHS:
    policy = specs.QuantizationPolicy.uniform(network, 8, bits)
    plan = memory_planner.arena_plan(network, policy, target)
    assert model.footprint(policy).ram_bytes == plan.size_bytes


@pytest.mark.parametrize('target', kernel_targets.Target)
def test_ram_of_backend_tflm_is_what_the_interpreter_needs(target):
  network = _network()
  model = backends.build_memory_model(network, 'arena', 'tflm', True, [target])
  for bits in specs.BIT_WIDTHS:
    policy = specs.QuantizationPolicy.uniform(network, 8, bits)
    need = tflm_custom_memory.arena_need(network, policy, target)
    footprint = model.footprint(policy)
    assert footprint.ram_bytes == need.arena_bytes
    assert footprint.flash_bytes == tflite_writer.flash_bytes(
        network, policy, True, target
    )


@pytest.mark.parametrize('target', kernel_targets.Target)
def test_builtin_ops_count_with_the_kernels_of_the_machine(target):
  network = _network()
  model = backends.build_memory_model(
      network, 'arena', 'tflm', False, [target], 'builtin'
  )
  (kernels,) = tflm_builtin_ram.of_targets([target])
  assert model.name == f'arena tflm builtin {kernels.value}'
  rng = np.random.default_rng(5)
  for _ in range(3):
    policy = specs.QuantizationPolicy.of(
        {
            tensor.name: int(rng.choice((4, 8)))
            if tensor.kind is specs.TensorKind.WEIGHT
            else 8
            for tensor in network.policy_tensors
        }
    )
    zeros = tflite_writer.zero_network(network, policy, False, multiplier=1)
    tflite = tflite_builtin.write(zeros)
    graph = tflm_builtin_memory.graph(tflite_file.parse(tflite), kernels, 4)
    need = tflm_arena.arena_need(graph, tflm_structures.structures(4))
    footprint = model.footprint(policy)
    assert footprint.ram_bytes == need.arena_bytes
    assert footprint.flash_bytes == len(tflite)
    moments = model.moments(policy)
    assert [m.layer for m in moments] == [
        network.input,
        *(layer.name for layer in network.layers),
    ]
    assert max(m.ram_bytes for m in moments) <= need.arena_bytes
    for moment in moments:
      alive = sum(size for _, size in moment.alive)
      assert moment.ram_bytes == alive + moment.other_bytes


def test_a_search_over_builtin_ops_stays_with_their_widths():
  network = _network()
  model = backends.build_memory_model(
      network, 'arena', 'tflm', False, [_PORTABLE], 'builtin'
  )
  policy, footprint = model.minimum()
  assert policy == specs.QuantizationPolicy.uniform(network, 4, 8)
  assert model.require_feasible(
      budgets.MemoryBudget(
          ram_bytes=footprint.ram_bytes, flash_bytes=footprint.flash_bytes
      )
  )


def test_several_targets_count_as_the_most_demanding():
  network = _network()
  targets = list(kernel_targets.Target)
  model = backends.build_memory_model(network, 'arena', 'c', True, targets)
  assert model.name == 'arena c portable dsp mve'
  singles = [
      backends.build_memory_model(network, 'arena', 'c', True, [target])
      for target in targets
  ]
  for bits in specs.BIT_WIDTHS:
    policy = specs.QuantizationPolicy.uniform(network, bits, bits)
    footprints = [single.footprint(policy) for single in singles]
    found = model.footprint(policy)
    assert found.ram_bytes == max(f.ram_bytes for f in footprints)
    assert found.flash_bytes == max(f.flash_bytes for f in footprints)
    assert model.peak(policy).ram_bytes == max(
        single.peak(policy).ram_bytes for single in singles
    )


def test_no_target_is_an_error():
  with pytest.raises(ValueError, match='at least one target'):
    backends.build_memory_model(_network(), 'arena', 'c', True, [])


@pytest.mark.parametrize(
    'per_channel, scheme', [(True, 'mixpc'), (False, 'mixpl')]
)
def test_paper_model_stores_zero_points_as_the_network_does(
    per_channel, scheme
):
  model = backends.build_memory_model(_network(), 'paper', 'c', per_channel, [])
  assert model.name == f'paper {scheme}'


@pytest.mark.parametrize(
    'name, backend, wrong',
    [('areena', 'c', "mean 'arena'"), ('arena', 'tflite', "mean 'tflm'|are")],
)
def test_an_unknown_name_is_refused(name, backend, wrong):
  with pytest.raises(ValueError, match=wrong):
    backends.build_memory_model(_network(), name, backend, True, [_PORTABLE])
