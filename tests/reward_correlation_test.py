"""What a study says about scores that are good or bad by construction."""

import numpy as np
import pytest

from tfmpq import reward_correlation

_ACCURACIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def _scored(index: int) -> reward_correlation.Scored:
  return reward_correlation.Scored(
      bits={'input': 8, 'a': (2, 4, 8)[index % 3]},
      figures={
          'accuracy': _ACCURACIES[index],
          'cross_entropy': -_ACCURACIES[index],
          'kl': _ACCURACIES[index],
      },
      seconds=0.25,
  )


def _trained(index: int, seed: int) -> reward_correlation.Trained:
  correct = np.arange(1000) < round(1000 * _ACCURACIES[index])
  return reward_correlation.Trained(
      _scored(index).bits, seed, np.roll(correct, 37 * seed), seconds=3.0
  )


def _result():
  return reward_correlation.analyse(
      [_scored(i) for i in range(6)],
      [_trained(i, seed) for seed in (1, 2) for i in range(6)],
  )


def test_losses_count_the_other_way_round():
  rewards = _result()['rewards']
  assert rewards['accuracy']['all'] == pytest.approx(1)
  assert rewards['cross_entropy']['all'] == pytest.approx(1)
  assert rewards['kl']['all'] == pytest.approx(-1)
  assert rewards['cross_entropy']['upper_half'] == pytest.approx(1)
  assert rewards['kl']['shortfall_of_best_3'] == pytest.approx(0.25)
  assert set(rewards) == {'accuracy', 'cross_entropy', 'kl', 'mean_bits'}


def test_accuracies_stand_beside_their_reliability():
  result = _result()
  assert result['reliability']['seeds'] == pytest.approx(1)
  assert result['reliability']['split_half'] > 0.9
  assert result['policies'][2]['accuracies'] == pytest.approx([0.7, 0.7])
  assert result['num_images'] == 1000
  assert result['seconds_per_training'] == 3


def test_table_and_plot_show_every_score():
  result = _result()
  table = reward_correlation.markdown(result)
  for name in ('accuracy', 'cross_entropy', 'kl', 'mean_bits'):
    assert f'| {name} | {result["rewards"][name]["all"]:.3f} |' in table
  assert '6 policies, 2 fine-tunings' in table
  assert reward_correlation.plot(result).count('<circle') >= 12


def test_a_seed_must_have_all_policies():
  scored = [_scored(i) for i in range(6)]
  trained = [_trained(i, seed) for seed in (1, 2) for i in range(6)]
  with pytest.raises(ValueError, match='seed 2: expected the 6 scored'):
    reward_correlation.analyse(scored, trained[:-1])


def test_rows_survive_their_file():
  row = _trained(3, 2)
  again = reward_correlation.Trained.from_json(row.to_json())
  np.testing.assert_array_equal(again.correct, row.correct)
  assert again.bits == row.bits
  assert again.seed == 2
  assert again.seconds == 3
