"""The committed table is fresh, and its figures are those of the paper."""

import itertools
import pathlib

import pytest

from tfmpq import memory_tables
from tfmpq import paper_memory
from tfmpq import paper_study
from tfmpq import specs
from tfmpq.budgets import MemoryBudget
from tfmpq.searchers import least_noise
from tfmpq.searchers.searcher import SearchProblem

_COMMITTED = pathlib.Path('docs/memory_tables.md')
_SCHEME = paper_memory.ParameterScheme.MIXPL


def _row(text, section, network):
  lines = text.split('## ')
  (part,) = [p for p in lines if p.startswith(section)]
  (row,) = [r for r in part.splitlines() if r.startswith(f'| {network} |')]
  return [cell.strip() for cell in row.strip('|').split('|')]


def test_committed_table_is_fresh():
  assert _COMMITTED.read_text(encoding='utf-8') == memory_tables.document(), (
      './bazelw run //tfmpq:memory_tables -- '
      '--output=$PWD/docs/memory_tables.md'
  )


@pytest.mark.parametrize(
    'network, ram, flash',
    # Weight bytes, and int32 biases and 20 bytes per layer, of networks of 8
    # bits (arXiv:1905.13082).
    [
        ('mobilenet_v1 0.75@224', 903_168, 2_568_144 + 37_392),
        ('mobilenet_v1 0.5@192', 442_368, 1_319_648 + 26_448),
        ('mobilenet_v1 0.25@128', 98_304, 463_600 + 15_504),
    ],
)
def test_eight_bits_are_those_of_the_papers(network, ram, flash):
  row = _row(_COMMITTED.read_text(), 'Uniform widths', network)
  assert row[4] == f'{ram:,} / {flash:,}'


def test_the_rule_is_that_of_the_papers():
  row = _row(
      _COMMITTED.read_text(),
      'FLASH 2,048,000, RAM 512,000',
      'mobilenet_v1 0.75@224',
  )
  assert row[2] == f'{451_584:,} / {1_889_232 + 42_040:,}'
  infeasible = _row(
      _COMMITTED.read_text(),
      'FLASH 1,024,000, RAM 256,000',
      'mobilenet_v1 1.0@224',
  )
  assert infeasible[1:4] == ['-', '-', '-']


def _never(policy):
  raise AssertionError(policy)


def _small_problem(ram_bytes):
  spec = paper_study.StudyNetwork('mobilenet_v1', 0.25, 32).spec()
  model = paper_memory.paper_model(spec, _SCHEME)
  return SearchProblem(
      spec,
      model,
      MemoryBudget(ram_bytes, None),
      _never,
      search_tensors='activations',
  )


@pytest.mark.parametrize('ram_bytes', (2_000, 2_600, 3_333, 5_000))
def test_most_ram_is_that_of_all_policies(ram_bytes):
  problem = _small_problem(ram_bytes)
  # The later layers are small: only the first ones come near the limit.
  names = [t.name for t in problem.searched_tensors[:7]]
  reached = set()
  for widths in itertools.product(specs.BIT_WIDTHS, repeat=len(names)):
    policy = problem.policy(dict(zip(names, widths, strict=True)), 2)
    if problem.fits(policy):
      reached.add(problem.footprint(policy).ram_bytes)
  assert memory_tables.most_ram_bytes(problem) == (
      max(reached) if reached else None
  )


def test_nothing_can_be_widened_in_the_widest_policy():
  network = paper_study.StudyNetwork('mobilenet_v1', 0.5, 192)
  spec = network.spec()
  budget = paper_study.StudyBudget('1024kB', '256kB')
  problem = SearchProblem(
      spec, paper_memory.paper_model(spec, _SCHEME), budget.budget(), _never
  )
  policy = memory_tables.widest_policy(problem)
  assert problem.fits(policy)
  bits = policy.as_dict()
  for tensor in problem.searched_tensors:
    for width in specs.BIT_WIDTHS:
      if width > bits[tensor.name]:
        assert not problem.fits(policy.with_bits({tensor.name: width}))


def _best_rows():
  text = _COMMITTED.read_text().split('## Best network of 8 bits')[1]
  rows = [r.strip('|').split('|') for r in text.splitlines() if '|' in r]
  return {(r[0].strip(), r[1].strip()): r[2].strip() for r in rows[2:]}


def test_best_network_of_8_bits_is_that_of_the_papers():
  rows = _best_rows()
  assert len(rows) == 7 * 3
  # arXiv:1905.13082 compares with 0.5@192: 60.4 % after QAT with 8 bits.
  best = rows['2048kB / 512kB', 'mobilenet_v1']
  assert best.startswith('0.5@192, 61.7 % (442,368 / ')
  assert rows['512kB / any RAM', 'mobilenet_v2'] == '-'


def test_least_noise_is_that_of_all_policies():
  problem = _small_problem(5_000)
  # In the later layers nothing binds: they are wide.
  names = [t.name for t in problem.searched_tensors[:7]]
  noises = least_noise.noises(problem)

  def total(policy):
    bits = policy.as_dict()
    return sum(by_width[bits[name]] for name, by_width in noises.items())

  totals = [
      total(policy)
      for widths in itertools.product(specs.BIT_WIDTHS, repeat=len(names))
      if problem.fits(
          policy := problem.policy(dict(zip(names, widths, strict=True)), 8)
      )
  ]
  found = least_noise.least_noise_policy(problem)
  assert problem.fits(found)
  assert total(found) == pytest.approx(min(totals), rel=1e-12)


def test_least_noise_fits_every_network_of_the_study():
  section = 'FLASH 2,048,000, RAM 512,000'
  for network in paper_study.NETWORKS:
    row = _row(_COMMITTED.read_text(), section, network.name)
    ram, flash = row[6].split(' (')[0].split(' / ')
    assert int(ram.replace(',', '')) <= 512_000
    assert int(flash.replace(',', '')) <= 2_048_000
