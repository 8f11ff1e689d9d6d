"""Which kernel computes a layer on a core, and what that kernel needs.

A core has an instruction set, and an instruction set is a `Target` of exports:
its kernels read weights in a layout of their own, need scratch memory, and may
write an output over their input. The C headers say the same
(tflm_ext/kernels/<op>_dsp.h, <op>_mve.h: layout, scratch_bytes and in_place
functions); kernel_targets_test compiles them and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import enum
import functools

from tfmpq import specs
from tfmpq import weight_layouts


class Target(str, enum.Enum):
  """Instruction set for which a model is exported.

  PORTABLE: C99 for any machine.
  DSP: Armv7E-M, and Armv8-M with the DSP extension.
  MVE: Armv8.1-M with the M-profile vector extension.
  """

  PORTABLE = 'portable'
  DSP = 'dsp'
  MVE = 'mve'


_TARGET_OF_CORE = {
    'host': Target.PORTABLE,
    'cortex_m4': Target.DSP,
    'cortex_m7': Target.DSP,
    'cortex_m33': Target.DSP,
    'cortex_m55': Target.MVE,
}


def of_core(core: str) -> Target:
  """Returns the target of a core; ValueError names the nearest core."""
  if core not in _TARGET_OF_CORE:
    raise ValueError(
        f"there is no core '{core}'" + specs.did_you_mean(core, _TARGET_OF_CORE)
    )
  return _TARGET_OF_CORE[core]


def of_cores(cores: Iterable[str]) -> tuple[Target, ...]:
  """Returns the targets of some cores, each once, in the order of `Target`."""
  found = {of_core(core) for core in cores}
  return tuple(target for target in Target if target in found)


@dataclasses.dataclass(frozen=True)
class Geometry:
  """What a kernel's needs depend on, apart from widths.

  Attributes:
    op: what the layer computes.
    input_shape: (height, width, channels) of the first input.
    output_shape: of the output.
    kernel_size: (height, width).
    stride: (vertical, horizontal).
    padding: (top, left, bottom, right).
  """

  op: specs.Op
  input_shape: tuple[int, ...]
  output_shape: tuple[int, ...]
  kernel_size: tuple[int, int] = (1, 1)
  stride: tuple[int, int] = (1, 1)
  padding: tuple[int, int, int, int] = (0, 0, 0, 0)

  @property
  def num_elements(self) -> int:
    """Elements under the kernel, all input channels counted."""
    return self.kernel_size[0] * self.kernel_size[1] * self.input_shape[2]


@dataclasses.dataclass(frozen=True)
class Kernel:
  """The kernel that computes a layer.

  Attributes:
    target: whose kernel it is: the suffix of its name.
    input_bits: width of the (first) input.
    layout: of the weight (tfmpq.weight_layouts).
    scratch_bytes: scratch memory that it needs, 4-byte aligned.
    in_place: whether it may write over an input of at least the output's bytes
      per pixel.
  """

  target: Target
  input_bits: int
  layout: int = weight_layouts.PLAIN
  scratch_bytes: int = 0
  in_place: bool = False

  @property
  def suffix(self) -> str:
    """What the name of the C function and of its header end in."""
    return '' if self.target is Target.PORTABLE else f'__{self.target.value}'


@functools.lru_cache(maxsize=65536)
def kernel(
    target: Target,
    shape: Geometry,
    input_bits: int,
    weight_bits: int,
    output_bits: int,
) -> Kernel:
  """Returns the kernel of a layer.

  Args:
    target: for which the model is exported.
    shape: of the layer.
    input_bits: width of the (first) input.
    weight_bits: width of the weight; of the last input if there is none.
    output_bits: width of the output.
  """
  rule = _RULES.get((target, shape.op))
  if rule is not None:
    found = rule(shape, input_bits, weight_bits, output_bits)
    if found is not None:
      return found
  return Kernel(Target.PORTABLE, input_bits, in_place=shape.op is specs.Op.ADD)


class NetworkKernels:
  """The kernels of a network's layers, for one target and any policy."""

  def __init__(self, network: specs.NetworkSpec, target: Target):
    shapes = {tensor.name: tensor.shape for tensor in network.tensors}
    owners = {t.name: t.bits_of or t.name for t in network.tensors}
    for name in owners:
      while owners[name] != owners[owners[name]]:
        owners[name] = owners[owners[name]]
    self._target = target
    self._layers = tuple(
        (
            Geometry(
                layer.op,
                shapes[layer.inputs[0]],
                shapes[layer.output],
                layer.kernel_size,
                layer.stride,
                layer.padding,
            ),
            owners[layer.inputs[0]],
            layer.weight or owners[layer.inputs[-1]],
            owners[layer.output],
        )
        for layer in network.layers
    )

  def choose(self, bits: Mapping[str, int]) -> tuple[Kernel, ...]:
    """Returns one kernel per layer; bits: policy entries, tensor -> width."""
    return tuple(
        kernel(self._target, shape, bits[first], bits[second], bits[output])
        for shape, first, second, output in self._layers
    )


def ops_of(target: Target) -> tuple[specs.Op, ...]:
  """Returns the ops for which a target has kernels of its own."""
  return tuple(op for known, op in _RULES if known is target)


def _round_up(number: int, multiple: int) -> int:
  return -(-number // multiple) * multiple


def _shrinks(shape: Geometry) -> bool:
  """Whether the output has neither more rows nor more columns."""
  pairs = zip(shape.output_shape[:2], shape.input_shape[:2], strict=True)
  return all(after <= before for after, before in pairs)


# The largest number of elements whose scaled sums fit into int32.
_DSP_MAX_ELEMENTS = 65535


def _dsp_conv2d(shape: Geometry, a: int, w: int, o: int) -> Kernel | None:
  del o
  if shape.num_elements > _DSP_MAX_ELEMENTS:
    return None
  group = 16 if a == w == 2 else 4
  num_elements = _round_up(shape.num_elements, group)
  scratch_bytes = num_elements * (2 if a == w == 2 else 4)
  if shape.kernel_size != (1, 1) and shape.input_shape[2] % group:
    scratch_bytes += num_elements + 4
  return Kernel(Target.DSP, a, weight_layouts.DSP, scratch_bytes)


def _dsp_depthwise(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w, o
  height, width = shape.kernel_size
  even_width = _round_up(shape.output_shape[1], 2)
  pairs = ((even_width - 1) * shape.stride[1] + width - 1) // 2 + 1
  scratch_bytes = (
      16 * height * pairs
      + 4 * even_width
      + 32 * (2 * height - 1) * (width // 2 + 1)
  )
  return Kernel(
      Target.DSP,
      a,
      scratch_bytes=scratch_bytes,
      in_place=_shrinks(shape) and shape.padding[0] < height,
  )


def _dsp_fully_connected(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del o
  channels = shape.input_shape[2]
  scratch_bytes = (
      _round_up(channels, 16) if a == w == 2 else 2 * _round_up(channels, 4)
  )
  return Kernel(Target.DSP, a, weight_layouts.DSP, scratch_bytes)


def _dsp_without_weights(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w, o
  return Kernel(Target.DSP, a, in_place=shape.op is specs.Op.ADD)


def _mve_conv2d(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w
  is_direct = (
      a == 8
      and shape.input_shape[2] % 16 == 0
      and shape.kernel_size == shape.stride == (1, 1)
      and shape.padding[:2] == (0, 0)
      and shape.output_shape[0] <= shape.input_shape[0]
      and shape.output_shape[1] == shape.input_shape[1]
  )
  channels = shape.output_shape[2]
  pixel_bytes = 0 if is_direct else shape.num_elements
  if o != 8 or channels % 4:
    pixel_bytes += _round_up(channels, 4)
  pixels = min(max(512 // max(pixel_bytes, 1) // 2 * 2, 2), 16)
  scratch_bytes = pixels * pixel_bytes + (0 if is_direct else 16)
  return Kernel(Target.MVE, a, weight_layouts.MVE, scratch_bytes)


def _mve_depthwise(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w
  height, width = shape.kernel_size
  out_height, out_width = shape.output_shape[:2]
  is_paired = (height, width) == (3, 3) and shape.stride == (1, 1)
  has_even_sides = out_height % 2 == 0 and out_width % 2 == 0
  code_columns = _round_up(out_width, 4)
  columns = (
      _round_up(out_width, 2) + 2
      if is_paired
      else (code_columns - 1) * shape.stride[1] + _round_up(width, 4)
  )
  patch_rows = -(-height // 4)
  scratch_bytes = (
      64 * columns * patch_rows
      + 336 * patch_rows * -(-width // 4)
      + 16 * code_columns
  )
  if is_paired and not (o == 8 and has_even_sides):
    scratch_bytes += 16 * code_columns
  if height > 4 or width > 4:
    scratch_bytes += 16 * columns * height
  return Kernel(
      Target.MVE,
      a,
      scratch_bytes=scratch_bytes,
      in_place=_shrinks(shape)
      and shape.padding[0] < height
      and (a == o or shape.input_shape[2] <= 16),
  )


def _mve_fully_connected(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w, o
  channels = shape.input_shape[2]
  is_direct = a == 8 and channels % 16 == 0
  scratch_bytes = 0 if is_direct else _round_up(channels, 16)
  return Kernel(Target.MVE, a, weight_layouts.MVE, scratch_bytes)


def _mve_without_weights(shape: Geometry, a: int, w: int, o: int) -> Kernel:
  del w, o
  return Kernel(Target.MVE, a, in_place=shape.op is specs.Op.ADD)


# (target, op) -> rule; None from a rule: the portable kernel computes it.
_Rule = Callable[[Geometry, int, int, int], Kernel | None]
_RULES: Mapping[tuple[Target, specs.Op], _Rule] = {
    (Target.DSP, specs.Op.CONV_2D): _dsp_conv2d,
    (Target.DSP, specs.Op.DEPTHWISE_CONV_2D): _dsp_depthwise,
    (Target.DSP, specs.Op.FULLY_CONNECTED): _dsp_fully_connected,
    (Target.DSP, specs.Op.ADD): _dsp_without_weights,
    (Target.DSP, specs.Op.AVERAGE_POOL_2D): _dsp_without_weights,
    (Target.DSP, specs.Op.MAX_POOL_2D): _dsp_without_weights,
    (Target.MVE, specs.Op.CONV_2D): _mve_conv2d,
    (Target.MVE, specs.Op.DEPTHWISE_CONV_2D): _mve_depthwise,
    (Target.MVE, specs.Op.FULLY_CONNECTED): _mve_fully_connected,
    (Target.MVE, specs.Op.ADD): _mve_without_weights,
    (Target.MVE, specs.Op.AVERAGE_POOL_2D): _mve_without_weights,
    (Target.MVE, specs.Op.MAX_POOL_2D): _mve_without_weights,
}
