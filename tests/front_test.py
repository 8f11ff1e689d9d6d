"""Fronts: nothing dominated, every budget served, the truth on small nets."""

import dataclasses
import json

import pytest

from tests import synthetic_problem
from tests.interruption import interrupt_after
from tests.interruption import Interrupted
from tfmpq import front_report
from tfmpq import fronts
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.searchers import exhaustive
from tfmpq.searchers import front


def _problem(**fields):
  """Returns a problem of eight tensors without a budget."""
  network = synthetic_problem.default_network(((16, 1),), size=8)
  settings = {
      'budget': MemoryBudget(),
      'network': network,
      'scale': 0.1,
      'error': 0.0,
      **fields,
  }
  return synthetic_problem.problem(2, **settings)


def _search(problem=None, episodes=80, **arguments):
  problem = problem or _problem()
  return front.search(
      problem, fronts.grid(problem, '', '', 3), episodes, 0, **arguments
  )


@pytest.fixture(name='found', scope='module')
def _found():
  return _search()


def test_no_record_dominates_another(found):
  assert len(found.records) > 9
  for one in found.records:
    for other in found.records:
      if one is not other:
        assert (
            one.footprint.ram_bytes > other.footprint.ram_bytes
            or one.footprint.flash_bytes > other.footprint.flash_bytes
            or one.reward < other.reward
        )


def test_every_budget_has_a_policy_that_fits_and_is_on_the_front(found):
  assert len(found.budgets) == 9
  for budget, best in zip(found.budgets, found.best, strict=True):
    assert best.footprint.fits(budget)
    assert any(
        r.footprint.fits(budget) and r.reward == best.reward
        for r in found.records
    )


def test_front_is_near_the_truth(found, monkeypatch):
  """Within 0.2 points of the best of all 3^8 policies, for every budget."""
  monkeypatch.setattr(exhaustive, 'MAX_TENSORS', 8)
  problem = _problem()
  known = [
      (problem.footprint(policy), problem.evaluate(policy).accuracy)
      for policy in exhaustive.all_policies(problem)
  ]
  assert found.num_evaluations <= 80 < len(known)
  for budget, best in zip(found.budgets, found.best, strict=True):
    truth = max(accuracy for need, accuracy in known if need.fits(budget))
    assert best.evaluation.accuracy >= truth - 0.002


def test_instructions_count_where_they_are_known():
  records = _search(episodes=40).records
  slow, fast = (
      dataclasses.replace(
          records[0],
          reward=reward,
          footprint=MemoryFootprint(100, 100, instructions),
      )
      for reward, instructions in ((-0.1, 20), (-0.2, 10))
  )
  assert front.non_dominated([slow, fast]) == [fast, slow]
  worse = dataclasses.replace(fast, reward=-0.3)
  assert front.non_dominated([slow, fast, worse, fast]) == [fast, slow]


def test_marginals_are_losses_per_byte(found):
  assert len(found.marginals) == 16
  problem = _problem()
  widest = problem.policy({}, 8)
  marginal = next(
      m for m in found.marginals if (m.tensor, m.wide) == ('pw1_weight', 4)
  )
  # 16 x 24 weights that save 2 bits each.
  assert (marginal.kind, marginal.num_bytes) == ('weight', 96)
  accuracies = [
      problem.evaluate(widest.with_bits({'pw1_weight': bits})).accuracy
      for bits in (4, 2)
  ]
  assert marginal.accuracy_loss == accuracies[0] - accuracies[1]
  assert marginal.loss_per_byte == marginal.accuracy_loss / 96


@pytest.mark.parametrize('stop', [5, 18, 25])
def test_interrupted_front_ends_as_an_undisturbed_one(found, stop, tmp_path):
  problem, _ = interrupt_after(_problem(), 'evaluate', stop)
  with pytest.raises(Interrupted):
    _search(problem, state_dir=tmp_path)
  problem = _problem()
  assert _search(problem, state_dir=tmp_path) == found
  assert len(problem.evaluate.calls) == found.num_evaluations - stop


def test_rounds_only_change_when_answers_are_known():
  found = _search(_problem(round_size=4))
  assert all(best is not None for best in found.best)


def test_few_episodes_serve_every_budget_first():
  found = _search(episodes=9)
  assert all(best is not None for best in found.best)
  assert not found.marginals
  with pytest.raises(ValueError, match='9 budgets and 8 episodes'):
    _search(episodes=8)


def test_budget_that_nothing_fits_is_refused_before_any_evaluation():
  problem = _problem()
  with pytest.raises(BudgetError):
    front.search(problem, [MemoryBudget(10, 10)], 20, 0)
  assert not problem.evaluate.calls


def test_page_and_json_hold_the_front(found):
  raw = json.loads(json.dumps(front_report.to_json_dict(found)))
  assert len(raw['front']) == len(found.records)
  assert raw['budgets'][0]['best']['ram_bytes'] <= found.budgets[0].ram_bytes
  page = front_report.page(found)
  assert page.count('<svg') == 3
  assert page.count('<tr>') == len(found.records) + 1
  assert page.count('RAM ') >= 3


@pytest.mark.parametrize(
    ('ram', 'points', 'message'),
    [
        ('8kB', 3, "--pareto_ram: expected LOW:HIGH.*received '8kB'"),
        ('9kB:8kB', 3, 'LOW below HIGH'),
        ('', 1, '--pareto_points: expected at least 2'),
    ],
)
def test_wrong_range_is_refused(ram, points, message):
  with pytest.raises(ValueError, match=message):
    fronts.grid(_problem(), ram, '', points)


def test_range_is_spaced_evenly():
  budgets = fronts.grid(_problem(), '400B:800B', '1kB:1.2kB', 3)
  assert [(b.ram_bytes, b.flash_bytes) for b in budgets[:4]] == [
      (400, 1000),
      (400, 1100),
      (400, 1200),
      (600, 1000),
  ]


def test_page_of_tensors_that_cost_nothing(found):
  flat = [dataclasses.replace(m, loss_per_byte=-1e-9) for m in found.marginals]
  page = front_report.page(dataclasses.replace(found, marginals=tuple(flat)))
  assert page.count('<svg') == 3
