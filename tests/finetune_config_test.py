"""Fine-tuning flags: what they mean, and that mistakes are explained."""

import pytest

from tfmpq import finetune_config


def test_texts_become_numbers():
  config = finetune_config.FinetuneConfig(
      progressive_bits='8:2,4:1', lr_steps='0.5:0.5,8:0.1'
  )
  assert config.bit_phases() == ((8, 2), (4, 1))
  assert config.rate_steps() == ((0.5, 0.5), (8.0, 0.1))
  empty = finetune_config.FinetuneConfig(progressive_bits='', lr_steps='')
  assert empty.bit_phases() == empty.rate_steps() == ()


def test_default_is_one_pass_at_four_bits():
  assert finetune_config.FinetuneConfig().bit_phases() == ((4, 1),)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'progressive_bits': '4'}, "progressive_bits: .*'8:1,4:1'.*'4'$"),
        ({'progressive_bits': '4:1,8:1'}, 'falling widths'),
        ({'progressive_bits': '4:1,4:1'}, 'falling widths'),
        ({'progressive_bits': '6:1'}, 'out of 8 and 4'),
        ({'progressive_bits': '4:0'}, 'at least one pass'),
        ({'progressive_bits': '4:1.5'}, 'WIDTH:PASSES'),
        ({'progressive_bits': '4:nan'}, 'expected number:number'),
        ({'progressive_bits': '4:1,'}, 'expected number:number'),
        ({'lr_steps': '8:0.1,5:0.5'}, 'rising epochs'),
        ({'lr_steps': '0:0.5'}, 'above 0'),
        ({'lr_steps': '5:1.5'}, r'shares in 0\.\.1'),
        ({'lr_steps': '5:nan'}, 'expected number:number'),
        ({'lr_steps': 'inf:0.5'}, 'expected number:number'),
        ({'lr_final': 0.0}, 'lr_final: expected more than 0, received 0.0'),
        ({'ema_decay': 1.0}, 'ema_decay: expected less than 1'),
        ({'weight_decay': -1.0}, 'weight_decay: expected at least 0'),
        ({'clip_decay': -1.0}, 'clip_decay: expected at least 0'),
    ],
)
def test_mistakes_are_explained(values, message):
  with pytest.raises(ValueError, match=message):
    finetune_config.FinetuneConfig(**values)
