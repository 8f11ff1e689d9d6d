"""The study of the reward: what it draws, keeps and does again.

The trainings are replaced by classifiers that err the more, the fewer bits a
policy has; tests/end_to_end_test.py trains for real.
"""

import json

from absl.testing import flagsaver
import numpy as np
import pytest

from tests import tiny_run
from tfmpq import config
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import reward_study
from tfmpq import specs
from tfmpq import training_phases


@pytest.fixture(name='experiment')
def _experiment(tmp_path):
  """An experiment with random float weights, hence nothing to train."""
  tiny_run.write_images(tmp_path)
  values = {
      'dataset': f'npz:{tmp_path / "images.npz"}',
      'model': 'ds_cnn',
      'width': 0.25,
      'pretrain': True,
      'pretrain_epochs': 1,
      'num_reward_images': 40,
      'num_calibration_images': 64,
      'ram': f'{tiny_run.RAM_BYTES}B',
      'flash': f'{tiny_run.FLASH_BYTES}B',
  }
  made = config.override(config.ExperimentConfig(), values)
  return experiment_lib.Experiment(made, tmp_path / 'run')


@pytest.fixture(name='trainings')
def _trainings(monkeypatch):
  """Replaces training; returns (policy, seed) of each one that was asked."""
  asked = []

  def train(experiment, policy, state_dir, seed):
    asked.append((policy, seed))
    state_dir.mkdir(parents=True)
    labels = experiment.data.test.labels
    mean_bits = np.mean([bits for _, bits in policy.entries])
    num_right = int(len(labels) * mean_bits / 8)
    done = [0]

    def student(images):
      part = labels[done[0] : done[0] + len(images)]
      wrong = np.arange(done[0], done[0] + len(images)) >= num_right
      done[0] += len(images)
      return np.eye(3)[(part + wrong) % 3]

    return training_phases.Result(student, None, ())

  monkeypatch.setattr(training_phases, 'train', train)
  return asked


def test_policies_are_different_and_most_fit(experiment):
  reward_study.stages.make_float_network(experiment)
  drawn = reward_study.draw_policies(experiment, 9)
  assert len(set(drawn)) == 9
  budget = experiment.config.budget.budget()
  assert all(experiment.memory_model.fits(p, budget) for p in drawn[3:])
  assert drawn == reward_study.draw_policies(experiment, 9)


def test_a_study_goes_on_from_what_is_finished(experiment, trainings, capsys):
  folder = experiment.folder
  with flagsaver.as_parsed(num_policies='8', truth_seeds='2', score_steps='0'):
    reward_study.study(experiment)
    assert len(trainings) == 16
    assert {seed for _, seed in trainings} == {1, 2}
    first = json.loads((folder / 'reward_study.json').read_text())
    assert (
        capsys.readouterr()
        .out.rstrip()
        .endswith((folder / 'reward_study.md').read_text().rstrip())
    )
    (folder / 'reward_study' / 'policy_3_seed_2.json').unlink()
    reward_study.study(experiment)
  assert trainings[16:] == [trainings[8 + 3]]
  assert json.loads((folder / 'reward_study.json').read_text()) == first | {
      'seconds_per_training': pytest.approx(0, abs=5)
  }
  assert first['rewards']['mean_bits']['all'] > 0.95
  assert first['reliability']['seeds'] == pytest.approx(1)
  assert {
      'accuracy',
      'cross_entropy',
      'additive_cross_entropy',
      'mean_bits',
  } <= set(first['rewards'])


def test_rows_of_another_policy_are_refused(experiment, trainings):
  with flagsaver.as_parsed(num_policies='6', truth_seeds='2', score_steps='0'):
    reward_study.study(experiment)
    path = experiment.folder / 'reward_study' / 'policy_0_seed_1.json'
    row = json.loads(path.read_text())
    other = specs.QuantizationPolicy.of(row['bits']).with_bits(
        {name: 8 for name in row['bits']}
    )
    path.write_text(json.dumps(row | {'bits': other.as_dict()}))
    with pytest.raises(ValueError, match='another policy'):
      reward_study.study(experiment)
  assert len(trainings) == 12


def test_scores_after_some_training_are_kept(
    experiment, trainings, monkeypatch
):
  del trainings
  asked = []

  class Evaluator:
    """Scores by the number of bits, without training."""

    def __init__(self, network, start, reward, settings):
      assert len(settings.examples) == 3 * settings.batch_size
      assert len(reward) == 40

    def __call__(self, policy):
      asked.append(policy)
      bits = [width for _, width in policy.entries]
      return evaluation.Evaluation(0.5, 9 - float(np.mean(bits)), 40)

  monkeypatch.setattr(
      reward_study.episode_finetuning, 'FinetunedEvaluator', Evaluator
  )
  flags = {'num_policies': '6', 'truth_seeds': '2', 'score_steps': '3'}
  with flagsaver.as_parsed(**flags):
    reward_study.study(experiment)
    assert len(asked) == 6
    folder = experiment.folder
    (folder / 'reward_study' / 'score_4_3_steps.json').unlink()
    reward_study.study(experiment)
  assert asked[6:] == [asked[4]]
  result = json.loads((folder / 'reward_study.json').read_text())
  assert result['rewards']['cross_entropy_after_3_steps']['all'] > 0.95
  assert 's with training steps' in (folder / 'reward_study.md').read_text()
