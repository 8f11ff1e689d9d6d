"""MobileNetV1 and MobileNetV2 builders.

Every builder names its layers explicitly, so that weights can be stored by
name, and returns a model whose output are logits (no softmax): the integer
network ends at the logits too.

Sources: Howard et al., "MobileNets" (arXiv:1704.04861), table 1; Sandler et
al., "MobileNetV2" (arXiv:1801.04381), table 2.
"""

import tf_keras as keras

from tfmpq import conv_blocks

# (output channels at width 1, stride) of each depthwise-separable block.
_SMALL_BLOCKS = ((48, 1), (64, 1), (96, 2), (96, 1), (128, 1), (128, 1))
_V1_BLOCKS = (
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
# (expansion, output channels at width 1, repeats, stride of the first repeat).
_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_V2_HEAD_CHANNELS = 1280


def scale_channels(channels: int, width: float, divisor: int = 8) -> int:
  """Returns `channels * width` as a multiple of `divisor`.

  Rounds to the nearest multiple, never below `divisor` and never more than
  10 % below the exact product (the rule of the MobileNetV2 paper's authors).
  """
  exact = channels * width
  scaled = max(divisor, int(exact + divisor / 2) // divisor * divisor)
  return scaled + divisor if scaled < 0.9 * exact else scaled


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
      stem_channels=scale_channels(24, width),
      blocks=[(scale_channels(c, width), s) for c, s in _SMALL_BLOCKS],
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
      blocks=[(int(c * width), s) for c, s in _V1_BLOCKS],
      activation=activation,
  )


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    activation: str = 'relu6',
) -> keras.Model:
  """Returns MobileNetV2: inverted residuals with linear bottlenecks.

  A block adds its input to its output where both have the same shape. The
  last convolution keeps 1280 channels for widths below 1, as in the paper.

  Args:
    input_shape: (height, width, channels) of an image.
    num_classes: Number of logits.
    width: Channel multiplier; channels are multiples of 8.
    activation: 'relu' or 'relu6'; bottlenecks have none.
  """
  inputs = keras.Input(input_shape, name='input')
  x = conv_blocks.conv_bn(
      inputs, 'conv_stem', scale_channels(32, width), 3, 2, activation
  )
  index = 0
  for expansion, channels, repeats, first_stride in _V2_STAGES:
    for repeat in range(repeats):
      index += 1
      x = _inverted_residual(
          x,
          f'block_{index}',
          expansion,
          scale_channels(channels, width),
          first_stride if repeat == 0 else 1,
          activation,
      )
  head_channels = scale_channels(_V2_HEAD_CHANNELS, max(1.0, width))
  x = conv_blocks.conv_bn(x, 'conv_head', head_channels, 1, 1, activation)
  return conv_blocks.classify(x, inputs, num_classes, 'mobilenet_v2')


def _mobilenet_v1(
    name, input_shape, num_classes, stem_channels, blocks, activation
):
  inputs = keras.Input(input_shape, name='input')
  x = conv_blocks.conv_bn(inputs, 'conv_stem', stem_channels, 3, 2, activation)
  for index, (channels, stride) in enumerate(blocks, start=1):
    x = conv_blocks.depthwise_conv_bn(x, f'conv_dw_{index}', stride, activation)
    x = conv_blocks.conv_bn(x, f'conv_pw_{index}', channels, 1, 1, activation)
  return conv_blocks.classify(x, inputs, num_classes, name)


def _inverted_residual(x, name, expansion, channels, stride, activation):
  inputs = x
  in_channels = inputs.shape[-1]
  if expansion != 1:
    x = conv_blocks.conv_bn(
        x, f'{name}_expand', expansion * in_channels, 1, 1, activation
    )
  x = conv_blocks.depthwise_conv_bn(x, f'{name}_dw', stride, activation)
  x = conv_blocks.conv_bn(x, f'{name}_project', channels, 1, 1, None)
  if stride == 1 and channels == in_channels:
    x = keras.layers.Add(name=f'{name}_add')([inputs, x])
  return x
