"""Figures of a comparison, and the file that searches share."""

import numpy as np
import pytest

from tfmpq import comparison
from tfmpq import evaluation_cache
from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy


def _row(searcher, seed, reward, correct=None, curve=(0.5, 0.75), bits=8):
  return comparison.Row(
      searcher=searcher,
      seed=seed,
      evaluations=len(curve),
      reward=reward,
      reward_accuracy=curve[-1],
      best_accuracies=curve,
      policy={'w': bits},
      correct=None if correct is None else np.array(correct, bool),
  )


def test_json_has_a_row_per_search():
  rows = [_row('a', 1, -0.2, [1, 1, 0, 1]), _row('b', 2, -0.3)]
  found = comparison.to_json_dict(rows)
  assert found['rows'] == [
      {
          'searcher': 'a',
          'seed': 1,
          'evaluations': 2,
          'reward_accuracy': 0.75,
          'finetuned_accuracy': 0.75,
      },
      {
          'searcher': 'b',
          'seed': 2,
          'evaluations': 2,
          'reward_accuracy': 0.75,
          'finetuned_accuracy': None,
      },
  ]
  assert found['reward_rank_correlation'] is None
  assert found['best_accuracies'][0]['best_accuracies'] == [0.5, 0.75]


def test_correlation_is_over_different_policies():
  rows = [
      _row('a', 1, -0.1, [1, 1, 1, 1], bits=8),
      _row('a', 2, -0.1, [0, 1, 1, 1], bits=8),
      _row('b', 1, -0.2, [1, 1, 1, 0], bits=4),
      _row('c', 1, -0.3, [1, 0, 0, 0], bits=2),
  ]
  assert comparison.reward_rank_correlation(rows) == pytest.approx(1)
  assert comparison.reward_rank_correlation(rows[:3]) is None


def test_interval_is_that_of_student():
  mean, half = comparison.interval([1.0, 2.0, 3.0])
  # 4.3027 standard errors of 1 / sqrt(3).
  assert (mean, half) == (2, pytest.approx(4.302653 / 3**0.5, rel=1e-6))
  assert comparison.interval([7.0]) == (7, 0)


def test_difference_is_paired_per_image_and_seed():
  rows = [
      _row('a', 1, 0, [1, 1, 1, 0]),
      _row('b', 1, 0, [1, 0, 1, 0]),
      _row('b', 2, 0, [1, 1, 1, 1]),
      _row('c', 3, 0, [1, 1, 1, 1]),
  ]
  mean, half = comparison.paired_difference(rows, 'b', 'a')
  assert mean == -0.25
  # Standard error of (0, -1, 0, 0).
  assert half == pytest.approx(1.959964 * 0.25)
  assert comparison.paired_difference(rows, 'a', 'a') == (0, 0)
  assert comparison.paired_difference(rows, 'c', 'a') is None


def test_table_begins_with_the_best_and_compares_with_the_reference():
  rows = [
      _row('a', 1, -0.3, [1, 1, 1, 0]),
      _row('b', 1, -0.2, [1, 0, 1, 0]),
      _row('b', 2, -0.2, curve=(0.5, 0.85)),
  ]
  lines = comparison.table(rows, 'a').splitlines()
  assert 'fine-tuned minus a' in lines[0]
  assert lines[2].startswith('| b | 2 | 2 | -0.2000 ± 0.0000 | 80.00 ± ')
  assert lines[2].endswith('| 50.00 % | -25.00 ± 49.00 |')
  assert lines[3] == '| a | 1 | 2 | -0.3000 | 75.00 % | 75.00 % |  |'


def test_chart_has_a_line_and_a_band_per_searcher():
  rows = [
      _row('a', 1, 0, curve=(None, 0.5, 0.6)),
      _row('a', 2, 0, curve=(None, 0.7, 0.7, 0.8)),
      _row('b', 1, 0, curve=(0.4,)),
  ]
  svg = comparison.chart(rows)
  assert svg.count('<polyline') == svg.count('<polygon') == 2
  line = svg.split('<polyline points="')[1].split('"')[0]
  assert len(line.split()) == 3  # The first episode has no policy that fits.
  assert '>a</text>' in svg and '>b</text>' in svg


class _Evaluator:
  """Counts; says how many bits there are."""

  def __init__(self):
    self.asked = []

  def __call__(self, policies):
    for policy in policies:
      self.asked.append(policy)
      yield Evaluation(0.5, float(policy.as_dict()['w']), 10)


def _policies(*widths):
  return [QuantizationPolicy.of({'w': width}) for width in widths]


def test_cache_asks_once_and_remembers(tmp_path):
  path, evaluator = tmp_path / 'c' / 'cache.jsonl', _Evaluator()
  cache = evaluation_cache.EvaluationCache(path, 'x', evaluator)
  found = list(cache.evaluate_all(_policies(2, 8, 2)))
  assert [e.cross_entropy for e in found] == [2, 8, 2]
  assert evaluator.asked == _policies(2, 8)
  again = _Evaluator()
  cache = evaluation_cache.EvaluationCache(path, 'x', again)
  assert [*cache.evaluate_all(_policies(8, 4))][0] == found[1]
  assert cache.evaluate(_policies(2)[0]) == found[0]
  assert again.asked == _policies(4)


def test_cache_survives_a_half_written_line(tmp_path):
  path = tmp_path / 'cache.jsonl'
  cache = evaluation_cache.EvaluationCache(path, 'x', _Evaluator())
  found = list(cache.evaluate_all(_policies(2, 8)))
  path.write_text(path.read_text()[:-20])
  for _ in range(2):
    evaluator = _Evaluator()
    cache = evaluation_cache.EvaluationCache(path, 'x', evaluator)
    assert list(cache.evaluate_all(_policies(2, 8))) == found
  assert not evaluator.asked


def test_cache_of_another_evaluator_is_refused(tmp_path):
  path = tmp_path / 'cache.jsonl'
  evaluation_cache.EvaluationCache(path, 'x', _Evaluator())
  with pytest.raises(ValueError, match='another evaluator'):
    evaluation_cache.EvaluationCache(path, 'y', _Evaluator())
