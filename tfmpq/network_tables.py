"""Blocks of the networks, once for Keras models and for specs.

Sources: Howard et al., "MobileNets" (arXiv:1704.04861), table 1; Sandler et
al., "MobileNetV2" (arXiv:1801.04381), table 2; Tan et al., "MnasNet"
(arXiv:1807.11626), and torchvision for the numbers of MnasNet-B1;
EfficientNet-Lite0: tensorflow/tpu, models/official/efficientnet/lite.
"""

from __future__ import annotations

import dataclasses

# (output channels at width 1, stride) of each depthwise-separable block.
MOBILENET_V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


@dataclasses.dataclass(frozen=True)
class Stage:
  """Inverted residuals that follow each other.

  Attributes:
    expansion: channels inside a block, as a multiple of its input's.
    channels: of the output, at width 1.
    repeats: number of blocks.
    stride: of the first block; the others have 1.
    kernel_size: of the depthwise convolutions.
  """

  expansion: int
  channels: int
  repeats: int
  stride: int
  kernel_size: int = 3


@dataclasses.dataclass(frozen=True)
class InvertedResiduals:
  """A network of inverted residuals between two convolutions.

  Attributes:
    name: of the network.
    stages: its blocks.
    activation: 'relu' or 'relu6'.
    scales_stem: whether the width multiplies the channels of the stem.
    scales_head: whether a width above 1 multiplies the channels of the head.
    stem_channels: of the first convolution.
    head_channels: of the last one.
  """

  name: str
  stages: tuple[Stage, ...]
  activation: str
  scales_stem: bool = True
  scales_head: bool = False
  stem_channels: int = 32
  head_channels: int = 1280


MOBILENET_V2 = InvertedResiduals(
    'mobilenet_v2',
    (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 32, 3, 2),
        Stage(6, 64, 4, 2),
        Stage(6, 96, 3, 1),
        Stage(6, 160, 3, 2),
        Stage(6, 320, 1, 1),
    ),
    'relu6',
    scales_head=True,
)
MNASNET_B1 = InvertedResiduals(
    'mnasnet_b1',
    (
        Stage(1, 16, 1, 1),
        Stage(3, 24, 3, 2),
        Stage(3, 40, 3, 2, 5),
        Stage(6, 80, 3, 2, 5),
        Stage(6, 96, 2, 1),
        Stage(6, 192, 4, 2, 5),
        Stage(6, 320, 1, 1),
    ),
    'relu',
)
EFFICIENTNET_LITE0 = InvertedResiduals(
    'efficientnet_lite0',
    (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 40, 2, 2, 5),
        Stage(6, 80, 3, 2),
        Stage(6, 112, 3, 1, 5),
        Stage(6, 192, 4, 2, 5),
        Stage(6, 320, 1, 1),
    ),
    'relu6',
    scales_stem=False,
)


def scale_channels(channels: int, width: float, divisor: int = 8) -> int:
  """Returns `channels * width` as a multiple of `divisor`.

  Rounds to the nearest multiple, never below `divisor` and never more than
  10 % below the exact product (the rule of the MobileNetV2 paper's authors).
  """
  exact = channels * width
  scaled = max(divisor, int(exact + divisor / 2) // divisor * divisor)
  return scaled + divisor if scaled < 0.9 * exact else scaled


@dataclasses.dataclass(frozen=True)
class Block:
  """One inverted residual.

  Attributes:
    name: 'block_<i>', from 1 on.
    expansion: channels inside, as a multiple of the input's.
    channels: of the output.
    stride: of the depthwise convolution.
    kernel_size: of the depthwise convolution.
  """

  name: str
  expansion: int
  channels: int
  stride: int
  kernel_size: int


def blocks(network: InvertedResiduals, width: float) -> list[Block]:
  """Returns the blocks of a network at a width, in order."""
  found: list[Block] = []
  for stage in network.stages:
    for repeat in range(stage.repeats):
      found.append(
          Block(
              f'block_{len(found) + 1}',
              stage.expansion,
              scale_channels(stage.channels, width),
              stage.stride if repeat == 0 else 1,
              stage.kernel_size,
          )
      )
  return found


def stem_channels(network: InvertedResiduals, width: float) -> int:
  """Returns the channels of the first convolution."""
  return scale_channels(
      network.stem_channels, width if network.scales_stem else 1.0
  )


def head_channels(network: InvertedResiduals, width: float) -> int:
  """Returns the channels of the last convolution."""
  return scale_channels(
      network.head_channels, max(1.0, width) if network.scales_head else 1.0
  )
