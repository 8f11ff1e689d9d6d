"""Names and options of the custom ops in a .tflite (tflm_ext/README.md).

Options are a FlexBuffer map of integers, all of one width: 8 bits, or more
where the geometry of a layer needs it. Values that depend on weights or
calibration (zero points, shifts) always fit into 8 bits, and their keys are
never left out, so the size of a map follows from the network and the policy.
"""

from collections.abc import Mapping
import struct

from flatbuffers import flexbuffers

from tfmpq import specs
from tfmpq import weight_layouts

CUSTOM_CODES = {
    specs.Op.CONV_2D: 'TfmpqConv2D',
    specs.Op.DEPTHWISE_CONV_2D: 'TfmpqDepthwiseConv2D',
    specs.Op.FULLY_CONNECTED: 'TfmpqFullyConnected',
    specs.Op.ADD: 'TfmpqAdd',
    specs.Op.AVERAGE_POOL_2D: 'TfmpqAveragePool2D',
    specs.Op.MAX_POOL_2D: 'TfmpqMaxPool2D',
}

OFFLINE_PLAN = 'OfflineMemoryAllocation'  # metadata that TFLM reads
SCALES = 'TfmpqScales'  # metadata: scales of all activations in between

_WINDOW = {
    'k_h': 1,
    'k_w': 1,
    's_h': 1,
    's_w': 1,
    'p_t': 0,
    'p_l': 0,
    'p_b': 0,
    'p_r': 0,
}
# In the order of LayerSpec's kernel_size, stride and padding.
WINDOW_KEYS = tuple(_WINDOW)

# Keys that are always there ...
_DEPTHWISE = (
    'a_bits',
    'c_in',
    'o_bits',
    'pre_shift',
    'shift',
    'w_bits',
    'z_in',
    'z_out',
)
_REQUIRED = {
    specs.Op.CONV_2D: (*_DEPTHWISE, 'c_out'),
    specs.Op.DEPTHWISE_CONV_2D: _DEPTHWISE,
    specs.Op.FULLY_CONNECTED: (*_DEPTHWISE, 'c_out'),
    specs.Op.ADD: (
        'a_bits',
        'b_bits',
        'c_in',
        'o_bits',
        'shift',
        'z_b',
        'z_in',
        'z_out',
    ),
    specs.Op.AVERAGE_POOL_2D: (
        'a_bits',
        'c_in',
        'o_bits',
        'pre_shift',
        'shift',
        'z_in',
        'z_out',
    ),
    specs.Op.MAX_POOL_2D: ('a_bits', 'c_in'),
}
# ... and keys with a default; without z_w there is a zero point per channel.
_WEIGHT: dict[str, int | None] = {'z_w': None, 'layout': weight_layouts.PLAIN}
_DEFAULTS: dict[specs.Op, dict[str, int | None]] = {
    specs.Op.CONV_2D: {**_WEIGHT, **_WINDOW},
    specs.Op.DEPTHWISE_CONV_2D: {**_WEIGHT, **_WINDOW},
    specs.Op.FULLY_CONNECTED: _WEIGHT,
    specs.Op.ADD: {},
    specs.Op.AVERAGE_POOL_2D: {**_WINDOW},
    specs.Op.MAX_POOL_2D: {**_WINDOW},
}


def op_of(custom_code: str) -> specs.Op:
  """Returns the op of that name; ValueError names the nearest one."""
  for op, code in CUSTOM_CODES.items():
    if code == custom_code:
      return op
  raise ValueError(
      f"there is no op '{custom_code}'"
      + specs.did_you_mean(custom_code, CUSTOM_CODES.values())
  )


def weight_shape(
    op: specs.Op, shape: tuple[int, ...], layout: int, num_bytes: int
) -> tuple[int, int]:
  """Returns the shape of a packed weight: (runs, bytes per run).

  Args:
    op: conv2d, depthwise_conv2d or fully_connected.
    shape: of the weight.
    layout: of the weight; only in the plain one are there several runs.
    num_bytes: of the weight in that layout.
  """
  if layout != weight_layouts.PLAIN:
    return 1, num_bytes
  # Depthwise [kH, kW, C] has a run per tap, the others one per output channel.
  runs = shape[0] * shape[1] if op is specs.Op.DEPTHWISE_CONV_2D else shape[0]
  return runs, num_bytes // runs


def encode(op: specs.Op, values: Mapping[str, int | None]) -> bytes:
  """Returns the FlexBuffer map of an op's options, defaults left out.

  Args:
    op: the op.
    values: every key of the op -> value; None for an absent `z_w`.

  Raises:
    ValueError: other keys than the op's.
  """
  defaults = _DEFAULTS[op]
  expected = {*_REQUIRED[op], *defaults}
  if set(values) != expected:
    raise ValueError(
        f'{op.value}: expected the keys {sorted(expected)}, received '
        f'{sorted(values)}'
    )
  builder = flexbuffers.Builder()
  with builder.Map():
    for key, value in sorted(values.items()):
      if key not in defaults or value != defaults[key]:
        builder.Key(key)
        builder.Int(int(value))
  return bytes(builder.Finish())


def decode(op: specs.Op, options: bytes) -> dict[str, int | None]:
  """Returns every key of the op -> value, defaults filled in.

  Raises:
    ValueError: the bytes are no map of integers, or a key is missing or
      unknown.
  """
  required, defaults = _REQUIRED[op], _DEFAULTS[op]
  given = _flexbuffer_map(options)
  for key, value in given.items():
    if key not in required and key not in defaults:
      raise ValueError(
          f"unknown option '{key}'"
          + specs.did_you_mean(key, (*required, *defaults))
      )
    if value is None:
      raise ValueError(f"option '{key}' must be an integer")
  missing = sorted(set(required) - set(given))
  if missing:
    raise ValueError(f'options {missing} are missing')
  return defaults | given


def _flexbuffer_map(options: bytes) -> dict[str, int | None]:
  """Returns the entries of a FlexBuffer map, None for what is no integer."""
  try:
    root = flexbuffers.GetRoot(bytearray(options))
    if root.IsMap:
      pairs = zip(root.AsMap.Keys, root.AsMap.Values, strict=True)
      return {k.AsKey: v.AsInt if v.IsInt else None for k, v in pairs}
  except (struct.error, LookupError, OverflowError, TypeError, ValueError) as e:
    raise ValueError(f'options are no FlexBuffer: {e}') from e
  raise ValueError('options must be a FlexBuffer map')
