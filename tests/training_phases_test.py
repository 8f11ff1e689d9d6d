"""Which widths are trained first."""

from tfmpq import config
from tfmpq import specs
from tfmpq import training_phases

_POLICY = specs.QuantizationPolicy.of({'a': 8, 'b': 4, 'c': 2, 'c/weight': 2})


def test_two_bit_tensors_train_at_four_bits_first():
  first, last = training_phases.phases(
      _POLICY, config.FinetuneConfig(finetune_epochs=3, four_bit_epochs=2)
  )
  assert first.policy.as_dict() == {'a': 8, 'b': 4, 'c': 4, 'c/weight': 4}
  assert first.epochs == 2
  assert last.policy == _POLICY
  assert last.epochs == 3


def test_a_policy_without_two_bits_has_one_phase():
  policy = specs.QuantizationPolicy.of({'a': 8, 'b': 4})
  (phase,) = training_phases.phases(policy, config.FinetuneConfig())
  assert phase.policy == policy


def test_the_first_phase_can_be_left_out():
  (phase,) = training_phases.phases(
      _POLICY, config.FinetuneConfig(four_bit_epochs=0)
  )
  assert phase.policy == _POLICY
