"""What a .tflite consists of, and how to parse one.

The container only, nothing about networks: a `Model` is one subgraph of
tensors and operators, custom or builtin, plus metadata. `tflite_layout` writes
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import importlib.util
import pathlib
import struct
import types

import numpy as np

FILE_IDENTIFIER = b'TFL3'
SCHEMA_VERSION = 3
_DTYPES = {'int8': np.int8, 'int32': np.int32, 'int4': np.int8}


@dataclasses.dataclass(frozen=True)
class Quantization:
  """What stock tools and builtin kernels need to dequantize a tensor.

  Attributes:
    scale: of the tensor; with scales per channel that of the first one.
    zero_point: of the tensor; of every channel.
    channel_scales: one per channel; () for one scale.
    axis: dimension of the channels.
  """

  scale: float
  zero_point: int
  channel_scales: tuple[float, ...] = ()
  axis: int = 0


@dataclasses.dataclass(frozen=True)
class Tensor:
  """One tensor of the subgraph.

  Attributes:
    shape: as stored, of packed tensors in bytes.
    dtype: 'int8', 'int32' or, of weights of builtin ops, 'int4'.
    name: '' for none.
    data: content of a constant, little-endian; None for an activation. Of int4
      the codes of the whole tensor two to a byte, the first in the low bits.
    quantization: None for none.
  """

  shape: tuple[int, ...]
  dtype: str
  name: str = ''
  data: bytes | None = None
  quantization: Quantization | None = None


@dataclasses.dataclass(frozen=True)
class Operator:
  """One custom or builtin op.

  Attributes:
    custom_code: name under which its kernel is registered; '' if builtin.
    inputs: tensor indices.
    outputs: tensor indices.
    options: bytes that a custom kernel's Init receives.
    builtin: name in the schema, one of `BUILTIN_OPS`; '' if custom.
    fields: options of a builtin op, by their names in the schema; a field that
      is missing has the schema's default.
  """

  custom_code: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  options: bytes = b''
  builtin: str = ''
  fields: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Model:
  """One subgraph and the metadata of the file.

  Attributes:
    name: of the subgraph.
    tensors: all tensors; operators refer to their positions.
    operators: in execution order.
    inputs: tensor indices.
    outputs: tensor indices.
    metadata: name -> content.
  """

  name: str
  tensors: tuple[Tensor, ...]
  operators: tuple[Operator, ...]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  metadata: Mapping[str, bytes]


def constant_array(tensor: Tensor) -> np.ndarray:
  """Returns the content of a constant as an array of its type and shape.

  Codes of int4 come as int8 -8..7.
  """
  if tensor.dtype == 'int4':
    packed = np.frombuffer(tensor.data, np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)
    codes = nibbles[: int(np.prod(tensor.shape))].astype(np.int8)
    return np.where(codes < 8, codes, codes - 16).reshape(tensor.shape)
  dtype = np.dtype(_DTYPES[tensor.dtype])
  values = np.frombuffer(tensor.data, dtype.newbyteorder('<'))
  return values.reshape(tensor.shape).astype(dtype)


def _load_schema() -> types.ModuleType:
  """Loads TensorFlow's generated schema without the rest of TensorFlow.

  `from tensorflow.lite.python import schema_py_generated` imports all of
  TensorFlow, which takes seconds; the file itself needs flatbuffers only.
  """
  package = importlib.util.find_spec('tensorflow')
  if package is None or not package.submodule_search_locations:
    raise ImportError('the .tflite schema comes with TensorFlow: install it')
  folder = pathlib.Path(package.submodule_search_locations[0])
  path = folder / 'lite' / 'python' / 'schema_py_generated.py'
  spec = importlib.util.spec_from_file_location('tflite_schema', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


schema = _load_schema()
TYPE_CODES = {
    'int8': schema.TensorType.INT8,
    'int32': schema.TensorType.INT32,
    'int4': schema.TensorType.INT4,
}
_WINDOW = ('Padding', 'StrideW', 'StrideH', 'FusedActivationFunction')
_DILATION = ('DilationWFactor', 'DilationHFactor')
# Builtin op -> (table of its options, fields of the table).
BUILTIN_OPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    'ADD': ('AddOptions', ('FusedActivationFunction',)),
    'AVERAGE_POOL_2D': (
        'Pool2DOptions',
        (*_WINDOW, 'FilterWidth', 'FilterHeight'),
    ),
    'CONV_2D': ('Conv2DOptions', (*_WINDOW, *_DILATION)),
    'DEPTHWISE_CONV_2D': (
        'DepthwiseConv2DOptions',
        (*_WINDOW, *_DILATION, 'DepthMultiplier'),
    ),
    'MAX_POOL_2D': ('Pool2DOptions', (*_WINDOW, 'FilterWidth', 'FilterHeight')),
    'MEAN': ('ReducerOptions', ('KeepDims',)),
    'PAD': ('PadOptions', ()),
}


def parse(data: bytes) -> Model:
  """Returns the content of a .tflite; inverse of `serialize`.

  Raises:
    ValueError: the bytes are no .tflite, or hold more than one subgraph, an
      operator that is neither custom nor in `BUILTIN_OPS`, or a type that is
      not in `TYPE_CODES`.
  """
  if data[4:8] != FILE_IDENTIFIER:
    raise ValueError(
        f'not a .tflite file: expected the identifier {FILE_IDENTIFIER!r} at '
        f'byte 4, received {data[4:8]!r}'
    )
  with _malformed():
    model = schema.Model.GetRootAs(data, 0)
    if (model.Version(), model.SubgraphsLength()) != (SCHEMA_VERSION, 1):
      raise ValueError(
          f'expected schema version {SCHEMA_VERSION} and one subgraph, '
          f'received version {model.Version()} and {model.SubgraphsLength()}'
      )
    subgraph = model.Subgraphs(0)
    return Model(
        name=_text(subgraph.Name()),
        tensors=tuple(
            _tensor(model, subgraph.Tensors(i), i)
            for i in range(subgraph.TensorsLength())
        ),
        operators=tuple(
            _operator(model, subgraph.Operators(i), i)
            for i in range(subgraph.OperatorsLength())
        ),
        inputs=_integers(subgraph, 'Inputs'),
        outputs=_integers(subgraph, 'Outputs'),
        metadata=_metadata(model),
    )


@contextlib.contextmanager
def _malformed() -> Iterator[None]:
  """Turns what the flatbuffers accessors raise on bad offsets into one kind."""
  try:
    yield
  except (struct.error, IndexError, TypeError, OverflowError) as error:
    raise ValueError(f'the .tflite is damaged: {error}') from error


def _text(value: bytes | None) -> str:
  return '' if value is None else value.decode()


def _integers(table, field: str) -> tuple[int, ...]:
  """Returns a vector of integers; () if it is absent."""
  if not getattr(table, f'{field}Length')():
    return ()
  return tuple(getattr(table, f'{field}AsNumpy')().tolist())


def _buffer(model, index: int) -> bytes | None:
  """Returns the content of a buffer, None if it has none."""
  if index >= model.BuffersLength():
    raise ValueError(
        f'buffer {index} does not exist, there are {model.BuffersLength()}'
    )
  buffer = model.Buffers(index)
  return None if buffer.DataIsNone() else buffer.DataAsNumpy().tobytes()


def _tensor(model, tensor, index: int) -> Tensor:
  names = {code: name for name, code in TYPE_CODES.items()}
  dtype = names.get(tensor.Type())
  shape = _integers(tensor, 'Shape')
  data = _buffer(model, tensor.Buffer())
  if dtype is None:
    raise ValueError(
        f'tensor {index}: expected type {list(TYPE_CODES)}, received type '
        f'code {tensor.Type()}'
    )
  if data is not None:
    expected = np.dtype(_DTYPES[dtype]).itemsize
    for dim in shape:
      expected *= dim
    if dtype == 'int4':
      expected = -(-expected // 2)
    if expected != len(data):
      raise ValueError(
          f'tensor {index}: shape {list(shape)} of {dtype} takes {expected} '
          f'bytes, its buffer holds {len(data)}'
      )
  return Tensor(shape, dtype, _text(tensor.Name()), data, _quantization(tensor))


def _quantization(tensor) -> Quantization | None:
  table = tensor.Quantization()
  if table is None or not table.ScaleLength():
    return None
  scales = tuple(float(table.Scale(i)) for i in range(table.ScaleLength()))
  return Quantization(
      scale=scales[0],
      zero_point=int(table.ZeroPoint(0)),
      channel_scales=scales if len(scales) > 1 else (),
      axis=table.QuantizedDimension(),
  )


def _operator(model, operator, index: int) -> Operator:
  if operator.OpcodeIndex() >= model.OperatorCodesLength():
    raise ValueError(
        f'operator {index}: there is no operator code {operator.OpcodeIndex()}'
    )
  code = model.OperatorCodes(operator.OpcodeIndex())
  builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
  if builtin != schema.BuiltinOperator.CUSTOM:
    return _builtin_operator(operator, index, builtin)
  options = b''
  if operator.CustomOptionsLength():
    options = operator.CustomOptionsAsNumpy().tobytes()
  return Operator(
      _text(code.CustomCode()),
      _integers(operator, 'Inputs'),
      _integers(operator, 'Outputs'),
      options,
  )


def _builtin_operator(operator, index: int, code: int) -> Operator:
  """Returns a builtin op with every field of its options."""
  names = {getattr(schema.BuiltinOperator, n): n for n in BUILTIN_OPS}
  if code not in names:
    raise ValueError(
        f'operator {index}: expected a custom op or one of '
        f'{sorted(BUILTIN_OPS)}, received builtin op {code}'
    )
  name = names[code]
  table, fields = BUILTIN_OPS[name]
  union = operator.BuiltinOptions()
  if operator.BuiltinOptionsType() != getattr(schema.BuiltinOptions, table):
    raise ValueError(f'operator {index} ({name}): it has no {table}')
  options = getattr(schema, table)()
  options.Init(union.Bytes, union.Pos)
  return Operator(
      custom_code='',
      inputs=_integers(operator, 'Inputs'),
      outputs=_integers(operator, 'Outputs'),
      builtin=name,
      fields={field: int(getattr(options, field)()) for field in fields},
  )


def _metadata(model) -> dict[str, bytes]:
  entries = [model.Metadata(i) for i in range(model.MetadataLength())]
  return {_text(e.Name()): _buffer(model, e.Buffer()) or b'' for e in entries}
