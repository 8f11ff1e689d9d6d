"""C++ sources that make a .tflite part of a firmware under TFLite Micro.

They implement tflm_ext/runners/tflm_model.h: the bytes of the model as a
constant, and the registration of those ops and kernels that the model uses, so
that the linker leaves all others out.
"""

from __future__ import annotations

from collections.abc import Iterable

from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_options
from tfmpq import weight_layouts

DATA_FILE = 'model_data.cc'
OPS_FILE = 'model_ops.cc'

_BYTES_PER_LINE = 12
# Name in the schema -> method of MicroMutableOpResolver.
_BUILTIN_METHODS = {
    'ADD': 'AddAdd',
    'AVERAGE_POOL_2D': 'AddAveragePool2D',
    'CONV_2D': 'AddConv2D',
    'DEPTHWISE_CONV_2D': 'AddDepthwiseConv2D',
    'FULLY_CONNECTED': 'AddFullyConnected',
    'MAX_POOL_2D': 'AddMaxPool2D',
    'MEAN': 'AddMean',
    'PAD': 'AddPad',
    'RESHAPE': 'AddReshape',
    'SOFTMAX': 'AddSoftmax',
}
# Widths in the order of a kernel's name.
_WIDTH_KEYS = {
    specs.Op.ADD: ('a_bits', 'b_bits', 'o_bits'),
    specs.Op.AVERAGE_POOL_2D: ('a_bits', 'o_bits'),
    specs.Op.MAX_POOL_2D: ('a_bits',),
}
_WEIGHTED_KEYS = ('a_bits', 'w_bits', 'o_bits')
# A core's own kernels of these read no weights in the plain layout.
_OPS_WITH_LAYOUT = (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED)

_DATA = """// The model, as tfmpq has exported it.
#include <cstring>

#include "tflm_ext/runners/memory_sections.h"
#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {{
namespace {{

// FlatBuffers wants 16-byte alignment.
alignas(16) TFMPQ_CONST const uint8_t kModel[{num_bytes}] = {{
{lines}
}};

}}  // namespace

ModelBytes LoadModel(const char* path) {{
  if (std::strcmp(path, "embedded") != 0) return {{nullptr, 0}};
  return {{kModel, sizeof(kModel)}};
}}

}}  // namespace tfmpq
"""

_OPS = """// The ops of the model, as tfmpq has exported it.
{include}#include "tflm_ext/runners/tflm_model.h"

namespace tfmpq {{

TfLiteStatus RegisterModelOps(OpResolver& resolver) {{
  TfLiteStatus status = kTfLiteOk;
{lines}
  return status;
}}

}}  // namespace tfmpq
"""


def model_data(tflite: bytes) -> str:
  """Returns the content of `DATA_FILE`: a model as a C++ array."""
  rows = (
      tflite[start : start + _BYTES_PER_LINE]
      for start in range(0, len(tflite), _BYTES_PER_LINE)
  )
  lines = '\n'.join('    ' + ', '.join(map(str, row)) + ',' for row in rows)
  return _DATA.format(num_bytes=len(tflite), lines=lines)


def model_ops(tflite: bytes) -> str:
  """Returns the content of `OPS_FILE`: registration of the ops of a model.

  Raises:
    ValueError: not a .tflite, or it has an op that is not known here.
  """
  calls = registrations(tflite)
  lines = [
      f'  if (status == kTfLiteOk) {{\n    status = {call};\n  }}'
      for call in calls
  ]
  has_own = any(not call.startswith('resolver.') for call in calls)
  include = '#include "tflm_ext/ops/register_ops.h"\n' if has_own else ''
  return _OPS.format(include=include, lines='\n'.join(lines))


def registrations(tflite: bytes) -> list[str]:
  """Returns C++ calls that add the ops of a model to `resolver`, sorted.

  Raises:
    ValueError: not a .tflite, or it has an op that is not known here.
  """
  operators = tflite_file.parse(tflite).operators
  kernels: dict[specs.Op, set[str]] = {}
  calls = set()
  for operator in operators:
    if operator.custom_code:
      op = tflite_options.op_of(operator.custom_code)
      kernels.setdefault(op, set()).add(_kernel(op, operator.options))
    else:
      calls.add(_builtin_call(operator.builtin))
  calls |= {_custom_call(op, names) for op, names in kernels.items()}
  return sorted(calls)


def _kernel(op: specs.Op, options: bytes) -> str:
  """Returns the kernel of an operator as tflm_ext/ops calls it."""
  values = tflite_options.decode(op, options)
  is_portable = (
      op in _OPS_WITH_LAYOUT and values['layout'] == weight_layouts.PLAIN
  )
  widths = (str(values[key]) for key in _WIDTH_KEYS.get(op, _WEIGHTED_KEYS))
  return f'{"Portable" if is_portable else ""}Kernel<{", ".join(widths)}>'


def _custom_call(op: specs.Op, kernels: Iterable[str]) -> str:
  name = tflite_options.CUSTOM_CODES[op].removeprefix('Tfmpq')
  arguments = ',\n        '.join(sorted(kernels))
  return f'Register{name}<\n        {arguments}>(resolver)'


def _builtin_call(name: str) -> str:
  if name not in _BUILTIN_METHODS:
    raise ValueError(
        f"no registration is known of the op '{name}'; known are "
        f'{", ".join(_BUILTIN_METHODS)}'
    )
  return f'resolver.{_BUILTIN_METHODS[name]}()'
