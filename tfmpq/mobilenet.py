"""MobileNetV1 builders.

Every builder names its layers explicitly, so that weights can be stored by
name, and returns a model whose output are logits (no softmax): the integer
network ends at the logits too.

Source: Howard et al., "MobileNets" (arXiv:1704.04861), table 1.
"""

import tf_keras as keras

from tfmpq import conv_blocks
from tfmpq import network_tables

# (output channels at width 1, stride) of each depthwise-separable block.
_SMALL_BLOCKS = ((48, 1), (64, 1), (96, 2), (96, 1), (128, 1), (128, 1))


def mobilenet_v1_small(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    width: float = 1.0,
    activation: str = 'relu',
) -> keras.Model:
  """Returns the default network: MobileNetV1 cut down to 28x28 images.

  A 3x3 stem of 24 channels with stride 2, six depthwise-separable blocks,
  global average pooling and one fully connected layer; 58,026 parameters with
  the default arguments.

  Args:
    input_shape: (height, width, channels) of an image.
    num_classes: Number of logits.
    width: Channel multiplier; channels are multiples of 8.
    activation: 'relu' or 'relu6', after every convolution. ReLU is the default
      because the bound would be idle: at most 0.2 % of a layer's activations
      exceed 6, and the 4- and 2-bit clipping points with the least squared
      error lie between 1.6 and 6.5 (512 training images, stored weights).
  """
  return _mobilenet_v1(
      'mobilenet_v1_small',
      input_shape,
      num_classes,
      stem_channels=network_tables.scale_channels(24, width),
      blocks=[
          (network_tables.scale_channels(c, width), s) for c, s in _SMALL_BLOCKS
      ],
      activation=activation,
  )


def mobilenet_v1(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    activation: str = 'relu6',
) -> keras.Model:
  """Returns MobileNetV1 with its 13 depthwise-separable blocks.

  Args:
    input_shape: (height, width, channels) of an image.
    num_classes: Number of logits.
    width: Channel multiplier (0.25, 0.5, 0.75, 1.0 in the paper).
    activation: 'relu' or 'relu6', after every convolution.
  """
  return _mobilenet_v1(
      'mobilenet_v1',
      input_shape,
      num_classes,
      stem_channels=int(32 * width),
      blocks=[
          (int(c * width), s) for c, s in network_tables.MOBILENET_V1_BLOCKS
      ],
      activation=activation,
  )


def _mobilenet_v1(
    name, input_shape, num_classes, stem_channels, blocks, activation
):
  inputs = keras.Input(input_shape, name='input')
  x = conv_blocks.conv_bn(inputs, 'conv_stem', stem_channels, 3, 2, activation)
  for index, (channels, stride) in enumerate(blocks, start=1):
    x = conv_blocks.depthwise_conv_bn(x, f'conv_dw_{index}', stride, activation)
    x = conv_blocks.conv_bn(x, f'conv_pw_{index}', channels, 1, 1, activation)
  return conv_blocks.classify(x, inputs, num_classes, name)
