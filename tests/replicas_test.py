"""Two logical devices train as one does.

They have to be made before TensorFlow runs its first op, hence a file of their
own. With two replicas only the order of sums differs: losses agree to float32
rounding, 1e-5 with a margin. In float16 single gradients are rounded to 11
bits, 5e-4, before they are summed. In a fake-quantized model a sum that falls
on the other side of a half moves a whole code: one of the 64 images then says
something else, which 1e-3 leaves room for (8e-8 were measured).
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import brief_training
from tests import calibration_models
from tfmpq import finetuning
from tfmpq import qat
from tfmpq import replicas
from tfmpq import training_steps

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
tf.config.experimental.enable_op_determinism()


def _strategies():
  return {name: replicas.strategy(name) for name in ('none', 'mirrored')}


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'ema_decay': 0.9, 'weight_decay': 0.1},
        {'compute_dtype': 'float16', 'ema_decay': 0.9},
    ],
    ids=['default', 'average', 'float16'],
)
def test_a_linear_model_trains_as_on_one_device(tmp_path, changes):
  losses, ends, records = {}, {}, {}
  for name, strategy in _strategies().items():
    finetuner = brief_training.finetuner(
        tmp_path / name, strategy=strategy, **changes
    )
    steps: list[finetuning.FinetuneProgress] = []
    records[name] = finetuner.run(steps.append)
    losses[name] = [step.loss for step in steps]
    ends[name] = finetuner.student.get_weights()
  tolerance = 2e-3 if 'compute_dtype' in changes else 1e-5
  np.testing.assert_allclose(losses['mirrored'], losses['none'], rtol=tolerance)
  for one, other in zip(ends['mirrored'], ends['none'], strict=True):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
  for one, other in zip(records['mirrored'], records['none'], strict=True):
    assert one.accuracy == other.accuracy
    assert one.cross_entropy == pytest.approx(
        other.cross_entropy, rel=tolerance
    )


def test_a_killed_distributed_training_goes_on_to_the_same_bits(tmp_path):
  class Killed(Exception):
    pass

  def stop(progress):
    if progress.step == 7:
      raise Killed

  def finetuner(folder):
    return brief_training.finetuner(
        tmp_path / folder,
        strategy=replicas.strategy('mirrored'),
        ema_decay=0.9,
    )

  straight = finetuner('straight')
  expected = straight.run()
  with pytest.raises(Killed):
    finetuner('killed').run(stop)
  resumed = finetuner('killed')
  assert resumed.run() == expected
  for one, other in zip(
      straight.student.get_weights(), resumed.student.get_weights(), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_a_fake_quantized_model_trains_as_on_one_device():
  network = brief_training.network()
  start = brief_training.calibrated(network, 4, 8)
  rng = np.random.default_rng(2)
  batches = [
      (
          calibration_models.images((9, 9, 2), 64, seed=10 + step),
          rng.integers(0, 3, 64).astype(np.int32),
      )
      for step in range(8)
  ]
  losses = {}
  for name, strategy in _strategies().items():
    with strategy.scope():
      student = qat.build_model(network, start)
    step = training_steps.TrainingStep(
        student,
        lambda inputs: tf.zeros((tf.shape(inputs)[0], 3)),
        training_steps.StepSettings(1e-3, 0.5),
        num_steps=8,
        steps_per_epoch=8,
        strategy=strategy,
    )
    before = student.get_weights()
    losses[name] = [step(*batch) for batch in batches]
    assert all(
        (new != old).any()
        for new, old in zip(student.get_weights(), before, strict=True)
        if old.ndim == 4
    )
  difference = np.abs(np.subtract(losses['mirrored'], losses['none']))
  print('relative difference', difference / losses['none'])
  # Before the first update nothing but sums differs.
  assert difference[0] <= 1e-5 * losses['none'][0]
  assert (difference <= 1e-3 * np.array(losses['none'])).all()


def test_batches_that_do_not_split_are_refused():
  with pytest.raises(ValueError, match='multiple of 2.*received 7'):
    replicas.require_even_split(7, replicas.strategy('mirrored'))


def test_unknown_strategy_is_refused():
  with pytest.raises(ValueError, match="'none' or 'mirrored', received 'tpu'"):
    replicas.strategy('tpu')


def test_a_single_device_is_not_split(monkeypatch):
  one = tf.config.list_logical_devices('CPU')[:1]
  monkeypatch.setattr(
      tf.config,
      'list_logical_devices',
      lambda kind: one if kind == 'CPU' else [],
  )
  with pytest.raises(ValueError, match='at least two devices, found'):
    replicas.strategy('mirrored')
