"""What a search trades against what: weights of accuracy and of resources."""

from __future__ import annotations

import dataclasses
import math

from tfmpq import budgets
from tfmpq import specs

HELP = (
    'What a search maximizes instead of accuracy alone, such as '
    "'accuracy=1,instructions=0.1': accuracy * A - ram * RAM / RAM8 - flash * "
    'FLASH / FLASH8 - instructions * I / I8. A is the share of the reward '
    'images that are classified rightly, 0 to 1; RAM8, FLASH8 and I8 are what '
    'the network needs with all tensors at the widest width of the search. So '
    'in the example a point of accuracy is worth 10 % of the instructions. '
    'What is not named weighs 0, but accuracy 1. Budgets hold all the same.'
)


@dataclasses.dataclass(frozen=True)
class ObjectiveWeights:
  """Weights of what a search maximizes and avoids (HELP has the formula).

  Attributes:
    accuracy: of the share of right images, > 0.
    ram: of RAM as a share of that of the widest policy, >= 0.
    flash: of FLASH, likewise.
    instructions: of instructions, likewise.
  """

  accuracy: float = 1.0
  ram: float = 0.0
  flash: float = 0.0
  instructions: float = 0.0

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if not math.isfinite(value) or value < 0:
        raise ValueError(f'{name}: expected a weight >= 0, received {value}')
    if self.accuracy == 0:
      raise ValueError(
          'accuracy: expected a weight > 0, or every search ends at the '
          'smallest network'
      )

  def value(
      self,
      accuracy: float,
      footprint: budgets.MemoryFootprint,
      widest: budgets.MemoryFootprint,
  ) -> float:
    """Returns what a search maximizes.

    Args:
      accuracy: share of right images, 0..1.
      footprint: of the policy.
      widest: of the policy with all searched tensors at the widest width.

    Raises:
      ValueError: instructions have a weight but were not counted.
    """
    value = self.accuracy * accuracy
    value -= self.ram * footprint.ram_bytes / widest.ram_bytes
    value -= self.flash * footprint.flash_bytes / widest.flash_bytes
    if self.instructions:
      if footprint.instructions is None or widest.instructions is None:
        raise ValueError(
            'a weight for instructions needs a memory model that counts them: '
            'expected a TimedMemoryModel'
        )
      share = footprint.instructions / widest.instructions
      value -= self.instructions * share
    return value

  @classmethod
  def parse(cls, text: str) -> ObjectiveWeights:
    """Returns the weights of a text such as 'accuracy=1,ram=0.1'."""
    names = [field.name for field in dataclasses.fields(cls)]
    weights: dict[str, float] = {}
    for item in text.split(','):
      name, equals, value = (part.strip() for part in item.partition('='))
      if name not in names:
        raise ValueError(
            f"expected 'accuracy=1,ram=0.1', received {text!r}: there is no "
            f"weight '{name}'" + specs.did_you_mean(name, names)
        )
      if name in weights:
        raise ValueError(f"weight '{name}' is given twice in {text!r}")
      try:
        weights[name] = float(value)
      except ValueError as error:
        raise ValueError(
            f"weight '{name}': expected a number after '=', received "
            f'{equals + value!r}'
        ) from error
    return cls(**weights)
