"""Configurations: JSON round trip, overrides, and errors that help."""

import dataclasses

import pytest

from tfmpq import budgets
from tfmpq import config


def test_json_round_trip_keeps_every_field():
  changed = config.override(
      config.ExperimentConfig(),
      {'ram': '9KiB', 'episodes': 7, 'learning_rate': 1e-5, 'pretrain': True},
  )
  assert config.from_json(config.to_json(changed)) == changed


def test_override_changes_one_field_of_one_part():
  base = config.ExperimentConfig()
  changed = config.override(base, {'flash': '1MB'})
  assert changed.budget.budget() == budgets.MemoryBudget(12_000, 1_000_000)
  assert dataclasses.replace(changed, budget=base.budget) == base


def test_field_names_are_unique_over_all_parts():
  names = [
      field.name
      for part in config.parts().values()
      for field in dataclasses.fields(part)
  ]
  assert len(names) == len(set(names)) == len(config.all_fields())


def test_every_field_explains_itself():
  for _, field in config.all_fields().values():
    assert field.metadata['help'].endswith('.')


@pytest.mark.parametrize(
    'values, message',
    [
        ({'episods': 3}, "field 'episods'; did you mean 'episodes'"),
        ({'searcher': 'gredy'}, "did you mean 'greedy'"),
        ({'episodes': 'many'}, "episodes: expected int, received 'many'"),
        ({'ram': '12kb'}, "ram: .*'12kb'; did you mean '12kB'"),
        ({'flash': '1 mib'}, "flash: .*; did you mean '1MiB'"),
        ({'flash': '32kilo'}, "flash: .*such as '12kB'.*'32kilo'$"),
        ({'ram': '0.3B'}, "ram: '0.3B' is not a whole number of bytes"),
        ({'flash': '0kB'}, 'must be positive'),
        ({'cores': ' , '}, 'cores: expected at least one'),
        ({'distillation': 1.5}, 'distillation: expected at most 1'),
        ({'learning_rate': float('nan')}, 'learning_rate: expected at least 0'),
    ],
)
def test_mistakes_are_explained(values, message):
  with pytest.raises(ValueError, match=message):
    config.override(config.ExperimentConfig(), values)


@pytest.mark.parametrize(
    'name, least',
    [
        ('num_reward_images', 1),
        ('num_calibration_images', 1),
        ('pretrain_epochs', 1),
        ('episodes', 1),
        ('seed', 0),
        ('threads', 1),
        ('finetune_epochs', 0),
        ('num_finetune_images', 0),
        ('patience', 1),
        ('batch_size', 1),
        ('num_deploy_images', 1),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(name, least):
  part, _ = config.all_fields()[name]
  changed = config.override(config.ExperimentConfig(), {name: least})
  assert getattr(getattr(changed, part), name) == least
  message = f'{name}: expected at least {least}, received {least - 1}'
  with pytest.raises(ValueError, match=message):
    config.override(config.ExperimentConfig(), {name: least - 1})
  # A file in configs/ makes the parts itself.
  with pytest.raises(ValueError, match=message):
    config.parts()[part](**{name: least - 1})


def test_unknown_part_in_a_file_names_the_nearest():
  text = config.to_json(config.ExperimentConfig()).replace('budget', 'budgt')
  with pytest.raises(ValueError, match="did you mean 'budget'"):
    config.from_json(text)


@pytest.mark.parametrize(
    'text, num_bytes',
    [
        ('512', 512),
        ('12kB', 12_000),
        ('12KiB', 12_288),
        ('0.5MB', 500_000),
        ('2MiB', 2_097_152),
        (' 7 B ', 7),
    ],
)
def test_sizes_with_units(text, num_bytes):
  assert budgets.parse_bytes(text) == num_bytes


def test_search_bits_are_widths_in_ascending_order():
  for text, widths in (('2,4,8', (2, 4, 8)), ('8,4', (4, 8)), ('2,8', (2, 8))):
    fields = {'search_bits': text}
    changed = config.override(config.ExperimentConfig(), fields)
    assert changed.search.bit_widths() == widths
  for text in ('', '4', '4,4', '4,16', '2,4,8,'):
    with pytest.raises(ValueError, match='search_bits: expected at least two'):
      config.override(config.ExperimentConfig(), {'search_bits': text})
