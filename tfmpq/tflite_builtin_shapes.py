"""Which builtin op computes a layer, and how its window is padded there.

Follows from the NetworkSpec alone.
"""

from __future__ import annotations

import dataclasses

from tfmpq import specs
from tfmpq import tflite_file

SAME = tflite_file.schema.Padding.SAME
VALID = tflite_file.schema.Padding.VALID


@dataclasses.dataclass(frozen=True)
class Window:
  """Padding of a layer's window in terms of builtin ops.

  Attributes:
    mode: SAME or VALID.
    padded: (top, left, bottom, right) that a PAD in front has to add.
  """

  mode: int
  padded: tuple[int, int, int, int] = (0, 0, 0, 0)


def builtin_name(spec: specs.NetworkSpec, layer: specs.LayerSpec) -> str:
  """Returns the name of the builtin op that computes a layer."""
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    image = spec.tensor(layer.inputs[0]).shape[:2]
    shared = spec.bits_owner(layer.output) == spec.bits_owner(layer.inputs[0])
    if shared or any(layer.padding):
      return 'AVERAGE_POOL_2D'
    return 'MEAN' if layer.kernel_size == image else 'DEPTHWISE_CONV_2D'
  return {
      specs.Op.CONV_2D: 'CONV_2D',
      specs.Op.FULLY_CONNECTED: 'CONV_2D',
      specs.Op.DEPTHWISE_CONV_2D: 'DEPTHWISE_CONV_2D',
      specs.Op.ADD: 'ADD',
      specs.Op.MAX_POOL_2D: 'MAX_POOL_2D',
  }[layer.op]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
  """Returns what SAME adds before and after `size` elements."""
  outputs = -(-size // stride)
  total = max((outputs - 1) * stride + kernel - size, 0)
  return total // 2, total - total // 2


def window(spec: specs.NetworkSpec, layer: specs.LayerSpec) -> Window:
  """Returns the padding of a layer with a window.

  Raises:
    ValueError: an average pool whose padding is neither SAME nor VALID: a PAD
      would count in the average.
  """
  sizes = spec.tensor(layer.inputs[0]).shape[:2]
  outputs = spec.tensor(layer.output).shape[:2]
  begins, needed, same = [], [], True
  for axis, size in enumerate(sizes):
    kernel, stride = layer.kernel_size[axis], layer.stride[axis]
    begin = layer.padding[axis]
    # What lies behind the last window is of no consequence.
    end = max((outputs[axis] - 1) * stride + kernel - size - begin, 0)
    begins.append(begin)
    needed.append(end)
    same &= begin == same_padding(size, kernel, stride)[0]
    same &= outputs[axis] == -(-size // stride)
  if not any((*begins, *needed)):
    return Window(VALID)
  if same:
    return Window(SAME)
  if layer.op is specs.Op.AVERAGE_POOL_2D:
    raise ValueError(
        f'padding {layer.padding} is neither SAME nor VALID, and a PAD in '
        'front would count in the average'
    )
  (top, left), (bottom, right) = begins, needed
  return Window(VALID, (top, left, bottom, right))
