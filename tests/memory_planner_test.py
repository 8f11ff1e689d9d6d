"""Tests of lifetimes and of both planners."""

import random

import pytest

from tests import mobilenet_specs
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq.memory_planner import Buffer
from tfmpq.memory_planner import Plan

_SEED = 20260101


def _seeded(name):
  print(f'{name}: seed {_SEED}')  # shown by pytest if the test fails
  return random.Random(_SEED)


def _random_policy(network, rng):
  return specs.QuantizationPolicy.of(
      {
          t.name: t.fixed_bits or rng.choice(specs.BIT_WIDTHS)
          for t in network.policy_tensors
      }
  )


def _residual(first_bits=None):
  """input -> a -> b; sum = a + b; head reads sum. 4x4 pixels of 8."""
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True)
  builder.add('sum', 'a_out')
  builder.conv('head', 8, signed=True, bits=8)
  return builder.build('residual')


def _policy(network, **activation_bits):
  uniform = specs.QuantizationPolicy.uniform(network, 8, 8)
  return uniform.with_bits(activation_bits)


def test_lifetimes_reach_from_the_writer_to_the_last_reader():
  memory = memory_planner.ActivationMemory(_residual())
  assert memory.lifetimes == {
      'input': (0, 1),
      'a_out': (1, 3),
      'b_out': (2, 3),
      'sum_out': (3, 4),
      'head_out': (4, 4),
  }


def test_buffers_have_packed_bytes_and_share_bits():
  builder = mobilenet_specs.SpecBuilder((4, 4, 3))
  builder.conv('a', 5)
  builder.max_pool('pool')
  network = builder.build('pooled')
  policy = _policy(network, a_out=2)
  buffers = memory_planner.activation_buffers(network, policy, in_place=True)
  # 5 codes of 2 bits take 2 bytes per pixel, in the pool's output as well.
  assert [(b.name, b.size_bytes) for b in buffers] == [
      ('input', 48),
      ('a_out', 32),
      ('pool_out', 8),
  ]


@pytest.mark.parametrize(
    'a_bits, b_bits, sum_bits, source',
    [
        (8, 8, 8, 'a_out'),
        (4, 4, 4, 'a_out'),
        (2, 8, 4, 'b_out'),
        (4, 8, 8, 'b_out'),
        (4, 4, 8, None),
    ],
)
def test_add_takes_the_place_of_an_input_that_is_large_enough(
    a_bits, b_bits, sum_bits, source
):
  network = _residual()
  policy = _policy(network, a_out=a_bits, b_out=b_bits, sum_out=sum_bits)
  buffers = memory_planner.activation_buffers(network, policy, in_place=True)
  assert {b.name: b.in_place_of for b in buffers}['sum_out'] == source
  without = memory_planner.activation_buffers(network, policy, in_place=False)
  assert all(b.in_place_of is None for b in without)


def test_add_does_not_overwrite_what_is_read_later():
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True)
  builder.add('sum', 'a_out')
  builder.add('again', 'a_out')
  network = builder.build('read_twice')
  memory = memory_planner.ActivationMemory(network)
  sizes = dict.fromkeys(memory.owners, 8)
  add, again = network.layers[2:]
  readers = memory.last_readers
  assert memory_planner.in_place_input(add, sizes, readers) == 'b_out'
  assert memory_planner.in_place_input(again, sizes, readers) == 'a_out'


def test_add_does_not_overwrite_the_network_output():
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True)
  builder.add('sum', 'a_out')
  chain = builder.build('chain')
  network = specs.NetworkSpec(
      'early_output', chain.tensors, chain.layers, 'input', 'b_out'
  )
  memory = memory_planner.ActivationMemory(network)
  assert memory.lifetimes['b_out'] == (2, 3)
  assert memory.last_readers['b_out'] is None


def test_other_portable_kernels_never_run_in_place():
  network = mobilenet_specs.mobilenet_v1(0.25, 32)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  buffers = memory_planner.activation_buffers(network, policy, in_place=True)
  assert all(b.in_place_of is None for b in buffers)


def _dsp_buffers(network, policy, in_place=True):
  buffers = memory_planner.activation_buffers(
      network, policy, in_place, kernel_targets.Target.DSP
  )
  return {b.name: b for b in buffers}


def test_depthwise_runs_in_place_where_its_kernel_can():
  network = mobilenet_specs.mobilenet_v1(0.25, 32)
  depthwise = {
      layer.output: layer
      for layer in network.layers
      if layer.op is specs.Op.DEPTHWISE_CONV_2D
  }
  assert len(depthwise) == 13
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  buffers = _dsp_buffers(network, policy)
  for name, buffer in buffers.items():
    expected = depthwise[name].inputs[0] if name in depthwise else None
    assert buffer.in_place_of == expected
  name, layer = next(iter(depthwise.items()))
  narrower = policy.with_bits({layer.inputs[0]: 4})
  assert _dsp_buffers(network, narrower)[name].in_place_of is None
  apart = _dsp_buffers(network, policy, in_place=False)
  assert all(b.in_place_of is None for b in apart.values())


def test_scratch_memory_lives_while_its_layer_runs():
  network = mobilenet_specs.mobilenet_v1(0.25, 32)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  buffers = _dsp_buffers(network, policy)
  for time, layer in enumerate(network.layers, start=1):
    scratch = buffers.get(memory_planner.scratch_name(layer.name))
    weighted = layer.op in specs.WEIGHTED_OPS
    assert (scratch is not None) == weighted
    if weighted:
      assert (scratch.first, scratch.last) == (time, time)
  # A first convolution 3x3 of 3 channels, K = 28: two pixels' elements, and
  # K + 4 bytes for one pixel's codes (conv2d_dsp.h).
  first = memory_planner.scratch_name(network.layers[0].name)
  assert buffers[first].size_bytes == 4 * 28 + 28 + 4


def test_plans_reach_the_bound_with_scratch_memory():
  rng = _seeded('scratch')
  for network in (
      mobilenet_specs.mobilenet_v1(0.25, 96),
      mobilenet_specs.mobilenet_v2(0.35, 96),
  ):
    for _ in range(20):
      policy = _random_policy(network, rng)
      plan = memory_planner.arena_plan(
          network, policy, kernel_targets.Target.DSP
      )
      buffers = list(_dsp_buffers(network, policy).values())
      assert plan.size_bytes == memory_planner.liveness_bound(buffers)


def test_an_activation_named_like_scratch_memory_is_refused():
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True, bits=8)
  network = builder.build('named')
  renamed = specs.NetworkSpec.from_json(
      network.to_json().replace('a_out', 'scratch of b')
  )
  with pytest.raises(ValueError, match=r"\['scratch of b'\]"):
    memory_planner.ActivationMemory(renamed)


def test_liveness_counts_aligned_bytes_and_adds_in_place_once():
  network = _residual()
  policy = _policy(network)
  buffers = memory_planner.activation_buffers(network, policy, in_place=True)
  assert memory_planner.liveness_by_time(buffers) == [128, 256, 256, 256, 256]
  apart = memory_planner.activation_buffers(network, policy, in_place=False)
  assert memory_planner.liveness_bound(apart) == 384
  odd = [Buffer('a', 17, 0, 1), Buffer('b', 1, 1, 1)]
  assert memory_planner.liveness_by_time(odd) == [32, 48]


def test_greedy_places_large_buffers_first_and_fills_the_lowest_gap():
  buffers = [
      Buffer('a', 32, 0, 2),
      Buffer('b', 64, 0, 1),
      Buffer('c', 16, 2, 3),
      Buffer('d', 48, 2, 2),
  ]
  # b at 0; d (not alive with b) at 0; a above both; c in the lowest gap
  # above d that a leaves: d ends at 48, a starts at 64.
  plan = memory_planner.tflm_greedy_plan(buffers)
  assert dict(plan.offsets) == {'a': 64, 'b': 0, 'c': 48, 'd': 0}
  assert plan.size_bytes == 96
  plan.check(buffers)


def test_greedy_places_the_later_of_two_equal_buffers_first():
  buffers = [Buffer('a', 20, 0, 1), Buffer('b', 32, 0, 1)]  # both 32 aligned
  plan = memory_planner.tflm_greedy_plan(buffers)
  assert dict(plan.offsets) == {'a': 32, 'b': 0}


def test_greedy_places_offline_buffers_first_wherever_they_say():
  buffers = [
      Buffer('a', 16, 0, 1),
      Buffer('b', 64, 0, 1),
      Buffer('c', 16, 1, 2),
  ]
  plan = memory_planner.tflm_greedy_plan(buffers, {'a': 32, 'c': 160})
  # b does not fit below a, although it would have come first.
  assert dict(plan.offsets) == {'a': 32, 'b': 48, 'c': 160}
  assert plan.size_bytes == 176


def test_greedy_equals_tflm_on_person_detection():
  # tflite-micro's own allocator reports a head of 55,296 bytes for
  # person_detect.tflite: MobileNetV1 0.25, 96x96x1, 8 bits, 2 classes.
  network = mobilenet_specs.mobilenet_v1(0.25, 96, channels=1, num_classes=2)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  buffers = memory_planner.activation_buffers(network, policy, in_place=False)
  assert memory_planner.tflm_greedy_plan(buffers).size_bytes == 55_296


def test_offline_plan_closes_the_gap_that_greedy_leaves():
  network = mobilenet_specs.mobilenet_v1(0.25, 128)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  buffers = memory_planner.activation_buffers(network, policy, in_place=True)
  assert memory_planner.liveness_bound(buffers) == 98_304
  assert memory_planner.tflm_greedy_plan(buffers).size_bytes == 131_072
  assert memory_planner.offline_plan(buffers).size_bytes == 98_304


def test_offline_plan_adds_in_place():
  network = _residual()
  policy = _policy(network, b_out=4, sum_out=8)
  plan = memory_planner.arena_plan(network, policy)
  assert plan.offsets['sum_out'] == plan.offsets['a_out']
  assert plan.size_bytes == 256


@pytest.mark.parametrize(
    'name, width, size',
    [('v1', 1.0, 224), ('v1', 0.25, 128), ('v1', 0.75, 192)]
    + [('v2', w, s) for w, s in ((1.0, 224), (0.35, 144), (0.5, 96))]
    + [('v2', 1.4, 224), ('v2', 0.75, 160)],
)
def test_offline_plan_reaches_the_bound_on_mobilenets(name, width, size):
  rng = _seeded('offline_plan')
  build = {
      'v1': mobilenet_specs.mobilenet_v1,
      'v2': mobilenet_specs.mobilenet_v2,
  }[name]
  network = build(width, size)
  uniform = specs.QuantizationPolicy.uniform
  policies = [uniform(network, 8, bits) for bits in specs.BIT_WIDTHS]
  policies += [_random_policy(network, rng) for _ in range(30)]
  for policy in policies:
    for in_place in (True, False):
      buffers = memory_planner.activation_buffers(network, policy, in_place)
      plan = memory_planner.offline_plan(buffers)
      plan.check(buffers)
      assert plan.size_bytes == memory_planner.liveness_bound(buffers)


def _random_buffers(rng, count, max_units):
  buffers = []
  for i in range(count):
    first = rng.randrange(6)
    size = 16 * rng.randint(1, max_units)
    buffers.append(Buffer(f'b{i}', size, first, first + rng.randrange(4)))
  return buffers


def test_plans_of_random_buffers_are_valid_and_within_their_bounds():
  rng = _seeded('random buffers')
  for _ in range(300):
    buffers = _random_buffers(rng, rng.randint(1, 14), 40)
    greedy = memory_planner.tflm_greedy_plan(buffers)
    plan = memory_planner.offline_plan(buffers)
    greedy.check(buffers)
    plan.check(buffers)
    bound = memory_planner.liveness_bound(buffers)
    assert bound <= plan.size_bytes <= greedy.size_bytes
    assert memory_planner.offline_plan(buffers) == plan


def _smallest_arena(buffers):
  """Brute force: tries every order, each buffer in its lowest gap."""
  best = [sum(b.size_bytes for b in buffers)]

  def place(placed, rest, top):
    if top >= best[0]:
      return
    if not rest:
      best[0] = top
    for buffer in rest:
      at = 0
      for other, start in sorted(placed, key=lambda p: p[1]):
        if other.first <= buffer.last and buffer.first <= other.last:
          if start - at >= buffer.size_bytes:
            break
          at = max(at, start + other.size_bytes)
      place(
          [*placed, (buffer, at)],
          [b for b in rest if b is not buffer],
          max(top, at + buffer.size_bytes),
      )

  place([], buffers, 0)
  return best[0]


def test_offline_plan_is_optimal_for_most_small_sets_of_buffers():
  rng = _seeded('brute force')
  optimal = 0
  for _ in range(100):
    buffers = _random_buffers(rng, 6, 6)
    smallest = _smallest_arena(buffers)
    size = memory_planner.offline_plan(buffers).size_bytes
    assert smallest <= size
    optimal += size == smallest
  assert optimal >= 95, f'{optimal} of 100 are optimal'


def test_overlapping_buffers_are_refused():
  buffers = [Buffer('a', 32, 0, 1), Buffer('b', 16, 1, 2)]
  Plan({'a': 0, 'b': 32}, 48).check(buffers)
  with pytest.raises(ValueError, match="'b' and 'a' are alive together"):
    Plan({'a': 0, 'b': 16}, 48).check(buffers)
  Plan({'a': 0, 'b': 0}, 48).check([buffers[0], Buffer('b', 16, 2, 2)])


def test_in_place_needs_the_same_offset_and_enough_bytes():
  source = Buffer('a', 32, 0, 1)
  output = Buffer('b', 16, 1, 2, in_place_of='a')
  Plan({'a': 0, 'b': 0}, 32).check([source, output])
  with pytest.raises(ValueError, match='share bytes'):
    Plan({'a': 0, 'b': 16}, 32).check([source, output])
  too_large = Buffer('b', 48, 1, 2, in_place_of='a')
  with pytest.raises(ValueError, match='share bytes'):
    Plan({'a': 0, 'b': 0}, 48).check([source, too_large])


@pytest.mark.parametrize('offsets', [{}, {'a': 8}, {'a': -16}])
def test_a_missing_or_unaligned_offset_is_refused(offsets):
  with pytest.raises(ValueError, match="'a' needs an offset"):
    Plan(offsets, 64).check([Buffer('a', 16, 0, 0)])


def test_a_buffer_outside_the_arena_is_refused():
  with pytest.raises(ValueError, match='ends at 48, the arena at 32 bytes'):
    Plan({'a': 0}, 32).check([Buffer('a', 48, 0, 0)])


@pytest.mark.parametrize('size, first, last', [(0, 0, 0), (1, 2, 1)])
def test_an_empty_buffer_or_interval_is_refused(size, first, last):
  with pytest.raises(ValueError, match="buffer 'a'"):
    Buffer('a', size, first, last)
