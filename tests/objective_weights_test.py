"""Tests of the weights of a search and of the configuration that holds them."""

import pytest

from tfmpq import config
from tfmpq import latency_config
from tfmpq import objective_weights

_Weights = objective_weights.ObjectiveWeights


def test_what_is_not_named_weighs_nothing_but_accuracy():
  assert _Weights.parse('ram=0.1') == _Weights(1.0, 0.1, 0.0, 0.0)
  assert _Weights.parse(' accuracy=2, flash = 1e-1,instructions=3') == _Weights(
      2.0, 0.0, 0.1, 3.0
  )


@pytest.mark.parametrize(
    'text, message',
    [
        ('speed=1', "no weight 'speed'; there are"),
        ('instruction=1', "did you mean 'instructions'"),
        ('ram', "weight 'ram': expected a number after '=', received ''"),
        ('ram=much', "received '=much'"),
        ('ram=1,ram=2', 'given twice'),
        ('ram=-1', 'ram: expected a weight >= 0, received -1'),
        ('flash=nan', 'flash: expected a weight >= 0, received nan'),
        ('accuracy=0', 'accuracy: expected a weight > 0'),
    ],
)
def test_wrong_weights_are_refused(text, message):
  with pytest.raises(ValueError, match=message):
    _Weights.parse(text)
  with pytest.raises(ValueError, match='objective_weights: .*'):
    latency_config.LatencyConfig(objective_weights=text)


def test_the_table_is_needed_where_instructions_matter():
  def needs(**fields):
    return latency_config.LatencyConfig(**fields).needs_table

  assert not needs()
  assert not needs(objective_weights='ram=1')
  assert needs(max_instructions=1)
  assert needs(objective_weights='instructions=0.1')


def test_a_run_from_before_these_fields_can_be_read():
  text = config.to_json(config.ExperimentConfig())
  before = text[: text.index('"latency"')] + text[text.index('"search"') :]
  assert config.from_json(before) == config.ExperimentConfig()
