"""Lays a .tflite out so that its size is a sum of independent terms.

First the constants, each aligned to 16 bytes (TFLM reads them in place), then
the options of custom operators, then everything else, whose size depends on
names and counts alone. `constant_bytes`, `options_bytes` and `file_bytes` give
the terms, so that the size of a file can be told without writing it.
"""

from __future__ import annotations

from collections.abc import Iterable

import flatbuffers

from tfmpq import tflite_file

_ALIGNMENT = 16  # of constants, `force_align` in the schema
_HEADER_BYTES = 8  # offset of the root table and file identifier

_schema = tflite_file.schema


def constant_bytes(num_bytes: int) -> int:
  """Returns what a constant of that many bytes takes in the file.

  The length field of 4 bytes is included. True of every constant but the
  first in the file: that is a metadata buffer or, without metadata, the first
  constant tensor.
  """
  return _round_up(4 + num_bytes, _ALIGNMENT)


def options_bytes(num_bytes: int) -> int:
  """Returns what operator options of that many bytes take in the file."""
  return _round_up(4 + num_bytes, 4)


def file_bytes(body_bytes: int) -> int:
  """Returns the size of the file whose body has that many bytes."""
  return _round_up(body_bytes + _HEADER_BYTES, _ALIGNMENT)


def body_bytes(model: tflite_file.Model) -> int:
  """Returns the bytes of the file without header and final alignment."""
  return _build(model)[0].Offset()


def serialize(model: tflite_file.Model) -> bytes:
  """Returns the file; equal models give equal bytes."""
  builder, root = _build(model)
  builder.Finish(root, tflite_file.FILE_IDENTIFIER)
  return bytes(builder.Output())


def _round_up(value: int, multiple: int) -> int:
  return -(-value // multiple) * multiple


def _build(model: tflite_file.Model) -> tuple[flatbuffers.Builder, int]:
  """Returns a builder that holds all but the header, and the root table.

  A flatbuffer grows from its end to its beginning. Constants come first, so
  that whatever follows starts at the same distance from a 16-byte boundary;
  within the constants metadata comes first, because its size never changes.
  """
  constants = list(model.metadata.values())
  constants += [t.data for t in model.tensors if t.data is not None]
  builder = flatbuffers.Builder(4096 + sum(map(len, constants)))
  data = [_aligned_bytes(builder, content) for content in constants]
  # Multiples of 8 bytes next, while the position is that of every file.
  quantization = _add_quantizations(builder, model)
  options = [_add_options(builder, operator) for operator in model.operators]
  # Buffer 0 is empty by convention: that of tensors without content.
  buffers = [_add_table(builder, 'Buffer')]
  buffers += [_add_table(builder, 'Buffer', Data=offset) for offset in data]
  codes = sorted({_code(o) for o in model.operators})
  operators = [
      _add_operator(builder, operator, codes.index(_code(operator)), offset)
      for operator, offset in zip(model.operators, options, strict=True)
  ]
  tensors = _add_tensors(builder, model, quantization)
  subgraph = _add_table(
      builder,
      'SubGraph',
      Tensors=_offsets(builder, tensors),
      Inputs=_int32s(builder, model.inputs),
      Outputs=_int32s(builder, model.outputs),
      Operators=_offsets(builder, operators),
      Name=builder.CreateString(model.name),
  )
  metadata = [
      _add_table(builder, 'Metadata', Name=builder.CreateString(n), Buffer=i)
      for i, n in enumerate(model.metadata, start=1)
  ]
  root = _add_table(
      builder,
      'Model',
      Version=tflite_file.SCHEMA_VERSION,
      OperatorCodes=_offsets(builder, [_add_code(builder, c) for c in codes]),
      Subgraphs=_offsets(builder, [subgraph]),
      Buffers=_offsets(builder, buffers),
      Metadata=_offsets(builder, metadata),
  )
  return builder, root


def _add_table(builder: flatbuffers.Builder, table: str, **fields: int) -> int:
  """Adds a table of the schema; fields are offsets or scalars, by name."""
  getattr(_schema, f'{table}Start')(builder)
  for name, value in fields.items():
    getattr(_schema, f'{table}Add{name}')(builder, value)
  return getattr(_schema, f'{table}End')(builder)


def _add_quantizations(builder, model: tflite_file.Model) -> dict[int, int]:
  """Returns tensor index -> offset of its quantization, where it has one.

  Of zero points per channel, which are equal, there is one vector for each
  number of channels. Those of single values are not shared: how often they
  agree depends on values, and the size of a file must not.
  """
  shared: dict[tuple[int, int], int] = {}
  offsets = {}
  for i, tensor in enumerate(model.tensors):
    field = tensor.quantization
    if field is None:
      continue
    scales = field.channel_scales or (field.scale,)
    key = (len(scales), field.zero_point)
    zero_points = shared.get(key)
    if zero_points is None:
      builder.StartVector(8, len(scales), 8)
      for _ in scales:
        builder.PrependInt64(field.zero_point)
      zero_points = builder.EndVector()
      if len(scales) > 1:
        shared[key] = zero_points
    builder.StartVector(4, len(scales), 4)
    for scale in reversed(scales):
      builder.PrependFloat32(scale)
    fields = {'Scale': builder.EndVector(), 'ZeroPoint': zero_points}
    if field.axis:
      fields['QuantizedDimension'] = field.axis
    offsets[i] = _add_table(builder, 'QuantizationParameters', **fields)
  return offsets


def _add_options(builder, operator: tflite_file.Operator) -> int:
  """Adds bytes for a custom op, a table for a builtin one."""
  if not operator.builtin:
    return builder.CreateByteVector(operator.options)
  table, _ = tflite_file.BUILTIN_OPS[operator.builtin]
  return _add_table(builder, table, **operator.fields)


def _code(operator: tflite_file.Operator) -> tuple[str, str]:
  return operator.builtin, operator.custom_code


def _add_operator(
    builder, operator: tflite_file.Operator, code: int, options: int
) -> int:
  fields = {
      'OpcodeIndex': code,
      'Inputs': _int32s(builder, operator.inputs),
      'Outputs': _int32s(builder, operator.outputs),
  }
  if operator.builtin:
    table, _ = tflite_file.BUILTIN_OPS[operator.builtin]
    kind = getattr(_schema.BuiltinOptions, table)
    fields |= {'BuiltinOptions': options, 'BuiltinOptionsType': kind}
  else:
    fields['CustomOptions'] = options
  return _add_table(builder, 'Operator', **fields)


def _add_code(builder: flatbuffers.Builder, code: tuple[str, str]) -> int:
  builtin, custom_code = code
  fields = {}
  if not builtin:
    fields['CustomCode'] = builder.CreateString(custom_code)
  # Readers take the larger of the old 8-bit field and the new one.
  value = getattr(_schema.BuiltinOperator, builtin or 'CUSTOM')
  fields |= {'BuiltinCode': value, 'DeprecatedBuiltinCode': value}
  return _add_table(builder, 'OperatorCode', **fields)


def _add_tensors(builder, model: tflite_file.Model, quantization) -> list[int]:
  buffer = len(model.metadata)
  offsets = []
  for i, tensor in enumerate(model.tensors):
    fields = {'Shape': _int32s(builder, tensor.shape)}
    if tensor.name:
      fields['Name'] = builder.CreateString(tensor.name)
    if tensor.data is not None:
      buffer += 1
      fields['Buffer'] = buffer
    if i in quantization:
      fields['Quantization'] = quantization[i]
    fields['Type'] = tflite_file.TYPE_CODES[tensor.dtype]
    offsets.append(_add_table(builder, 'Tensor', **fields))
  return offsets


def _aligned_bytes(builder: flatbuffers.Builder, content: bytes) -> int:
  """Adds a vector of bytes whose first byte is aligned to 16."""
  builder.StartVector(1, len(content), _ALIGNMENT)
  builder.head -= len(content)
  builder.Bytes[builder.head : builder.head + len(content)] = content
  return builder.EndVector()


def _int32s(builder: flatbuffers.Builder, values: Iterable[int]) -> int:
  values = tuple(values)
  builder.StartVector(4, len(values), 4)
  for value in reversed(values):
    builder.PrependInt32(value)
  return builder.EndVector()


def _offsets(builder: flatbuffers.Builder, offsets: Iterable[int]) -> int:
  offsets = tuple(offsets)
  builder.StartVector(4, len(offsets), 4)
  for offset in reversed(offsets):
    builder.PrependUOffsetTRelative(offset)
  return builder.EndVector()
