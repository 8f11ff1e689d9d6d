"""The rule-based searcher against every published test vector, and its own.

The vectors come from the predecessor's program (arXiv:1905.13082), run on the
shapes of MobileNetV1. A string has one digit per layer with weights: bits of
weights, or of output activations.
"""

import random

import pytest

from tests import mobilenet_specs
from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.evaluation import Evaluation
from tfmpq.paper_memory import ParameterScheme
from tfmpq.searchers import rule_based
from tfmpq.searchers.searcher import SearchProblem

_STRINGS = {
    'w8': '8888888888888888888888888888',
    'wA': '8888888888888888888888888844',
    'wB': '8888888888888848484848884822',
    'wC': '8888888888888848484888884822',
    'wD': '8888888888888848484848482822',
    'wE': '8888888888484848484848482822',
    'a8': '8888888888888888888888888888',
    'a1': '8848888888888888888888888888',
    'a2': '8448848888888888888888888888',
    'a3': '4448848888888888888888888888',
    'a4': '4428444888888888888888888888',
    'a5': '2224424884888888888888888888',
}
_PL, _PC = ParameterScheme.MIXPL, ParameterScheme.MIXPC

# width -> weight bytes, RAM bytes at 224, 192, 160 and 128; all at 8 bits.
_8_BITS = {
    1.0: (4_209_088, 1_204_224, 884_736, 614_400, 393_216),
    0.75: (2_568_144, 903_168, 663_552, 460_800, 294_912),
    0.5: (1_319_648, 602_112, 442_368, 307_200, 196_608),
    0.25: (463_600, 301_056, 221_184, 153_600, 98_304),
}

# Budget (FLASH, RAM) -> rows: width, size, schemes, w, a, weight bytes, RAM
# bytes, parameter bytes under each of the schemes.
_BOTH = (_PL, _PC)
_2MB_512KB = (
    (1.0, 224, _BOTH, 'wB', 'a4', 1_868_224, 401_408, (71_280, 116_660)),
    (1.0, 192, _BOTH, 'wB', 'a2', 1_868_224, 442_368, (69_864, 116_660)),
    (1.0, 160, _BOTH, 'wB', 'a1', 1_868_224, 409_600, (69_080, 116_660)),
    (1.0, 128, _BOTH, 'wB', 'a8', 1_868_224, 393_216, (68_768, 116_660)),
    (0.75, 224, _BOTH, 'wA', 'a2', 1_889_232, 451_584, (42_040, 89_300)),
    (0.75, 192, _BOTH, 'wA', 'a1', 1_889_232, 442_368, (41_456, 89_300)),
    (0.75, 160, _BOTH, 'wA', 'a8', 1_889_232, 460_800, (41_224, 89_300)),
    (0.75, 128, _BOTH, 'wA', 'a8', 1_889_232, 294_912, (41_224, 89_300)),
    (0.5, 224, _BOTH, 'w8', 'a1', 1_319_648, 401_408, (26_448, 61_940)),
    (0.5, 192, _BOTH, 'w8', 'a8', 1_319_648, 442_368, (26_448, 61_940)),
    (0.5, 160, _BOTH, 'w8', 'a8', 1_319_648, 307_200, (26_448, 61_940)),
    (0.5, 128, _BOTH, 'w8', 'a8', 1_319_648, 196_608, (26_448, 61_940)),
    (0.25, 224, _BOTH, 'w8', 'a8', 463_600, 301_056, (15_504, 34_580)),
    (0.25, 192, _BOTH, 'w8', 'a8', 463_600, 221_184, (15_504, 34_580)),
    (0.25, 160, _BOTH, 'w8', 'a8', 463_600, 153_600, (15_504, 34_580)),
    (0.25, 128, _BOTH, 'w8', 'a8', 463_600, 98_304, (15_504, 34_580)),
)
# Equal but for the 1.0 networks under MIXPL, which stop one cut earlier.
_2MIB_512KIB = (
    (1.0, 224, (_PL,), 'wC', 'a4', 1_999_296, 401_408, (68_728,)),
    (1.0, 192, (_PL,), 'wC', 'a2', 1_999_296, 442_368, (67_312,)),
    (1.0, 160, (_PL,), 'wC', 'a1', 1_999_296, 409_600, (66_528,)),
    (1.0, 128, (_PL,), 'wC', 'a8', 1_999_296, 393_216, (66_216,)),
    (1.0, 224, (_PC,), 'wB', 'a4', 1_868_224, 401_408, (116_660,)),
    (1.0, 192, (_PC,), 'wB', 'a2', 1_868_224, 442_368, (116_660,)),
    (1.0, 160, (_PC,), 'wB', 'a1', 1_868_224, 409_600, (116_660,)),
    (1.0, 128, (_PC,), 'wB', 'a8', 1_868_224, 393_216, (116_660,)),
) + _2MB_512KB[4:]
_1MB_512KB = (
    (0.75, 224, (_PL,), 'wD', 'a2', 959_952, 451_584, (55_432,)),
    (0.75, 224, (_PC,), 'wE', 'a2', 904_656, 451_584, (89_300,)),
    (0.75, 192, (_PL,), 'wD', 'a1', 959_952, 442_368, (54_848,)),
    (0.75, 192, (_PC,), 'wE', 'a1', 904_656, 442_368, (89_300,)),
    (0.75, 160, (_PL,), 'wD', 'a8', 959_952, 460_800, (54_616,)),
    (0.75, 160, (_PC,), 'wE', 'a8', 904_656, 460_800, (89_300,)),
    (0.75, 128, (_PL,), 'wD', 'a8', 959_952, 294_912, (54_616,)),
    (0.75, 128, (_PC,), 'wE', 'a8', 904_656, 294_912, (89_300,)),
    (0.5, 224, _BOTH, 'wA', 'a1', 932_576, 401_408, (29_152, 61_940)),
    (0.5, 192, _BOTH, 'wA', 'a8', 932_576, 442_368, (29_000, 61_940)),
    (0.5, 160, _BOTH, 'wA', 'a8', 932_576, 307_200, (29_000, 61_940)),
    (0.5, 128, _BOTH, 'wA', 'a8', 932_576, 196_608, (29_000, 61_940)),
    (0.25, 224, _BOTH, 'w8', 'a8', 463_600, 301_056, (15_504, 34_580)),
    (0.25, 192, _BOTH, 'w8', 'a8', 463_600, 221_184, (15_504, 34_580)),
    (0.25, 160, _BOTH, 'w8', 'a8', 463_600, 153_600, (15_504, 34_580)),
    (0.25, 128, _BOTH, 'w8', 'a8', 463_600, 98_304, (15_504, 34_580)),
)
_1MB_256KB = (
    (0.75, 224, (_PL,), 'wD', 'a5', 959_952, 225_792, (57_672,)),
    (0.75, 224, (_PC,), 'wE', 'a5', 904_656, 225_792, (89_300,)),
    (0.75, 192, (_PL,), 'wD', 'a4', 959_952, 221_184, (56_488,)),
    (0.75, 192, (_PC,), 'wE', 'a4', 904_656, 221_184, (89_300,)),
    (0.75, 160, (_PL,), 'wD', 'a2', 959_952, 230_400, (55_432,)),
    (0.75, 160, (_PC,), 'wE', 'a2', 904_656, 230_400, (89_300,)),
    (0.75, 128, (_PL,), 'wD', 'a1', 959_952, 196_608, (54_848,)),
    (0.75, 128, (_PC,), 'wE', 'a1', 904_656, 196_608, (89_300,)),
    (0.5, 224, _BOTH, 'wA', 'a4', 932_576, 250_880, (30_232, 61_940)),
    (0.5, 192, _BOTH, 'wA', 'a3', 932_576, 221_184, (29_608, 61_940)),
    (0.5, 160, _BOTH, 'wA', 'a1', 932_576, 204_800, (29_152, 61_940)),
    (0.5, 128, _BOTH, 'wA', 'a8', 932_576, 196_608, (29_000, 61_940)),
    (0.25, 224, _BOTH, 'w8', 'a1', 463_600, 250_880, (15_504, 34_580)),
    (0.25, 192, _BOTH, 'w8', 'a8', 463_600, 221_184, (15_504, 34_580)),
    (0.25, 160, _BOTH, 'w8', 'a8', 463_600, 153_600, (15_504, 34_580)),
    (0.25, 128, _BOTH, 'w8', 'a8', 463_600, 98_304, (15_504, 34_580)),
)
_TABLES = (
    (2_048_000, 512_000, _2MB_512KB),
    (2_097_152, 524_288, _2MIB_512KIB),
    (1_024_000, 512_000, _1MB_512KB),
    (1_024_000, 256_000, _1MB_256KB),
)
_VECTORS = [
    (flash, ram, scheme, *row[:2], *row[3:7], parameters)
    for flash, ram, rows in _TABLES
    for row in rows
    for scheme, parameters in zip(row[2], row[7], strict=True)
]
_UNSOLVABLE = [
    (ram, size, scheme)
    for ram in (512_000, 256_000)
    for size in (224, 192, 160, 128)
    for scheme in _BOTH
]


def _published(network, flash, ram, scheme):
  """The authors' rule, with how they count the parameters at first."""
  first = ParameterScheme.FOLDING if scheme is _PL else None
  budget = MemoryBudget(ram_bytes=ram, flash_bytes=flash)
  return rule_based.memory_driven_policy(network, budget, scheme, first)


def _strings(network, policy):
  bits = policy.as_dict()
  layers = [layer for layer in network.layers if layer.weight is not None]
  return (
      ''.join(str(bits[layer.weight]) for layer in layers),
      ''.join(str(bits[layer.output]) for layer in layers),
  )


def test_all_solved_and_unsolvable_cases_are_listed():
  assert len(_VECTORS) == 112
  assert len(_UNSOLVABLE) == 16


@pytest.mark.parametrize('width', _8_BITS)
def test_8_bit_footprints_equal_the_published_ones(width):
  weight_bytes, *ram = _8_BITS[width]
  for size, ram_bytes in zip((224, 192, 160, 128), ram, strict=True):
    network = mobilenet_specs.mobilenet_v1(width, size)
    result = rule_based.memory_driven_policy(network, MemoryBudget(), _PC)
    assert result.weight_bytes == weight_bytes
    assert result.ram_bytes == ram_bytes


@pytest.mark.parametrize(
    'flash, ram, scheme, width, size, w, a, weight_bytes, ram_bytes, '
    'parameter_bytes',
    _VECTORS,
)
def test_rule_equals_the_published_vectors(
    flash, ram, scheme, width, size, w, a, weight_bytes, ram_bytes,
    parameter_bytes,
):  # fmt: skip
  network = mobilenet_specs.mobilenet_v1(width, size)
  result = _published(network, flash, ram, scheme)
  assert _strings(network, result.policy) == (_STRINGS[w], _STRINGS[a])
  assert result.weight_bytes == weight_bytes
  assert result.ram_bytes == ram_bytes
  assert result.parameter_bytes == parameter_bytes


@pytest.mark.parametrize('ram, size, scheme', _UNSOLVABLE)
def test_the_widest_network_does_not_fit_1_mb(ram, size, scheme):
  network = mobilenet_specs.mobilenet_v1(1.0, size)
  # At 224 and 256 kB the authors' program never ends.
  wrong = (
      "layer 'conv_pw_1' needs 301056 bytes of RAM"
      if (ram, size) == (256_000, 224)
      else 'bytes of FLASH with all weights at 2 bits, budget is 1024000'
  )
  with pytest.raises(BudgetError, match=wrong):
    _published(network, 1_024_000, ram, scheme)


def test_counting_parameters_right_from_the_start_can_cut_more():
  network = mobilenet_specs.mobilenet_v1(0.5, 224)
  # Folding everywhere: 26,448 bytes of parameters; layer 2 has 4-bit outputs
  # (string a1), so that its channel normalization takes 312 bytes more.
  flash = 1_319_648 + 26_448
  published = _published(network, flash, 512_000, _PL)
  budget = MemoryBudget(ram_bytes=512_000, flash_bytes=flash)
  honest = rule_based.memory_driven_policy(network, budget, _PL)
  assert published.weight_bytes == 1_319_648
  assert honest.weight_bytes < published.weight_bytes
  assert honest.weight_bytes + honest.parameter_bytes <= flash


def test_unlimited_memory_keeps_8_bits():
  network = mobilenet_specs.mobilenet_v2(0.35, 96)
  result = rule_based.memory_driven_policy(network, MemoryBudget(), _PC)
  assert result.policy == specs.QuantizationPolicy.uniform(network, 8, 8)


def test_rule_fits_or_fails_for_any_budget():
  print('seed 20260103')
  rng = random.Random(20260103)
  networks = [
      mobilenet_specs.mobilenet_v1(0.25, 96),
      mobilenet_specs.mobilenet_v2(0.35, 96),
  ]
  outcomes = set()
  for _ in range(100):
    network = rng.choice(networks)
    ram, flash = rng.randint(10_000, 150_000), rng.randint(50_000, 800_000)
    try:
      result = rule_based.memory_driven_policy(
          network, MemoryBudget(ram, flash), _PC
      )
    except BudgetError:
      outcomes.add('error')
    else:
      outcomes.add('fits')
      assert result.ram_bytes <= ram
      assert result.weight_bytes + result.parameter_bytes <= flash
  assert outcomes == {'fits', 'error'}


def _problem(network, model, budget, **settings):
  return SearchProblem(
      network=network,
      memory_model=model,
      budget=budget,
      evaluate=lambda policy: Evaluation(0.5, 1.0, 100),
      **settings,
  )


def _arena(network):
  return arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda policy: c_writer.flash_bytes(network, policy, True),
  )


def test_searcher_certifies_against_the_arena():
  network = mobilenet_specs.mobilenet_v2(0.35, 96)
  model = _arena(network)
  _, smallest = model.minimum()
  for ram, flash in ((1.1, 1.2), (1.5, 1.5), (2.5, 3.0)):
    budget = MemoryBudget(
        int(ram * smallest.ram_bytes), int(flash * smallest.flash_bytes)
    )
    problem = _problem(network, model, budget)
    result = rule_based.RuleBasedSearcher().search(problem, 10, seed=0)
    assert model.fits(result.policy, budget)
    assert [r.phase for r in result.records] == ['rule']


def test_searcher_follows_the_rule_under_the_paper_model():
  network = mobilenet_specs.mobilenet_v1(0.75, 192)
  budget = MemoryBudget(ram_bytes=256_000, flash_bytes=1_024_000)
  for scheme in _BOTH:
    model = paper_memory.paper_model(network, scheme)
    result = rule_based.RuleBasedSearcher().search(
        _problem(network, model, budget), 1, seed=0
    )
    rule = rule_based.memory_driven_policy(network, budget, scheme)
    assert result.policy == rule.policy


def test_searcher_changes_only_searched_tensors_and_widths():
  network = mobilenet_specs.mobilenet_v1(0.25, 96)
  model = _arena(network)
  budget = MemoryBudget(flash_bytes=200_000)
  problem = _problem(network, model, budget, search_tensors='weights')
  policy = rule_based.certified_policy(problem)
  for tensor in network.activations:
    assert policy.bits(network, tensor.name) == 8
  budget = MemoryBudget(ram_bytes=40_000)
  problem = _problem(network, model, budget, bit_widths=(4, 8))
  policy = rule_based.certified_policy(problem)
  assert model.fits(policy, budget)
  assert set(policy.as_dict().values()) == {4, 8}


def test_searcher_refuses_an_impossible_budget():
  network = mobilenet_specs.mobilenet_v1(0.25, 96)
  problem = _problem(network, _arena(network), MemoryBudget(ram_bytes=1000))
  with pytest.raises(BudgetError, match='bytes of RAM'):
    rule_based.RuleBasedSearcher().search(problem, 1, seed=0)
