"""What the parts of an ExperimentConfig are made of: fields with help texts."""

from __future__ import annotations

import dataclasses
import typing


def field(
    default,
    help_text: str,
    choices: tuple = (),
    minimum: float | None = None,
    maximum: float | None = None,
):
  """A dataclass field that carries its flag's help and allowed values."""
  metadata = {
      'help': help_text,
      'choices': choices,
      'minimum': minimum,
      'maximum': maximum,
  }
  return dataclasses.field(default=default, metadata=metadata)


class Part:
  """Refuses numbers out of range at once, not after an hour of search."""

  def __post_init__(self):
    for item in dataclasses.fields(typing.cast(typing.Any, self)):
      value = getattr(self, item.name)
      minimum, maximum = item.metadata['minimum'], item.metadata['maximum']
      if minimum is not None and not value >= minimum:
        raise ValueError(
            f'{item.name}: expected at least {minimum}, received {value}'
        )
      if maximum is not None and not value <= maximum:
        raise ValueError(
            f'{item.name}: expected at most {maximum}, received {value}'
        )
