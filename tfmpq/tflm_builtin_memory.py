"""What TFLM's builtin ops take from the arena, for `tflm_arena`.

Read in tflite-micro@90b983c (micro/kernels: *_common.cc, reduce.cc, pad.cc and
cmsis_nn/) and CMSIS-NN 99f736a (*_get_buffer_sizes_s8.c, _s4.c). An op depends
on its own tensors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import enum
import math

from tfmpq import specs
from tfmpq import tflite_builtin_shapes
from tfmpq import tflite_file
from tfmpq import tflm_arena
from tfmpq.tflm_structures import Structure

_INT_BYTES = 4
_TYPE_BYTES = {'int8': 1, 'int32': 4, 'int4': 1}
_NUM_DIMENSIONS = 4
_MVE_CHANNELS = 124  # CMSIS-NN's CH_IN_BLOCK_MVE
_MVE_VECTOR_BYTES = 16


class Kernels(str, enum.Enum):
  """Implementations of the builtin ops.

  REFERENCE: TFLM's own, for instance on a host.
  CMSIS_DSP: CMSIS-NN on Cortex-M4, M7, M33.
  CMSIS_MVE: CMSIS-NN on Cortex-M55.
  """

  REFERENCE = 'reference'
  CMSIS_DSP = 'cmsis_dsp'
  CMSIS_MVE = 'cmsis_mve'


_OF_CORE = {
    'host': Kernels.REFERENCE,
    'cortex_m4': Kernels.CMSIS_DSP,
    'cortex_m7': Kernels.CMSIS_DSP,
    'cortex_m33': Kernels.CMSIS_DSP,
    'cortex_m55': Kernels.CMSIS_MVE,
}


def of_core(core: str) -> Kernels:
  """Returns the kernels of a core; ValueError names the nearest core."""
  if core not in _OF_CORE:
    raise ValueError(
        f"there is no core '{core}'" + specs.did_you_mean(core, _OF_CORE)
    )
  return _OF_CORE[core]


def graph(
    model: tflite_file.Model, kernels: Kernels, pointer_bytes: int
) -> tflm_arena.Graph:
  """Returns a model of builtin ops, as far as its memory goes.

  Args:
    model: content of the .tflite, without memory plan.
    kernels: of the machine.
    pointer_bytes: of the machine.

  Raises:
    ValueError: an op whose memory is not known.
  """
  return tflm_arena.Graph(
      tensors=tuple(map(_tensor, model.tensors)),
      ops=tuple(
          _op(model, operator, kernels, pointer_bytes)
          for operator in model.operators
      ),
      inputs=model.inputs,
      outputs=model.outputs,
  )


def _tensor(tensor: tflite_file.Tensor) -> tflm_arena.Tensor:
  size = 0 if tensor.data is not None else math.prod(tensor.shape)
  channels = 0
  if tensor.quantization:
    channels = max(1, len(tensor.quantization.channel_scales))
  return tflm_arena.Tensor(size * _TYPE_BYTES[tensor.dtype], channels)


@dataclasses.dataclass(frozen=True)
class _Call:
  """What an op looks at in Prepare.

  Attributes:
    inputs: its input tensors.
    output: its output tensor.
    fields: its options.
    kernels: that compute it.
  """

  inputs: tuple[tflite_file.Tensor, ...]
  output: tflite_file.Tensor
  fields: Mapping[str, int]
  kernels: Kernels


# Index of a tensor that Prepare looks at: of an input, or the output.
_OUTPUT = -1


@dataclasses.dataclass(frozen=True)
class _Kind:
  """The memory of a builtin op.

  Attributes:
    parsed: structure of its options, by size of a pointer; None for none.
    data_bytes: of its persistent data, by size of a pointer; with CMSIS-NN, if
      that is different, behind it.
    temporaries: tensors that Prepare looks at, in order; with CMSIS-NN, if that
      is different, behind it.
    scratch: call -> bytes of its scratch buffers, 0 for none.
    channels_axis: of its weight, if it keeps int32 multiplier and shift of each
      channel.
  """

  parsed: Mapping[int, Structure] | None
  data_bytes: tuple[Mapping[int, int], ...]
  temporaries: tuple[tuple[int, ...], ...]
  scratch: Callable[[_Call], tuple[int, ...]]
  channels_axis: int | None = None


def _op(
    model: tflite_file.Model,
    operator: tflite_file.Operator,
    kernels: Kernels,
    pointer_bytes: int,
) -> tflm_arena.Op:
  kind = _KINDS.get(operator.builtin)
  if kind is None:
    raise ValueError(
        f'operator {operator.builtin or operator.custom_code!r}: its memory is '
        f'not known, expected one of {sorted(_KINDS)}'
    )
  which = 0 if kernels is Kernels.REFERENCE else -1
  tensors = model.tensors
  inputs = tuple(tensors[i] for i in operator.inputs)
  (output,) = operator.outputs
  call = _Call(inputs, tensors[output], operator.fields, kernels)
  prepare_bytes: tuple[int, ...] = ()
  if kind.channels_axis is not None:
    prepare_bytes = (_INT_BYTES * inputs[1].shape[kind.channels_axis],) * 2
  return tflm_arena.Op(
      inputs=operator.inputs,
      outputs=operator.outputs,
      parsed=kind.parsed[pointer_bytes] if kind.parsed else None,
      init_bytes=kind.data_bytes[which][pointer_bytes],
      prepare_bytes=prepare_bytes,
      temporaries=tuple(
          output if i == _OUTPUT else operator.inputs[i]
          for i in kind.temporaries[which]
      ),
      scratch_bytes=tuple(filter(None, kind.scratch(call))),
  )


def _no_scratch(call: _Call) -> tuple[int, ...]:
  del call
  return ()


def _mean_scratch(call: _Call) -> tuple[int, ...]:
  """Accumulators, a position, and the axes."""
  _, axes = call.inputs
  counts = (math.prod(call.output.shape), _NUM_DIMENSIONS, axes.shape[0])
  return tuple(_INT_BYTES * count for count in counts)


def _average_pool_scratch(call: _Call) -> tuple[int, ...]:
  if call.kernels is not Kernels.CMSIS_DSP:
    return ()
  return (_INT_BYTES * call.output.shape[3],)


def _unpacked_weight(call: _Call) -> tuple[int, ...]:
  """The reference kernels unpack an INT4 weight as a whole."""
  weight = call.inputs[1]
  return (math.prod(weight.shape) if weight.dtype == 'int4' else 0,)


def _conv_scratch(call: _Call) -> tuple[int, ...]:
  if call.kernels is Kernels.REFERENCE:
    return _unpacked_weight(call)
  weight = call.inputs[1]
  _, k_h, k_w, _ = weight.shape
  return (_cmsis_conv_bytes(call, k_h, k_w),)


def _padding(call: _Call, k_h: int, k_w: int) -> tuple[int, int]:
  """Returns (top, left) padding."""
  if call.fields['Padding'] != tflite_builtin_shapes.SAME:
    return 0, 0
  _, height, width, _ = call.inputs[0].shape
  same = tflite_builtin_shapes.same_padding
  top, _ = same(height, k_h, call.fields['StrideH'])
  left, _ = same(width, k_w, call.fields['StrideW'])
  return top, left


def _cmsis_conv_bytes(call: _Call, k_h: int, k_w: int) -> int:
  """arm_convolve_wrapper_s8_get_buffer_size, which serves INT4, too."""
  _, height, _, channels = call.inputs[0].shape
  if (k_h, k_w) == (1, 1) and _padding(call, k_h, k_w) == (0, 0):
    return 0
  num_elements = k_h * k_w * channels
  if call.kernels is Kernels.CMSIS_DSP:
    return 4 * (-(-num_elements // 4) * 4)
  one_row = height == 1 and k_h == 1
  if one_row and call.fields['StrideW'] * channels % 4 == 0:
    size = _mve_row_bytes(call, k_w)
    if size is not None:
      return size
  vectors = -(-num_elements // _MVE_VECTOR_BYTES)
  return 4 * _MVE_VECTOR_BYTES * vectors


def _mve_row_bytes(call: _Call, k_w: int) -> int | None:
  """arm_convolve_1_x_n_s8_get_buffer_size_mve; None if it does not apply."""
  _, _, width, channels = call.inputs[0].shape
  out_width, stride = call.output.shape[2], call.fields['StrideW']
  _, left = _padding(call, 1, k_w)
  # As in C, a remainder has the sign of the dividend.
  uneven = int(math.fmod((out_width - 1) * stride + k_w - width, 2))

  def outputs_in(padding: int) -> int:
    return max(1, (padding + stride - 1) // stride) if padding else 0

  at_left, at_right = outputs_in(left), outputs_in(left + uneven)
  between = max(out_width - at_left - at_right, 0)
  if at_left + between + at_right != out_width:
    return None
  left_bytes = left * channels
  right_bytes = at_right * channels if uneven else left_bytes
  num_elements = k_w * channels
  return max(num_elements + left_bytes, num_elements - channels + right_bytes)


def _depthwise_scratch(call: _Call) -> tuple[int, ...]:
  """arm_depthwise_conv_wrapper_s8_get_buffer_size, _s4; depth multiplier 1."""
  if call.kernels is Kernels.REFERENCE:
    return _unpacked_weight(call)
  weight = call.inputs[1]
  _, k_h, k_w, channels = weight.shape
  if call.kernels is Kernels.CMSIS_MVE:
    return (4 * _MVE_CHANNELS * k_h * k_w,)
  if weight.dtype == 'int8' and (k_h, k_w) == (3, 3):
    if max(_padding(call, k_h, k_w)) <= 1:
      return ()
  return (2 * channels * k_h * k_w,)


_ALL_BUT_BIAS = (0, 1, _OUTPUT)
_WITH_BIAS = (0, 1, 2, _OUTPUT)
_CONV_DATA = ({4: 56, 8: 72}, {4: 60, 8: 80})
_POOL_DATA = ({4: 32, 8: 32}, {4: 36, 8: 36})
_POOL_OPTIONS = dict.fromkeys((4, 8), Structure(40, 4))
_CONV_OPTIONS = dict.fromkeys((4, 8), Structure(28, 4))
_KINDS: Mapping[str, _Kind] = {
    'ADD': _Kind(
        {4: Structure(2, 1), 8: Structure(8, 4)},
        ({4: 60, 8: 60},),
        ((0, 1, _OUTPUT),),
        _no_scratch,
    ),
    'AVERAGE_POOL_2D': _Kind(
        _POOL_OPTIONS,
        _POOL_DATA,
        ((0, _OUTPUT), (0, _OUTPUT, 0, _OUTPUT)),
        _average_pool_scratch,
    ),
    'CONV_2D': _Kind(
        _CONV_OPTIONS,
        _CONV_DATA,
        ((_OUTPUT, 0, 1, *_WITH_BIAS), (*_ALL_BUT_BIAS, *_WITH_BIAS)),
        _conv_scratch,
        channels_axis=0,
    ),
    'DEPTHWISE_CONV_2D': _Kind(
        _CONV_OPTIONS,
        _CONV_DATA,
        ((_OUTPUT, 0, 1, *_WITH_BIAS), (*_ALL_BUT_BIAS, *_WITH_BIAS)),
        _depthwise_scratch,
        channels_axis=3,
    ),
    'MAX_POOL_2D': _Kind(
        _POOL_OPTIONS, _POOL_DATA, ((0, _OUTPUT),), _no_scratch
    ),
    'MEAN': _Kind(
        dict.fromkeys((4, 8), Structure(1, 1)),
        ({4: 44, 8: 44},),
        ((0, _OUTPUT, 1, 0, 1, _OUTPUT),),
        _mean_scratch,
    ),
    'PAD': _Kind(None, ({4: 56, 8: 56},), ((0, 1, _OUTPUT),), _no_scratch),
}
