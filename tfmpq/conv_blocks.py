"""Convolution + BatchNorm + activation blocks that the networks are made of.

Each block names its layers after one `name` (`<name>`, `<name>_bn`,
`<name>_relu`), so that weights can be stored by name.
"""

import tf_keras as keras

layers = keras.layers


def conv_bn(x, name, channels, kernel_size, stride, activation, use_bias=False):
  """Applies Conv2D + BatchNorm + activation, with 'same' padding.

  Args:
    x: [N, H, W, C] Keras tensor.
    name: Name of the convolution.
    channels: Number of output channels.
    kernel_size: One number or (height, width).
    stride: Both spatial strides.
    activation: 'relu', 'relu6', or None for a linear block.
    use_bias: Whether the convolution has a bias. It has no effect before
      BatchNorm; only published weights need it.

  Returns:
    [N, ceil(H / stride), ceil(W / stride), channels] Keras tensor.
  """
  x = layers.Conv2D(
      channels, kernel_size, stride, 'same', use_bias=use_bias, name=name
  )(x)
  return _normalize(x, name, activation)


def depthwise_conv_bn(
    x, name, stride, activation, use_bias=False, kernel_size=3
):
  """Applies DepthwiseConv2D + BatchNorm + activation; see `conv_bn`."""
  x = layers.DepthwiseConv2D(
      kernel_size, stride, 'same', use_bias=use_bias, name=name
  )(x)
  return _normalize(x, name, activation)


def activate(x, name, activation):
  """Applies 'relu' or 'relu6' as a layer called `name`; None applies none."""
  if activation is None:
    return x
  if activation not in ('relu', 'relu6'):
    raise ValueError(
        f"layer '{name}': expected the activation 'relu', 'relu6' or None, got"
        f' {activation!r}'
    )
  max_value = 6.0 if activation == 'relu6' else None
  return layers.ReLU(max_value, name=name)(x)


def classify(x, inputs, num_classes, name) -> keras.Model:
  """Returns the model that ends `x` in pooling and `num_classes` logits."""
  x = layers.GlobalAveragePooling2D(name='pool')(x)
  logits = layers.Dense(num_classes, name='logits')(x)
  return keras.Model(inputs, logits, name=name)


def _normalize(x, name, activation):
  x = layers.BatchNormalization(name=f'{name}_bn')(x)
  return activate(x, f'{name}_relu', activation)
