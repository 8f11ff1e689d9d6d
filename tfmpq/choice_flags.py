"""Flags with a fixed set of values that name the nearest right one."""

from collections.abc import Iterable

from absl import flags

from tfmpq import specs

# The flags belong to the module that calls `define`, so that its --help shows
# them.
flags.disclaim_key_flags()


class _ChoiceParser(flags.EnumParser):
  """Says which choice the user may have meant."""

  def parse(self, argument: str) -> str:
    try:
      return super().parse(argument)
    except ValueError as error:
      nearest = specs.did_you_mean(argument, self.enum_values)
      raise ValueError(f'{error}{nearest}') from error


def define(
    name: str, default: str | None, choices: Iterable[str], help_text: str
) -> flags.FlagHolder:
  """Defines a flag whose value is one of `choices`."""
  choices = list(choices)
  return flags.DEFINE(
      _ChoiceParser(choices),
      name,
      default,
      f'<{"|".join(choices)}>: {help_text}',
      serializer=flags.ArgumentSerializer(),
  )
