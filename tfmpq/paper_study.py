"""Which networks and budgets the study of the paper is about.

Source: arXiv:2008.05124 (abstract) and its predecessor arXiv:1905.13082:
MobileNetV1, MobileNetV2 and MnasNet on ImageNet; weights alone in 2 MB of
FLASH, weights and activations in 2 MB of FLASH and 512 kB of RAM. The smaller
budgets are those of its predecessor and of MCUNet (arXiv:2007.10319). kB and MB
are decimal, as in the predecessor's program.
"""

from __future__ import annotations

import dataclasses

from tfmpq import budgets
from tfmpq import network_specs
from tfmpq import network_tables
from tfmpq import specs

_FAMILIES = {
    'mobilenet_v2': network_tables.MOBILENET_V2,
    'mnasnet_b1': network_tables.MNASNET_B1,
    'efficientnet_lite0': network_tables.EFFICIENTNET_LITE0,
}


@dataclasses.dataclass(frozen=True)
class StudyNetwork:
  """A network of the study.

  Attributes:
    model: name of its builder (models.py).
    width: channel multiplier.
    size: height and width of an image, of 3 channels.
  """

  model: str
  width: float
  size: int

  @property
  def name(self) -> str:
    """Returns such as 'mobilenet_v1 0.75@224'."""
    return f'{self.model} {self.width}@{self.size}'

  def spec(self) -> specs.NetworkSpec:
    """Returns tensors and layers; 1000 classes."""
    if self.model == 'mobilenet_v1':
      return network_specs.mobilenet_v1(self.width, self.size)
    return network_specs.inverted_residuals(
        _FAMILIES[self.model], self.width, self.size
    )


@dataclasses.dataclass(frozen=True)
class StudyBudget:
  """A device.

  Attributes:
    flash: with a unit.
    ram: with a unit; None: weights alone count.
  """

  flash: str
  ram: str | None = None

  @property
  def name(self) -> str:
    """Returns such as '2048kB / 512kB', FLASH first."""
    return f'{self.flash} / {self.ram or "any RAM"}'

  def budget(self) -> budgets.MemoryBudget:
    """Returns the bytes."""
    ram = None if self.ram is None else budgets.parse_bytes(self.ram)
    return budgets.MemoryBudget(ram, budgets.parse_bytes(self.flash))


WEIGHT_BUDGETS = tuple(
    StudyBudget(flash) for flash in ('2048kB', '1024kB', '512kB')
)
DEVICE_BUDGETS = (
    StudyBudget('2048kB', '512kB'),
    StudyBudget('1024kB', '512kB'),
    StudyBudget('1024kB', '320kB'),
    StudyBudget('1024kB', '256kB'),
)
_SIZES = (224, 192, 160, 128)

NETWORKS = (
    *(
        StudyNetwork('mobilenet_v1', width, size)
        for width in (1.0, 0.75, 0.5, 0.25)
        for size in _SIZES
    ),
    *(
        StudyNetwork(model, width, size)
        for model, widths in (
            ('mobilenet_v2', (1.0, 0.75, 0.35)),
            ('mnasnet_b1', (1.0, 0.5)),
            ('efficientnet_lite0', (1.0,)),
        )
        for width in widths
        for size in _SIZES[:3]
    ),
)
