"""Tests of both memory models, of feasibility and of repair."""

import itertools
import random

import pytest

from tests import mobilenet_specs
from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import memory_model
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq.arena_memory import Backend
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.paper_memory import ParameterScheme

_SEED = 20260102


def _seeded(name):
  print(f'{name}: seed {_SEED}')  # shown by pytest if the test fails
  return random.Random(_SEED)


def _chain():
  """4x4x8 input -> a (4x4x16) -> b (4x4x6) -> logits (1x1x10), pooled."""
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 16)
  builder.conv('b', 6)
  builder.global_average_pool('pool')
  builder.dense('logits', 10)
  return builder.build('chain')


def _residual(ends_with_add):
  """a = conv(input), b = conv(a), sum = a + b, and a last convolution."""
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True)
  if ends_with_add:
    builder.add('sum', 'a_out', bits=8)
  else:
    builder.add('sum', 'a_out')
    builder.conv('head', 8, signed=True, bits=8)
  return builder.build('residual')


def _small_networks():
  pooled = mobilenet_specs.SpecBuilder((6, 6, 3))
  pooled.conv('a', 5, kernel=3)
  pooled.max_pool('pool')
  pooled.conv('b', 7, signed=True, bits=8)
  return [
      _residual(ends_with_add=False),
      _residual(ends_with_add=True),
      pooled.build('pooled'),
  ]


def _arena(network, backend=Backend.C, per_channel=True):
  return arena_memory.arena_model(
      network,
      backend,
      lambda policy: c_writer.flash_bytes(network, policy, per_channel),
  )


def _models(network):
  return [
      paper_memory.paper_model(network, ParameterScheme.MIXPL),
      paper_memory.paper_model(network, ParameterScheme.MIXPC),
      *(_arena(network, backend) for backend in Backend),
  ]


def _free_tensors(network):
  return [t.name for t in network.policy_tensors if t.fixed_bits is None]


def _all_policies(network):
  names = _free_tensors(network)
  base = specs.QuantizationPolicy.uniform(network, 8, 8)
  for widths in itertools.product(specs.BIT_WIDTHS, repeat=len(names)):
    yield base.with_bits(dict(zip(names, widths, strict=True)))


def _random_policy(network, rng):
  return specs.QuantizationPolicy.uniform(network, 8, 8).with_bits(
      {name: rng.choice(specs.BIT_WIDTHS) for name in _free_tensors(network)}
  )


def test_paper_ram_is_the_largest_sum_of_input_and_output_bits():
  network = _chain()
  model = paper_memory.paper_model(network, ParameterScheme.MIXPL)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  # a: 128 + 256 bytes; b: 256 + 96.
  assert model.footprint(policy).ram_bytes == 384
  policy = policy.with_bits({'a_out': 2})
  # a: 128 + 64; b: 64 + 96; pool: 96 + 6.
  assert model.footprint(policy).ram_bytes == 192
  assert model.peak(policy).layer == 'a'
  assert model.peak(policy).alive == (('input', 128), ('a_out', 64))


def test_paper_ram_does_not_pad_pixels():
  builder = mobilenet_specs.SpecBuilder((3, 3, 1))
  builder.conv('a', 3)
  builder.conv('b', 1, signed=True, bits=8)
  network = builder.build('odd')
  policy = specs.QuantizationPolicy.uniform(network, 8, 2)
  paper = paper_memory.PaperRam(network)
  # 9 codes of 8 bits and 27 of 2 bits are 126 bits: 15.75 bytes.
  assert paper.ram_bytes(policy) == 16


@pytest.mark.parametrize(
    'scheme, expected',
    [
        # weights: 128 * 4 bits, 96 * 8 bits, 60 * 2 bits = 64 + 96 + 15
        (ParameterScheme.FOLDING, 175 + 84 + 44 + 60),
        (ParameterScheme.MIXPL, 175 + 156 + 44 + 60),
        (ParameterScheme.MIXPC, 175 + 168 + 68 + 74),
    ],
)
def test_paper_flash_adds_the_parameters_of_its_scheme(scheme, expected):
  network = _chain()
  policy = specs.QuantizationPolicy.uniform(network, 8, 8).with_bits(
      {'a_weight': 4, 'logits_weight': 2}
  )
  model = paper_memory.paper_model(network, scheme)
  assert model.footprint(policy).flash_bytes == expected


def test_mixpl_needs_channel_normalization_for_a_narrow_output():
  bytes_of = paper_memory.parameter_bytes
  scheme = ParameterScheme.MIXPL
  assert bytes_of(scheme, 16, 8, 8, is_last=False) == 84
  assert bytes_of(scheme, 16, 8, 4, is_last=False) == 156
  assert bytes_of(scheme, 16, 2, 2, is_last=True) == 84


def test_arena_ram_is_the_plan_and_pads_pixels():
  network = _chain()
  model = _arena(network)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8).with_bits(
      {'b_out': 2}
  )
  # a: 128 + 256; b: 256 + 16 pixels of 2 bytes.
  assert model.footprint(policy).ram_bytes == 384
  moments = model.moments(policy)
  assert [m.layer for m in moments] == [
      'input', 'a', 'b', 'pool', 'logits'
  ]  # fmt: skip
  assert [m.ram_bytes for m in moments] == [128, 384, 288, 48, 32]
  assert moments[2].alive == (('a_out', 256), ('b_out', 32))


def test_arena_flash_is_what_the_writer_says():
  network = _chain()
  policy = specs.QuantizationPolicy.uniform(network, 4, 8)
  for per_channel in (True, False):
    expected = c_writer.flash_bytes(network, policy, per_channel)
    model = _arena(network, per_channel=per_channel)
    assert model.footprint(policy).flash_bytes == expected


def test_a_policy_of_another_network_is_refused():
  policy = specs.QuantizationPolicy.uniform(_chain(), 8, 8)
  with pytest.raises(ValueError, match='missing tensors'):
    _arena(_residual(ends_with_add=True)).footprint(policy)


def test_narrowing_an_add_input_can_cost_memory():
  # Why the arena is not monotone: at 8 bits the sum takes the place of b.
  network = _residual(ends_with_add=True)
  model = _arena(network)
  policy = specs.QuantizationPolicy.uniform(network, 8, 2)
  wider = policy.with_bits({'b_out': 8})
  assert model.footprint(policy).ram_bytes == 32 + 32 + 128
  assert model.footprint(wider).ram_bytes == 32 + 128


@pytest.mark.parametrize('network', _small_networks(), ids=lambda n: n.name)
def test_minimum_equals_brute_force(network):
  for model in _models(network):
    footprints = [model.footprint(p) for p in _all_policies(network)]
    policy, smallest = model.minimum()
    assert model.footprint(policy) == smallest
    assert smallest.ram_bytes == min(f.ram_bytes for f in footprints)
    assert smallest.flash_bytes == min(f.flash_bytes for f in footprints)


@pytest.mark.parametrize('network', _small_networks(), ids=lambda n: n.name)
def test_can_complete_and_repair_equal_brute_force(network):
  rng = _seeded('can_complete')
  policies = list(_all_policies(network))
  names = _free_tensors(network)
  for model in _models(network):
    footprints = {p: model.footprint(p) for p in policies}
    for _ in range(60):
      decided = {
          name: rng.choice(specs.BIT_WIDTHS)
          for name in rng.sample(names, rng.randrange(len(names) + 1))
      }
      goal = footprints[rng.choice(policies)]
      budget = MemoryBudget(goal.ram_bytes, goal.flash_bytes)
      start = rng.choice(policies).with_bits(decided)
      possible = any(
          footprint.fits(budget)
          for policy, footprint in footprints.items()
          if decided.items() <= policy.as_dict().items()
      )
      completed = model.complete(decided, budget)
      assert model.can_complete(decided, budget) == possible
      assert (completed is not None) == possible
      undecided = set(names) - set(decided)
      if possible:
        assert footprints[completed].fits(budget)
        repaired = model.repair(start, budget, undecided)
        assert footprints[repaired].fits(budget)
        assert decided.items() <= repaired.as_dict().items()
      else:
        with pytest.raises(BudgetError):
          model.repair(start, budget, undecided)


def test_complete_does_not_change_what_is_decided():
  network = _chain()
  model = _arena(network)
  decided = {'a_out': 4, 'a_weight': 8}
  policy = model.complete(decided, MemoryBudget())
  assert decided.items() <= policy.as_dict().items()
  assert policy.as_dict()['b_out'] == 2
  assert policy.as_dict()['logits_out'] == 8


def test_a_tiny_weight_is_smallest_at_8_bits_if_zero_points_cost_more():
  builder = mobilenet_specs.SpecBuilder((4, 4, 1))
  builder.conv('a', 16)
  builder.conv('b', 16, kernel=3, signed=True, bits=8)
  network = builder.build('tiny')
  # One code per output channel: a run takes a byte at any width.
  policy, _ = _arena(network).minimum()
  assert policy.as_dict()['a_weight'] == 8
  assert policy.as_dict()['b_weight'] == 2


def test_repair_narrows_the_widest_then_the_largest_at_the_peak():
  network = _chain()
  model = _arena(network)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  # Layer a needs 384 bytes; its input is fixed, so a_out goes 8 -> 4 -> 2.
  repaired = model.repair(policy, MemoryBudget(ram_bytes=383))
  assert repaired == policy.with_bits({'a_out': 4})
  repaired = model.repair(policy, MemoryBudget(ram_bytes=192))
  assert repaired == policy.with_bits({'a_out': 2})


def test_repair_returns_a_fitting_policy_as_it_is():
  network = _chain()
  policy = specs.QuantizationPolicy.uniform(network, 4, 4)
  assert _arena(network).repair(policy, MemoryBudget(10**6, 10**6)) == policy


def test_repair_uses_only_the_given_widths():
  network = _chain()
  model = _arena(network)
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  budget = MemoryBudget(ram_bytes=192)
  with pytest.raises(BudgetError, match="'a_out' 128 bytes at 4 bits"):
    model.repair(policy, budget, bit_widths=(4, 8))


def test_repair_of_mobilenets_always_fits_or_names_the_minimum():
  rng = _seeded('repair')
  for network in (
      mobilenet_specs.mobilenet_v1(0.25, 96),
      mobilenet_specs.mobilenet_v2(0.35, 96),
  ):
    for model in _models(network):
      _, smallest = model.minimum()
      uniform = model.footprint(specs.QuantizationPolicy.uniform(network, 8, 8))
      for _ in range(5):
        share = rng.random()
        budget = MemoryBudget(
            *(
                int(low + share * (high - low))
                for low, high in (
                    (smallest.ram_bytes, uniform.ram_bytes),
                    (smallest.flash_bytes, uniform.flash_bytes),
                )
            )
        )
        repaired = model.repair(_random_policy(network, rng), budget)
        assert model.fits(repaired, budget)
      impossible = MemoryBudget(ram_bytes=smallest.ram_bytes - 1)
      with pytest.raises(BudgetError):
        model.repair(_random_policy(network, rng), impossible)


def test_random_policies_never_need_less_than_the_minimum():
  rng = _seeded('minimum')
  network = mobilenet_specs.mobilenet_v2(0.35, 96)
  for model in _models(network):
    _, smallest = model.minimum()
    for _ in range(50):
      footprint = model.footprint(_random_policy(network, rng))
      assert footprint.ram_bytes >= smallest.ram_bytes
      assert footprint.flash_bytes >= smallest.flash_bytes


def test_require_feasible_names_minimum_tensors_and_policy():
  network = mobilenet_specs.mobilenet_v1(1.0, 224)
  model = paper_memory.paper_model(network, ParameterScheme.MIXPC)
  with pytest.raises(BudgetError) as error:
    model.require_feasible(MemoryBudget(256_000, 1_024_000))
  message = str(error.value)
  assert (
      "layer 'conv_pw_1' needs 301056 bytes of RAM ('conv_dw_1_out' 100352 "
      "bytes at 2 bits, 'conv_pw_1_out' 200704 bytes at 2 bits), budget is "
      '256000; use a smaller input'
  ) in message
  assert 'bytes of FLASH (largest: ' in message
  assert "'conv_pw_13_weight' 262144 bytes at 2 bits" in message
  assert 'budget is 1024000; use fewer channels' in message
  assert "The smallest policy is {'conv_dw_10_out': 2" in message


def test_require_feasible_returns_the_minimum():
  network = _chain()
  model = _arena(network)
  budget = MemoryBudget(ram_bytes=192)
  assert model.require_feasible(budget) == model.minimum()[1]
  assert model.require_feasible(budget).ram_bytes == 192
  with pytest.raises(BudgetError, match="layer 'a' needs 192 bytes of RAM"):
    model.require_feasible(MemoryBudget(ram_bytes=191))


def test_the_budget_error_counts_the_runtime():
  model = _arena(_chain(), Backend.TFLM)
  with pytest.raises(BudgetError, match='the runtime [0-9]+ bytes'):
    model.require_feasible(MemoryBudget(ram_bytes=1000))


def test_weight_to_cut_takes_the_first_within_the_margin():
  sizes = [('a', 30), ('b', 34), ('c', 36)]
  assert memory_model.weight_to_cut(sizes) == 'b'
  assert memory_model.weight_to_cut(sizes, excluded=['b', 'c']) == 'a'
  assert memory_model.weight_to_cut(sizes, excluded=['a', 'b', 'c']) is None
  # A share of exactly 0.05 less is outside.
  assert memory_model.weight_to_cut([('a', 45), ('b', 50), ('c', 5)]) == 'b'


def test_footprints_do_not_depend_on_what_was_asked_before():
  rng = _seeded('caching')
  network = mobilenet_specs.mobilenet_v2(0.35, 96)
  policies = [_random_policy(network, rng) for _ in range(20)]
  model = _arena(network)
  forward = [model.footprint(p) for p in policies]
  backward = [_arena(network).footprint(p) for p in reversed(policies)]
  assert forward == backward[::-1]
  assert all(isinstance(f, MemoryFootprint) for f in forward)
