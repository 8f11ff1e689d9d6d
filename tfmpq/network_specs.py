"""NetworkSpecs of published networks, built without Keras.

What a Keras model of the same name folds to, but for the names of its tensors;
memory and instructions need no more, and no weights.
"""

from __future__ import annotations

from tfmpq import network_tables
from tfmpq import specs


class SpecBuilder:
  """Appends layers to a chain; each reads the output of the one before it.

  Layer `x` writes the activation `x_out` and reads the weight `x_weight`.
  """

  def __init__(self, shape: tuple[int, int, int]):
    self.shape = shape
    self.last = 'input'
    self._layers: list[specs.LayerSpec] = []
    self._tensors = [
        specs.TensorSpec(
            'input', specs.TensorKind.ACTIVATION, shape, True, fixed_bits=8
        )
    ]

  def conv(self, name, channels, kernel=1, stride=1, signed=False, bits=None):
    weight = (channels, kernel, kernel, self.shape[2])
    self._window(
        name, specs.Op.CONV_2D, channels, weight, kernel, stride, signed, bits
    )

  def depthwise(self, name, kernel=3, stride=1):
    channels = self.shape[2]
    op = specs.Op.DEPTHWISE_CONV_2D
    weight = (kernel, kernel, channels)
    self._window(name, op, channels, weight, kernel, stride, False, None)

  def dense(self, name, channels):
    """Fully connected; meant as the last layer, so its output has 8 bits."""
    weight = (channels, self.shape[2])
    shape = (1, 1, channels)
    self._append(name, specs.Op.FULLY_CONNECTED, shape, weight, True, 8)

  def add(self, name, other, bits=None):
    inputs = (other, self.last)
    self._append(name, specs.Op.ADD, self.shape, None, True, bits, inputs)

  def global_average_pool(self, name):
    height, width, channels = self.shape
    self._append(
        name,
        specs.Op.AVERAGE_POOL_2D,
        (1, 1, channels),
        kernel_size=(height, width),
    )

  def max_pool(self, name):
    """Halves height and width; shares the bits of its input."""
    height, width, channels = self.shape
    self._append(
        name,
        specs.Op.MAX_POOL_2D,
        (height // 2, width // 2, channels),
        bits_of=self.last,
        kernel_size=(2, 2),
        stride=(2, 2),
    )

  def build(self, name) -> specs.NetworkSpec:
    return specs.NetworkSpec(
        name, tuple(self._tensors), tuple(self._layers), 'input', self.last
    )

  def _window(self, name, op, channels, weight, kernel, stride, signed, bits):
    height, width, _ = self.shape
    (out_h, top, bottom), (out_w, left, right) = (
        _same(height, kernel, stride),
        _same(width, kernel, stride),
    )
    self._append(
        name,
        op,
        (out_h, out_w, channels),
        weight,
        signed,
        bits,
        kernel_size=(kernel, kernel),
        stride=(stride, stride),
        padding=(top, left, bottom, right),
    )

  def _append(
      self,
      name,
      op,
      shape,
      weight=None,
      signed=False,
      bits=None,
      inputs=None,
      bits_of=None,
      **geometry,
  ):
    inputs = inputs or (self.last,)
    output = f'{name}_out'
    kind = specs.TensorKind
    self._tensors.append(
        specs.TensorSpec(output, kind.ACTIVATION, shape, signed, bits, bits_of)
    )
    if weight:
      self._tensors.append(
          specs.TensorSpec(f'{name}_weight', kind.WEIGHT, weight)
      )
    self._layers.append(
        specs.LayerSpec(
            name,
            op,
            inputs,
            output,
            f'{name}_weight' if weight else None,
            **geometry,
        )
    )
    self.last, self.shape = output, shape


def _same(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
  """Returns (output size, padding before, padding after)."""
  out = -(-size // stride)
  total = max((out - 1) * stride + kernel - size, 0)
  return out, total // 2, total - total // 2


def mobilenet_v1(
    width: float, size: int, channels: int = 3, num_classes: int = 1000
) -> specs.NetworkSpec:
  """MobileNetV1 for size x size images, with `int(width * c)` channels."""
  builder = SpecBuilder((size, size, channels))
  builder.conv('conv_stem', int(32 * width), kernel=3, stride=2)
  for i, (out_channels, stride) in enumerate(
      network_tables.MOBILENET_V1_BLOCKS, start=1
  ):
    builder.depthwise(f'conv_dw_{i}', stride=stride)
    builder.conv(f'conv_pw_{i}', int(out_channels * width))
  builder.global_average_pool('pool')
  builder.dense('logits', num_classes)
  return builder.build('mobilenet_v1')


def inverted_residuals(
    network: network_tables.InvertedResiduals,
    width: float,
    size: int,
    num_classes: int = 1000,
) -> specs.NetworkSpec:
  """MobileNetV2, MnasNet-B1 or EfficientNet-Lite0 for size x size images."""
  builder = SpecBuilder((size, size, 3))
  channels = network_tables.stem_channels(network, width)
  builder.conv('conv_stem', channels, kernel=3, stride=2)
  for block in network_tables.blocks(network, width):
    _inverted_residual(builder, block)
  builder.conv('conv_head', network_tables.head_channels(network, width))
  builder.global_average_pool('pool')
  builder.dense('logits', num_classes)
  return builder.build(network.name)


def _inverted_residual(builder: SpecBuilder, block: network_tables.Block):
  before, shape, name = builder.last, builder.shape, block.name
  if block.expansion > 1:
    builder.conv(f'{name}_expand', block.expansion * shape[2])
  builder.depthwise(f'{name}_dw', block.kernel_size, block.stride)
  builder.conv(f'{name}_project', block.channels, signed=True)
  if builder.shape == shape:
    builder.add(f'{name}_add', before)
