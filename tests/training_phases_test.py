"""Which widths are trained first."""

from tfmpq import config
from tfmpq import finetuning
from tfmpq import learning_rates
from tfmpq import specs
from tfmpq import training_phases
from tfmpq import training_steps

_POLICY = specs.QuantizationPolicy.of({'a': 8, 'b': 4, 'c': 2, 'c/weight': 2})


def _phases(policy, progressive_bits, epochs=3):
  found = training_phases.phases(
      policy,
      config.FinetuneConfig(
          finetune_epochs=epochs, progressive_bits=progressive_bits
      ),
  )
  return [(p.policy.as_dict(), p.epochs, p.name) for p in found]


def test_two_bit_tensors_train_at_four_bits_first():
  assert _phases(_POLICY, '4:2') == [
      ({'a': 8, 'b': 4, 'c': 4, 'c/weight': 4}, 2, 'least_4_bits'),
      (_POLICY.as_dict(), 3, 'policy'),
  ]


def test_all_tensors_train_at_eight_bits_before_that():
  assert _phases(_POLICY, '8:1,4:2') == [
      ({'a': 8, 'b': 8, 'c': 8, 'c/weight': 8}, 1, 'least_8_bits'),
      ({'a': 8, 'b': 4, 'c': 4, 'c/weight': 4}, 2, 'least_4_bits'),
      (_POLICY.as_dict(), 3, 'policy'),
  ]


def test_a_phase_that_widens_nothing_is_left_out():
  eight, both = {'a': 8, 'b': 8}, {'a': 8, 'b': 4}
  policy = specs.QuantizationPolicy.of(both)
  assert _phases(policy, '4:1') == [(both, 3, 'policy')]
  assert _phases(policy, '8:1,4:1') == [
      (eight, 1, 'least_8_bits'),
      (both, 3, 'policy'),
  ]
  only_eight = specs.QuantizationPolicy.of(eight)
  assert _phases(only_eight, '8:1,4:1') == [(eight, 3, 'policy')]


def test_the_phases_before_can_be_left_out():
  assert _phases(_POLICY, '') == [(_POLICY.as_dict(), 3, 'policy')]


def test_flags_reach_the_training():
  flags = config.FinetuneConfig(
      batch_size=64,
      learning_rate=1e-4,
      lr_schedule='steps',
      lr_warmup_steps=7,
      lr_steps='2:0.5',
      weight_decay=1e-3,
      clip_decay=1e-4,
      ema_decay=0.75,
      compute_dtype='bfloat16',
      distillation=0.25,
      patience=4,
  )
  assert training_phases.settings(flags, epochs=9, seed=3) == (
      finetuning.FinetuneSettings(
          epochs=9,
          patience=4,
          ema_decay=0.75,
          step=training_steps.StepSettings(
              learning_rate=1e-4,
              distillation=0.25,
              schedule=learning_rates.Schedule('steps', 7, ((2, 0.5),), 0.01),
              weight_decay=1e-3,
              clip_decay=1e-4,
              compute_dtype='bfloat16',
          ),
          data='batches of 64, seed 3, distribution none',
      )
  )
