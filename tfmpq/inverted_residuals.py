"""MobileNetV2, MnasNet-B1 and EfficientNet-Lite0 builders.

All are inverted residuals with linear bottlenecks (network_tables): a block
adds its input to its output where both have the same shape. Every builder names
its layers explicitly, so that weights can be stored by name, and returns a
model whose output are logits (no softmax).
"""

import tf_keras as keras

from tfmpq import conv_blocks
from tfmpq import network_tables


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    activation: str | None = None,
) -> keras.Model:
  """Returns MobileNetV2.

  The last convolution keeps 1280 channels for widths below 1, as in the paper.

  Args:
    input_shape: (height, width, channels) of an image.
    num_classes: Number of logits.
    width: Channel multiplier (0.35 to 1.4 in the paper's models); channels are
      multiples of 8.
    activation: 'relu' or 'relu6'; None for the network's own. Bottlenecks have
      none.
  """
  return _build(
      network_tables.MOBILENET_V2, input_shape, num_classes, width, activation
  )


def mnasnet_b1(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    activation: str | None = None,
) -> keras.Model:
  """Returns MnasNet-B1; arguments as for `mobilenet_v2`.

  The last convolution always has 1280 channels.
  """
  return _build(
      network_tables.MNASNET_B1, input_shape, num_classes, width, activation
  )


def efficientnet_lite0(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    activation: str | None = None,
) -> keras.Model:
  """Returns EfficientNet-Lite0; arguments as for `mobilenet_v2`.

  The first and the last convolution always have 32 and 1280 channels.
  """
  return _build(
      network_tables.EFFICIENTNET_LITE0,
      input_shape,
      num_classes,
      width,
      activation,
  )


def _build(
    network: network_tables.InvertedResiduals,
    input_shape: tuple[int, int, int],
    num_classes: int,
    width: float,
    activation: str | None,
) -> keras.Model:
  activation = activation or network.activation
  inputs = keras.Input(input_shape, name='input')
  channels = network_tables.stem_channels(network, width)
  x = conv_blocks.conv_bn(inputs, 'conv_stem', channels, 3, 2, activation)
  for block in network_tables.blocks(network, width):
    x = _inverted_residual(x, block, activation)
  channels = network_tables.head_channels(network, width)
  x = conv_blocks.conv_bn(x, 'conv_head', channels, 1, 1, activation)
  return conv_blocks.classify(x, inputs, num_classes, network.name)


def _inverted_residual(x, block: network_tables.Block, activation):
  inputs, name = x, block.name
  in_channels = inputs.shape[-1]
  if block.expansion != 1:
    x = conv_blocks.conv_bn(
        x, f'{name}_expand', block.expansion * in_channels, 1, 1, activation
    )
  x = conv_blocks.depthwise_conv_bn(
      x, f'{name}_dw', block.stride, activation, kernel_size=block.kernel_size
  )
  x = conv_blocks.conv_bn(x, f'{name}_project', block.channels, 1, 1, None)
  if block.stride == 1 and block.channels == in_channels:
    x = keras.layers.Add(name=f'{name}_add')([inputs, x])
  return x
