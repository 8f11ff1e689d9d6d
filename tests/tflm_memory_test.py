"""The arena that TFLite Micro really needs is the predicted one, to the byte.

Each core tries arenas until it has the smallest with which AllocateTensors
succeeds (tflm_ext/runners/tflm_smallest_arena.cc). In such an arena a network
gives the right logits, although outputs take the place of inputs.
"""

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import tflm_arena_cases
from tests import tflm_arena_checks
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import specs
from tfmpq import tflite_writer
from tfmpq import tflm_custom_memory

_SEED = 20260103
_CORES = tflm_arena_checks.CORES


def _rng(core):
  print(f'seed {_SEED}')
  return np.random.default_rng([_SEED, _CORES.index(core)])


@pytest.mark.parametrize('core', _CORES)
def test_small_random_networks_need_what_is_predicted(core, tmp_path):
  cases = tflm_arena_cases.random_cases(core, 10, _rng(core))
  tflm_arena_checks.check(core, cases, tmp_path)


@pytest.mark.parametrize('core', _CORES)
def test_mobilenets_need_what_is_predicted(core, tmp_path):
  rng = _rng(core)
  cases = [
      make(network, core, rng)
      for network in tflm_arena_cases.spec_networks()
      for make in (tflm_arena_cases.custom_case, tflm_arena_cases.builtin_case)
  ]
  tflm_arena_checks.check(core, cases, tmp_path)


@pytest.mark.parametrize('core', tflm_arena_checks.DEVICES)
def test_person_detection_stays_inside_its_limits(core, tmp_path):
  # With TFLM's own int8 ops and CMSIS-NN it needs 82,308 bytes.
  spec = mobilenet_specs.mobilenet_v1(0.25, 96, 1, 2)
  limits = {8: 60000, 4: 32000}
  cases = [
      tflm_arena_cases.policy_case(
          spec, specs.QuantizationPolicy.uniform(spec, bits, bits), core
      )
      for bits in limits
  ]
  tflm_arena_checks.check(core, cases, tmp_path)
  for case, limit in zip(cases, limits.values(), strict=True):
    assert case.need.arena_bytes <= limit


def _in_place_network():
  """Returns a spec whose depthwise layers and add may run in place."""
  builder = mobilenet_specs.SpecBuilder((16, 16, 3))
  builder.conv('stem', 8, kernel=3, stride=2)
  builder.depthwise('depthwise_1')
  builder.conv('pointwise_1', 8, signed=True)
  builder.depthwise('depthwise_2')
  builder.conv('pointwise_2', 8, signed=True)
  builder.add('add', 'pointwise_1_out')
  builder.global_average_pool('pool')
  builder.dense('logits', 10)
  return builder.build('in_place')


def _shared_places(spec, plan):
  """Returns the layers whose output starts where one of its inputs does."""
  return [
      layer.name
      for layer in spec.layers
      if plan.offsets[layer.output] in map(plan.offsets.get, layer.inputs)
  ]


@pytest.mark.parametrize('core', _CORES)
def test_the_smallest_arena_gives_right_logits_in_place(core, tmp_path):
  rng = _rng(core)
  spec = _in_place_network()
  target = kernel_targets.of_core(core)
  policy = mixed_network.random_policy(spec, rng).with_bits(
      {t.name: 4 for t in spec.activations if t.fixed_bits is None}
  )
  plan = memory_planner.arena_plan(spec, policy, target)
  in_place = ['add']
  if target is not kernel_targets.Target.PORTABLE:
    in_place = ['depthwise_1', 'add']
  assert _shared_places(spec, plan) == in_place
  network = mixed_network.random_network(spec, policy, True, rng)
  codes = mixed_network.random_codes((16, 16, 3), 5, rng)
  expected = reference_ops.run(network, codes)
  need = tflm_custom_memory.arena_need(
      spec, policy, target, tflm_arena_cases.pointer_bytes(core)
  )
  (tmp_path / 'model.tflite').write_bytes(
      tflite_writer.write(network, plan, target)
  )
  (tmp_path / 'images.bin').write_bytes(codes.tobytes())
  (tmp_path / 'expected.bin').write_bytes(expected.tobytes())
  report = tflm_arena_checks.run(
      'tflm_any',
      core,
      ['model.tflite', str(need.arena_bytes), 'images.bin', 'expected.bin'],
      tmp_path,
  )
  assert report['arena_used_bytes'] == need.used_bytes
  assert report['equal_images'] == report['images'] == len(codes)
  assert report.status == 0
