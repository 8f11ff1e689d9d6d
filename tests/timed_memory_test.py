"""A limit on instructions: exact against enumeration, and never violated."""

import dataclasses
import itertools

import pytest

from tests import latency_problem
from tests import mixed_network
from tests import mobilenet_specs
from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import fastest_policy
from tfmpq import latency_model
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq import timed_memory
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint

_SCHEME = paper_memory.ParameterScheme.MIXPL


def _small_network():
  """Six tensors to choose, with a residual add: 729 policies."""
  builder = mobilenet_specs.SpecBuilder((8, 8, 3))
  builder.conv('stem', 8, kernel=3, stride=2)
  before = builder.last
  builder.depthwise('dw')
  builder.add('add', before)
  builder.global_average_pool('pool')
  builder.dense('logits', 4)
  return builder.build('small')


def _policies(network, fixed=None):
  free = [t.name for t in network.policy_tensors if t.fixed_bits is None]
  base = specs.QuantizationPolicy.uniform(network, 8, 8)
  for widths in itertools.product(specs.BIT_WIDTHS, repeat=len(free)):
    bits = dict(zip(free, widths, strict=True)) | (fixed or {})
    yield base.with_bits(bits)


def _models(network, memory, seed):
  latency = latency_problem.model(network, seed)
  widths_of = latency_model.allowed_widths(network)
  return latency, timed_memory.TimedMemoryModel(memory, latency, widths_of)


def _paper(network):
  return paper_memory.paper_model(network, _SCHEME)


def _arena(network):
  return arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda policy: c_writer.flash_bytes(network, policy, False),
  )


@pytest.mark.parametrize('make_memory', (_paper, _arena))
@pytest.mark.parametrize('seed', range(4))
def test_fastest_is_that_of_all_policies(make_memory, seed):
  network = _small_network()
  memory = make_memory(network)
  latency, timed = _models(network, memory, seed)
  everything = [
      (memory.footprint(p), latency.instructions(p), p)
      for p in _policies(network)
  ]
  rams = sorted({f.ram_bytes for f, _, _ in everything})
  flashes = sorted({f.flash_bytes for f, _, _ in everything})
  print('seed', seed)
  for ram in (None, rams[0], rams[len(rams) // 3], rams[len(rams) // 2]):
    for flash in (None, flashes[0], flashes[len(flashes) // 3]):
      budget = MemoryBudget(ram, flash)
      fitting = [i for f, i, _ in everything if f.fits(budget)]
      found = timed.fastest({}, budget)
      if not fitting:
        assert found.policy is None
        continue
      assert found.policy is not None
      assert memory.fits(found.policy, budget)
      best, instructions = min(fitting), latency.instructions(found.policy)
      assert found.lower_bound <= best <= instructions
      # Relaxation leaves a gap only where the FLASH binds.
      assert instructions <= best * (1 if flash is None else 1.05)


def test_decisions_are_kept():
  network = _small_network()
  latency, timed = _models(network, _paper(network), 7)
  decided = {'stem_out': 8, 'dw_weight': 4}
  found = timed.fastest(decided, MemoryBudget())
  assert found.policy.as_dict().items() >= decided.items()
  best = min(latency.instructions(p) for p in _policies(network, decided))
  assert latency.instructions(found.policy) == best


def test_shared_bits_and_every_op():
  network = mixed_network.network_spec()
  latency, timed = _models(network, _arena(network), 3)
  budget = MemoryBudget(timed.minimum()[1].ram_bytes + 100, None)
  found = timed.fastest({}, budget)
  assert timed.fits(found.policy, budget)
  # Nothing that differs in one tensor and fits is faster.
  bits = found.policy.as_dict()
  for tensor in network.policy_tensors:
    for width in specs.BIT_WIDTHS:
      if tensor.fixed_bits is None and width != bits[tensor.name]:
        other = found.policy.with_bits({tensor.name: width})
        if timed.fits(other, budget):
          assert latency.instructions(other) >= found.lower_bound


def test_footprint_has_instructions_and_the_bytes_of_the_other_model():
  network = _small_network()
  memory = _arena(network)
  latency, timed = _models(network, memory, 1)
  policy = specs.QuantizationPolicy.uniform(network, 4, 8)
  footprint = timed.footprint(policy)
  assert footprint.instructions == latency.instructions(policy)
  assert dataclasses.replace(footprint, instructions=None) == memory.footprint(
      policy
  )
  assert timed.moments(policy) == memory.moments(policy)
  assert timed.minimum()[0] == memory.minimum()[0]
  assert latency.core in timed.name and memory.name in timed.name


def test_infeasible_names_the_minimum():
  network = _small_network()
  latency, timed = _models(network, _paper(network), 2)
  best = min(latency.instructions(p) for p in _policies(network))
  timed.require_feasible(MemoryBudget(instructions=best))
  with pytest.raises(
      BudgetError,
      match=f'budget of {best - 1} instructions on cortex_m4.* needs {best} at'
      f'.*no policy takes fewer than {best}',
  ):
    timed.require_feasible(MemoryBudget(instructions=best - 1))
  with pytest.raises(BudgetError, match='bytes of RAM'):
    timed.require_feasible(MemoryBudget(10, None, 10**9))


def test_complete_and_repair_fit_all_three_limits():
  network = mobilenet_specs.mobilenet_v1(0.25, 96)
  latency, timed = _models(network, _paper(network), 5)
  eight = specs.QuantizationPolicy.uniform(network, 8, 8)
  footprint = timed.footprint(eight)
  bytes_only = MemoryBudget(
      footprint.ram_bytes * 6 // 10, footprint.flash_bytes * 6 // 10
  )
  fastest = latency.instructions(timed.fastest({}, bytes_only).policy)
  budget = dataclasses.replace(bytes_only, instructions=int(fastest * 1.05))
  repaired = timed.repair(eight, budget)
  assert timed.fits(repaired, budget)
  completed = timed.complete({'conv_pw_3_out': 8}, budget)
  assert completed is not None and timed.fits(completed, budget)
  assert completed.as_dict()['conv_pw_3_out'] == 8
  assert timed.complete({}, dataclasses.replace(budget, instructions=1)) is None
  with pytest.raises(BudgetError, match='raise --max_instructions'):
    timed.repair(eight, dataclasses.replace(budget, instructions=fastest // 2))


def test_a_limit_without_counts_is_an_error():
  budget = MemoryBudget(instructions=1)
  with pytest.raises(ValueError, match='expected a TimedMemoryModel'):
    MemoryFootprint(1, 1).fits(budget)
  assert MemoryFootprint(1, 1, 1).fits(budget)
  assert not MemoryFootprint(1, 1, 2).fits(budget)
  with pytest.raises(ValueError, match='instructions must be positive'):
    MemoryBudget(instructions=0)


def test_missing_counts_are_found_before_a_search():
  network = _small_network()
  table = latency_problem.made_up_table(network, 1)
  counts = dict(table.counts)
  missing = next(call for call in counts if (call.a, call.w) == (2, 2))
  del counts[missing]
  latency = latency_model.LatencyModel(
      network, dataclasses.replace(table, counts=counts), False, 'the command'
  )
  with pytest.raises(ValueError, match='this does it: the command'):
    fastest_policy.FastestPolicies(
        _paper(network), latency, latency_model.allowed_widths(network)
    )
