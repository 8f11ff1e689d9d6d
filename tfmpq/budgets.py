"""Budgets and footprints, and sizes written with units."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class MemoryBudget:
  """What a device and its user allow; None: no limit.

  Attributes:
    ram_bytes: bytes of RAM.
    flash_bytes: bytes of FLASH.
    instructions: of one inference, on the core of the memory model's table.
  """

  ram_bytes: int | None = None
  flash_bytes: int | None = None
  instructions: int | None = None

  def __post_init__(self):
    for name in ('ram_bytes', 'flash_bytes', 'instructions'):
      value = getattr(self, name)
      if value is not None and value < 1:
        raise ValueError(f'{name} must be positive, received {value}')


@dataclasses.dataclass(frozen=True)
class MemoryFootprint:
  """What a network needs under a policy.

  Attributes:
    ram_bytes: bytes of RAM.
    flash_bytes: bytes of FLASH.
    instructions: of one inference; None where nobody asked.
  """

  ram_bytes: int
  flash_bytes: int
  instructions: int | None = None

  def fits(self, budget: MemoryBudget) -> bool:
    """Returns whether nothing exceeds its limit.

    Raises:
      ValueError: instructions are limited but were not counted.
    """
    if budget.instructions is not None and self.instructions is None:
      raise ValueError(
          f'the budget allows {budget.instructions} instructions, but the '
          'memory model does not count them: expected a TimedMemoryModel'
      )
    limits = dataclasses.asdict(budget)
    return all(
        limit is None or getattr(self, name) <= limit
        for name, limit in limits.items()
    )


class BudgetError(ValueError):
  """No policy fits the budget; the message says what the minimum is."""


_UNITS = {
    '': 1,
    'B': 1,
    'kB': 1000,
    'MB': 1_000_000,
    'KiB': 1024,
    'MiB': 1_048_576,
}


def parse_bytes(text: str) -> int:
  """Returns the bytes of '12kB' (kB = 1000), '32KiB' (KiB = 1024) or '512'."""
  match = re.fullmatch(r'\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*', text)
  if not match or match.group(2) not in _UNITS:
    raise ValueError(
        f"expected a size such as '12kB', '0.5MB', '32KiB' or '2MiB' "
        f'(kB = 1000, KiB = 1024 bytes), received {text!r}'
        + (_same_in_other_case(*match.groups()) if match else '')
    )
  value = float(match.group(1)) * _UNITS[match.group(2)]
  if value != int(value):
    raise ValueError(f'{text!r} is not a whole number of bytes')
  return int(value)


def _same_in_other_case(number: str, unit: str) -> str:
  """Returns "; did you mean '12kB'?" for '12kb', '' for unknown letters."""
  for known in _UNITS:
    if known.lower() == unit.lower():
      return f"; did you mean '{number}{known}'?"
  return ''
