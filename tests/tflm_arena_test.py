"""What TFLite Micro needs of the arena: by hand, and in general.

tflm_memory_test measures it on every core.
"""

import dataclasses
import random

import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import random_specs
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflm_arena
from tfmpq import tflm_custom_memory
from tfmpq import tflm_structures

_SEED = 20260102
_ARM = tflm_structures.structures(4)
_HOST = tflm_structures.structures(8)


def _chain(*sizes, offsets=None, scratch=0, init_bytes=32):
  """Activations of these sizes, an op from each to the next; no constants."""
  offsets = offsets or [None] * len(sizes)
  return tflm_arena.Graph(
      tensors=tuple(
          tflm_arena.Tensor(size, offset=offset)
          for size, offset in zip(sizes, offsets, strict=True)
      ),
      ops=tuple(
          tflm_arena.Op(
              (i,),
              (i + 1,),
              init_bytes=init_bytes,
              scratch_bytes=(scratch,) if scratch else (),
          )
          for i in range(len(sizes) - 1)
      ),
      inputs=(0,),
      outputs=(len(sizes) - 1,),
  )


def test_the_tail_of_a_chain_adds_up():
  need = tflm_arena.arena_need(_chain(1600, 3200), _ARM)
  assert need.head_bytes == 4800
  # Three allocators, two structures of the model, 2 tensors, 1 op; its data
  # begins at a multiple of 16, as do the pointers to input and output.
  before = 36 + 44 + 36 + 8 + 8 + 2 * 12 + 32
  assert need.tail_bytes == before + 32 + (4 + 12 + 32) * 2
  assert need.arena_bytes == need.used_bytes


def test_the_end_of_the_smallest_arena_saves_alignment():
  graph = _chain(1600, 3200)
  need = tflm_arena.arena_need(graph, _ARM)
  assert need.arena_bytes % 16 == 12
  ends = range(need.arena_bytes, need.arena_bytes + 16, 4)
  used = [tflm_arena.used_bytes(graph, end, _ARM) for end in ends]
  assert need.used_bytes == used[0] == min(used) < max(used)


def test_small_activations_need_the_tables_of_the_planner():
  need = tflm_arena.arena_need(_chain(16, 16), _ARM)
  assert need.head_bytes == 32
  # 12 scratch requests, 1 size_t, 2 AllocationInfo, rounded up; 2 buffers.
  tables = (144 + 4 + 2 * 24 + 15) // 16 * 16 + 2 * 40
  before_ends = need.tail_bytes - 2 * (4 + 12 + 32)
  assert need.arena_bytes == before_ends + tables
  assert need.arena_bytes > need.used_bytes


def test_overlapping_offsets_are_obeyed():
  apart = _chain(1600, 1600, offsets=[0, 1600])
  same = _chain(1600, 1600, offsets=[0, 0])
  assert tflm_arena.arena_need(apart, _ARM).head_bytes == 3200
  assert tflm_arena.arena_need(same, _ARM).head_bytes == 1600


def test_scratch_memory_goes_where_the_plan_leaves_room():
  graph = _chain(1600, 1600, 800, offsets=[0, 2000, 0], scratch=300)
  buffers, offsets = tflm_arena.planned_buffers(graph)
  plan = memory_planner.tflm_greedy_plan(buffers, offsets)
  assert [b.name for b in buffers[-2:]] == [
      'scratch 0 of op 0',
      'scratch 0 of op 1',
  ]
  assert [plan.offsets[b.name] for b in buffers[-2:]] == [1600, 800]
  assert plan.size_bytes == 3600
  handles = tflm_arena.arena_need(graph, _ARM).tail_bytes
  graph = _chain(1600, 1600, 800, offsets=[0, 2000, 0])
  assert handles - tflm_arena.arena_need(graph, _ARM).tail_bytes in (0, 16)


def test_pointers_of_a_host_are_wider():
  graph = _chain(1600, 3200, 100)
  arm = tflm_arena.arena_need(graph, _ARM)
  host = tflm_arena.arena_need(graph, _HOST)
  assert host.head_bytes == arm.head_bytes
  assert host.tail_bytes > 1.5 * arm.tail_bytes
  with pytest.raises(ValueError, match='expected one of'):
    tflm_structures.structures(2)


@pytest.mark.parametrize('structures', [_ARM, _HOST])
def test_every_larger_arena_suffices(structures):
  print(f'seed {_SEED}')
  rng = random.Random(_SEED)
  for _ in range(50):
    sizes = [rng.randrange(1, 600) for _ in range(rng.randrange(2, 8))]
    graph = _chain(*sizes, scratch=rng.choice((0, 20, 200)))
    op = dataclasses.replace(
        graph.ops[0],
        parsed=tflm_structures.Structure(rng.choice((1, 2, 28)), 1),
        prepare_bytes=(rng.randrange(100),),
        temporaries=(0, 1, 0),
    )
    graph = dataclasses.replace(graph, ops=(op, *graph.ops[1:]))
    need = tflm_arena.arena_need(graph, structures)
    assert need.arena_bytes >= need.used_bytes
    for more in range(1, 64):
      used = tflm_arena.used_bytes(graph, need.arena_bytes + more, structures)
      assert used <= need.arena_bytes + more


@pytest.mark.parametrize('target', kernel_targets.Target)
def test_our_plan_never_needs_more_than_tflms_own(target):
  print(f'seed {_SEED}')
  rng = np.random.default_rng(_SEED)
  for _ in range(40):
    network = random_specs.random_spec(rng)
    policy = mixed_network.random_policy(network, rng)
    buffers = memory_planner.activation_buffers(
        network, policy, in_place=True, target=target
    )
    plan = memory_planner.offline_plan(buffers)
    need = tflm_custom_memory.CustomOps(network).need(buffers, plan)
    greedy = memory_planner.tflm_greedy_plan(buffers)
    # TFLM places scratch memory after activations, and no worse than we do.
    assert need.head_bytes <= plan.size_bytes <= greedy.size_bytes


def test_nothing_is_counted_per_channel():
  def tail(width):
    network = mobilenet_specs.mobilenet_v1(width, 96, 1, 2)
    policy = specs.QuantizationPolicy.uniform(network, 8, 8)
    return tflm_custom_memory.arena_need(
        network, policy, kernel_targets.Target.DSP
    ).tail_bytes

  assert tail(0.25) == tail(1.0)


@pytest.mark.parametrize(
    'bits, limit, arena_bytes', [(8, 60000, 58616), (4, 32000, 30968)]
)
def test_person_detection_needs_what_was_measured(bits, limit, arena_bytes):
  network = mobilenet_specs.mobilenet_v1(0.25, 96, 1, 2)
  policy = specs.QuantizationPolicy.uniform(network, bits, bits)
  need = tflm_custom_memory.arena_need(
      network, policy, kernel_targets.Target.DSP
  )
  assert need.arena_bytes == arena_bytes < limit


def test_person_detection_in_c_stays_inside_its_limit():
  network = mobilenet_specs.mobilenet_v1(0.25, 96, 1, 2)
  policy = specs.QuantizationPolicy.uniform(network, 4, 4)
  for target in kernel_targets.Target:
    plan = memory_planner.arena_plan(network, policy, target)
    assert plan.size_bytes <= 29000
