"""ResNet8 and DS-CNN: the MLPerf Tiny networks for 32x32 images and keywords.

Source of the shapes: Banbury et al., "MLPerf Tiny Benchmark"
(arXiv:2106.07597), section 4. Convolutions keep their bias, as in the published
networks, so that published weights fit; dropout is left out, because it does
nothing after training.
"""

import tf_keras as keras

from tfmpq import conv_blocks

_DS_CNN_NUM_BLOCKS = 4


def resnet8(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    width: float = 1.0,
    activation: str = 'relu',
) -> keras.Model:
  """Returns ResNet8: a stem and three residual stacks of two convolutions.

  Args:
    input_shape: (height, width, channels) of an image.
    num_classes: Number of logits.
    width: Channel multiplier of the 16, 32 and 64 channels.
    activation: 'relu' or 'relu6'.
  """
  inputs = keras.Input(input_shape, name='input')
  channels = [int(c * width) for c in (16, 32, 64)]
  x = conv_blocks.conv_bn(
      inputs, 'conv_stem', channels[0], 3, 1, activation, use_bias=True
  )
  for index, stack_channels in enumerate(channels, start=1):
    stride = 1 if index == 1 else 2
    x = _residual_stack(x, f'stack_{index}', stack_channels, stride, activation)
  return conv_blocks.classify(x, inputs, num_classes, 'resnet8')


def ds_cnn(
    input_shape: tuple[int, int, int] = (49, 10, 1),
    num_classes: int = 12,
    width: float = 1.0,
    activation: str = 'relu',
) -> keras.Model:
  """Returns DS-CNN for keyword spotting on 49 frames of 10 MFCC features.

  Args:
    input_shape: (frames, features, 1).
    num_classes: Number of logits.
    width: Channel multiplier of the 64 channels of every layer.
    activation: 'relu' or 'relu6'.
  """
  inputs = keras.Input(input_shape, name='input')
  channels = int(64 * width)
  x = conv_blocks.conv_bn(
      inputs, 'conv_stem', channels, (10, 4), 2, activation, use_bias=True
  )
  for index in range(1, _DS_CNN_NUM_BLOCKS + 1):
    x = conv_blocks.depthwise_conv_bn(
        x, f'conv_dw_{index}', 1, activation, use_bias=True
    )
    x = conv_blocks.conv_bn(
        x, f'conv_pw_{index}', channels, 1, 1, activation, use_bias=True
    )
  return conv_blocks.classify(x, inputs, num_classes, 'ds_cnn')


def _residual_stack(x, name, channels, stride, activation):
  """Two 3x3 convolutions beside a shortcut, added, then activated."""
  shortcut = x
  x = conv_blocks.conv_bn(
      x, f'{name}_conv_1', channels, 3, stride, activation, use_bias=True
  )
  x = conv_blocks.conv_bn(
      x, f'{name}_conv_2', channels, 3, 1, None, use_bias=True
  )
  if stride != 1:
    # The published network has no BatchNorm on the shortcut.
    shortcut = keras.layers.Conv2D(
        channels, 1, stride, 'same', name=f'{name}_shortcut'
    )(shortcut)
  x = keras.layers.Add(name=f'{name}_add')([x, shortcut])
  return conv_blocks.activate(x, f'{name}_relu', activation)
