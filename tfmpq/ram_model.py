"""What a rule for RAM answers: bytes in all, and bytes layer by layer."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from tfmpq.specs import QuantizationPolicy


@dataclasses.dataclass(frozen=True)
class Moment:
  """What a layer needs in RAM while it runs.

  Attributes:
    layer: name of the layer; of the network input before the first one.
    ram_bytes: bytes needed, `alive` and `other_bytes` together; an output
      that takes the place of an input counts once.
    alive: (activation, bytes) of what has to be in RAM.
    other_bytes: scratch memory of the layer's kernel, and what the runtime
      keeps for itself.
  """

  layer: str
  ram_bytes: int
  alive: tuple[tuple[str, int], ...]
  other_bytes: int = 0


class RamModel(Protocol):
  """Bytes of RAM under a policy."""

  def ram_bytes(self, policy: QuantizationPolicy) -> int:
    """Returns the bytes of RAM that one inference needs."""

  def moments(self, policy: QuantizationPolicy) -> tuple[Moment, ...]:
    """Returns what each layer needs, in the order of execution."""
