"""The layers whose instructions are counted."""

import dataclasses
import itertools
import math

from tfmpq import specs


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer with a weight.

  Attributes:
    op: what the table calls it: pointwise, depthwise, conv2d, fully_connected.
    size: (height, width) of the input.
    channels: (of the input, of the output).
    spec: op and geometry, and the name of the layer.
  """

  op: str
  size: tuple[int, int]
  channels: tuple[int, int]
  spec: specs.LayerSpec

  @property
  def macs(self) -> int:
    """Multiply-accumulates, padding taps counted."""
    spec, (c_in, c_out) = self.spec, self.channels
    outputs = math.prod(
        specs.output_size(
            self.size[axis],
            spec.kernel_size[axis],
            spec.stride[axis],
            spec.padding[axis],
            spec.padding[axis + 2],
        )
        for axis in range(2)
    )
    taps = math.prod(spec.kernel_size)
    pairs = c_in if self.op == 'depthwise' else c_in * c_out
    return outputs * taps * pairs


def _layer(
    name, op, spec_op, size, channels, kernel=1, stride=1, padding=(0, 0, 0, 0)
) -> Layer:
  spec = specs.LayerSpec(
      name=name,
      op=spec_op,
      inputs=('input',),
      output='output',
      weight='weight',
      kernel_size=(kernel, kernel),
      stride=(stride, stride),
      padding=padding,
  )
  return Layer(op, (size, size), channels, spec)


_CONV, _DEPTHWISE = specs.Op.CONV_2D, specs.Op.DEPTHWISE_CONV_2D
_SAME = (1, 1, 1, 1)

LAYERS = (
    _layer('pointwise_28x28_128_128', 'pointwise', _CONV, 28, (128, 128)),
    _layer('pointwise_7x7_512_512', 'pointwise', _CONV, 7, (512, 512)),
    _layer(
        'depthwise_3x3_28x28_128',
        'depthwise',
        _DEPTHWISE,
        28,
        (128, 128),
        3,
        padding=_SAME,
    ),
    _layer(
        'conv_3x3_14x14_32_32', 'conv2d', _CONV, 14, (32, 32), 3, padding=_SAME
    ),
    _layer(
        'depthwise_3x3_7x7_64',
        'depthwise',
        _DEPTHWISE,
        7,
        (64, 64),
        3,
        padding=_SAME,
    ),
    _layer(
        'first_conv_3x3_64x64_3_32',
        'conv2d',
        _CONV,
        64,
        (3, 32),
        3,
        2,
        (0, 0, 1, 1),
    ),
    _layer(
        'fully_connected_1024_1000',
        'fully_connected',
        specs.Op.FULLY_CONNECTED,
        1,
        (1024, 1000),
    ),
)

# Of input, weight and output, all 27.
WIDTHS = tuple(itertools.product(specs.BIT_WIDTHS, repeat=3))


def combinations() -> list[tuple[Layer, tuple[int, int, int]]]:
  """Returns what is counted: every layer with all widths, in order."""
  return list(itertools.product(LAYERS, WIDTHS))
