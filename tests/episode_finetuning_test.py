"""Tests of episode_finetuning: a policy is trained before it is scored."""

import numpy as np
import pytest

from tests import calibration_models
from tfmpq import calibration_tables
from tfmpq import datasets
from tfmpq import episode_finetuning
from tfmpq import evaluation_recipe
from tfmpq import float_ops
from tfmpq import reproducibility
from tfmpq import specs


@pytest.fixture(scope='module', name='parts')
def _parts():
  """(recipe with training, recipe without); the labels are the network's."""
  network = calibration_models.network('residual')
  shape = network.spec.tensor(network.spec.input).shape

  def examples(count, seed):
    images = calibration_models.images(shape, count, seed)
    logits = float_ops.logits(network, datasets.to_input(images))
    labels = logits.reshape(count, -1).argmax(axis=1).astype(np.int32)
    return datasets.Examples(images, labels)

  reward, train = examples(300, 2), examples(40 * 32, 3)
  calibration = calibration_models.images(shape, 64, seed=1)
  tables = calibration_tables.build(network, calibration, False)
  settings = episode_finetuning.EpisodeFinetuning(
      train, batch_size=32, learning_rate=3e-3, distillation=1.0, seed=1
  )
  with pytest.MonkeyPatch.context() as patched:
    # It sets the threads of a process that has just begun.
    patched.setattr(reproducibility, 'make_reproducible', lambda **_: None)
    return tuple(
        evaluation_recipe.EvaluationRecipe(
            network,
            calibration,
            reward.images,
            reward.labels,
            False,
            tables,
            finetuning,
        )()
        for finetuning in (settings, None)
    )


def test_training_brings_a_policy_nearer_to_the_float_network(parts):
  trained, untrained = parts
  spec = calibration_models.network('residual').spec
  policy = specs.QuantizationPolicy.uniform(spec, 2, 2)
  after, before = trained(policy), untrained(policy)
  assert after.num_images == before.num_images == 300
  assert after.kl < 0.7 * before.kl


def test_equal_policies_give_equal_evaluations(parts):
  trained, _ = parts
  network = calibration_models.network('residual')
  rng = np.random.default_rng(1)
  first, other = (
      calibration_models.random_policy(network.spec, rng) for _ in range(2)
  )
  evaluations = [trained(policy) for policy in (first, other, first)]
  assert evaluations[0] == evaluations[2] != evaluations[1]
