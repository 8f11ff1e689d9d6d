"""What a .tflite with custom ops consists of, and how to parse one.

The container only, nothing about networks: a `Model` is one subgraph of
tensors and custom operators plus metadata. `tflite_layout` writes it.
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
_DTYPES = {'int8': np.int8, 'int32': np.int32}


@dataclasses.dataclass(frozen=True)
class Quantization:
  """What stock tools need to dequantize an int8 tensor."""

  scale: float
  zero_point: int


@dataclasses.dataclass(frozen=True)
class Tensor:
  """One tensor of the subgraph.

  Attributes:
    shape: as stored, of packed tensors in bytes.
    dtype: 'int8' or 'int32'.
    name: '' for none.
    data: content of a constant, little-endian; None for an activation.
    quantization: None for none.
  """

  shape: tuple[int, ...]
  dtype: str
  name: str = ''
  data: bytes | None = None
  quantization: Quantization | None = None


@dataclasses.dataclass(frozen=True)
class Operator:
  """One custom op.

  Attributes:
    custom_code: name under which its kernel is registered.
    inputs: tensor indices.
    outputs: tensor indices.
    options: bytes that the kernel's Init receives.
  """

  custom_code: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  options: bytes


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
  """Returns the content of a constant as an array of its type and shape."""
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
}


def parse(data: bytes) -> Model:
  """Returns the content of a .tflite; inverse of `serialize`.

  Raises:
    ValueError: the bytes are no .tflite, or hold more than one subgraph, an
      operator that is not custom, or a type that is not int8 or int32.
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
    if expected != len(data):
      raise ValueError(
          f'tensor {index}: shape {list(shape)} of {dtype} takes {expected} '
          f'bytes, its buffer holds {len(data)}'
      )
  quantization = tensor.Quantization()
  if quantization is not None and quantization.ScaleLength():
    quantization = Quantization(
        float(quantization.Scale(0)), int(quantization.ZeroPoint(0))
    )
  else:
    quantization = None
  return Tensor(shape, dtype, _text(tensor.Name()), data, quantization)


def _operator(model, operator, index: int) -> Operator:
  if operator.OpcodeIndex() >= model.OperatorCodesLength():
    raise ValueError(
        f'operator {index}: there is no operator code {operator.OpcodeIndex()}'
    )
  code = model.OperatorCodes(operator.OpcodeIndex())
  builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
  if builtin != schema.BuiltinOperator.CUSTOM:
    raise ValueError(
        f'operator {index}: expected a custom op, received builtin op {builtin}'
    )
  options = b''
  if operator.CustomOptionsLength():
    options = operator.CustomOptionsAsNumpy().tobytes()
  return Operator(
      _text(code.CustomCode()),
      _integers(operator, 'Inputs'),
      _integers(operator, 'Outputs'),
      options,
  )


def _metadata(model) -> dict[str, bytes]:
  entries = [model.Metadata(i) for i in range(model.MetadataLength())]
  return {_text(e.Name()): _buffer(model, e.Buffer()) or b'' for e in entries}
