"""Tests of PostTrainingEvaluator."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import calibration_models
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import evaluators
from tfmpq import float_ops
from tfmpq import quantized_forward
from tfmpq import specs

_ROOT = pathlib.Path(__file__).resolve().parents[1]

# Prints the evaluations of three policies, in a process of its own: with a
# cache directory once by an evaluator that writes it and once by one that
# reads it.
_PROGRAM = """
import json, pathlib, sys
import numpy as np
from tfmpq import reproducibility
reproducibility.make_reproducible(seed=1, num_threads=2)
from tests import calibration_models
network = calibration_models.network('residual')
for cache in [pathlib.Path(sys.argv[1])] * 2 if sys.argv[1] else [None]:
  evaluator = calibration_models.evaluator(network, cache_dir=cache)
  rng = np.random.default_rng(3)
  results = []
  for _ in range(3):
    policy = calibration_models.random_policy(network.spec, rng)
    result = evaluator(policy)
    results.append([result.accuracy.hex(), result.cross_entropy.hex()])
  print(json.dumps(results))
"""


def _run_program(cache_dir: str):
  finished = subprocess.run(
      [sys.executable, '-c', _PROGRAM, cache_dir],
      cwd=_ROOT,
      check=True,
      capture_output=True,
      text=True,
  )
  return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope='module', name='network')
def _network():
  return calibration_models.network('bottlenecks')


@pytest.fixture(scope='module', name='evaluator')
def _evaluator(network):
  return calibration_models.evaluator(network)


def test_policies_never_retrace(network, evaluator):
  rng = np.random.default_rng(1)
  seen = set()
  for _ in range(8):
    policy = calibration_models.random_policy(network.spec, rng)
    seen.add(evaluator(policy).cross_entropy)
    evaluator.calibrated(policy)
  assert evaluator.trace_count == 2  # one to calibrate, one for logits
  assert len(seen) == 8


def test_equal_policies_give_equal_evaluations(network, evaluator):
  rng = np.random.default_rng(2)
  policies = [calibration_models.random_policy(network.spec, rng)] * 2
  policies.insert(1, calibration_models.random_policy(network.spec, rng))
  first, other, second = (evaluator(policy) for policy in policies)
  assert first == second != other
  assert first.num_images == 300


def test_another_process_gives_the_same_bits_with_and_without_cache(tmp_path):
  (without,) = _run_program('')
  writing, reading = _run_program(str(tmp_path))
  assert len(list(tmp_path.iterdir())) == 1
  assert len(without) == 3
  assert without == writing == reading


def test_the_calibrated_network_is_the_one_that_was_evaluated(
    network, evaluator
):
  policy = calibration_models.random_policy(
      network.spec, np.random.default_rng(4)
  )
  calibrated = evaluator.calibrated(policy)
  assert calibrated.policy == policy
  activations, weights = quantized_forward.tensors_of(calibrated)
  shape = network.spec.tensor(network.spec.input).shape
  codes = datasets.to_codes(calibration_models.images(shape, 300, seed=2))
  *_, (_, logits) = quantized_forward.forward(
      network.spec, activations, weights, tf.constant(codes, tf.float32)
  )
  scale = float(activations[network.spec.output].scale)
  labels = np.random.default_rng(7).integers(0, 10, 300)
  images = calibration_models.images(shape, 300, seed=2)
  float_logits = float_ops.logits(network, datasets.to_input(images))
  expected = evaluation.from_logits(
      logits.numpy().reshape(300, -1).astype(np.float64) * scale,
      labels,
      float_logits.reshape(300, -1),
  )
  assert evaluator(policy) == expected


def test_eight_bits_follow_the_float_network_and_two_do_not(network):
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 400, seed=5)
  logits = float_ops.logits(network, datasets.to_input(images)).reshape(400, -1)
  evaluator = evaluators.PostTrainingEvaluator(
      network,
      calibration_models.images(shape, 64, seed=1),
      images,
      logits.argmax(axis=1),
      per_channel_zero_points=True,
  )
  agreements = [
      evaluator(
          specs.QuantizationPolicy.uniform(network.spec, bits, bits)
      ).accuracy
      for bits in (8, 4, 2)
  ]
  assert agreements[0] >= 0.95
  assert agreements[0] > agreements[1] > agreements[2]


def test_one_pass_does_where_the_reward_images_calibrate(network):
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 300, seed=2)
  labels = np.random.default_rng(7).integers(0, 10, 300)

  def make(reward_images, reward_labels):
    return evaluators.PostTrainingEvaluator(
        network,
        images,
        reward_images,
        reward_labels,
        per_channel_zero_points=False,
    )

  shared = make(images, labels)
  # One image more, so that the images are not the same.
  apart = make(
      np.concatenate([images, images[:1]]), np.append(labels, labels[0])
  )
  rng = np.random.default_rng(8)
  for _ in range(4):
    policy = calibration_models.random_policy(network.spec, rng)
    one, two = shared(policy), apart(policy)
    for field in ('accuracy', 'agreement', 'cross_entropy', 'kl'):
      first = getattr(one, field)
      assert first == pytest.approx(getattr(two, field), abs=0.02)
    activations, _ = quantized_forward.tensors_of(shared.calibrated(policy))
    assert activations
  assert shared.trace_count == 1
  assert apart.trace_count == 2


def test_without_labels_the_float_network_is_the_measure(network, evaluator):
  eight, two = (
      evaluator(specs.QuantizationPolicy.uniform(network.spec, bits, bits))
      for bits in (8, 2)
  )
  assert eight.agreement > 0.9 > two.agreement
  assert 0 < eight.kl < 0.1 * two.kl
  # The labels of this evaluator are random.
  assert abs(eight.accuracy - 0.1) < 0.1


def test_what_does_not_fit_is_refused(network, evaluator):
  shape = network.spec.tensor(network.spec.input).shape
  images = calibration_models.images(shape, 4, seed=1)

  def make(calibration, reward, labels):
    evaluators.PostTrainingEvaluator(
        network, calibration, reward, labels, per_channel_zero_points=True
    )

  labels = np.zeros(4, int)
  with pytest.raises(ValueError, match='calibration images: expected'):
    make(images[:0], images, labels)
  with pytest.raises(
      ValueError, match='images: expected at least one of shape'
  ):
    make(images, images[:, :-1], labels)
  with pytest.raises(ValueError, match='expected 4 labels'):
    make(images, images, labels[:-1])
  with pytest.raises(ValueError, match='uint8'):
    make(images.astype(np.float32), images, labels)
  with pytest.raises(ValueError, match='missing tensors'):
    evaluator(specs.QuantizationPolicy.of({'input': 8}))
