"""A .tflite of anyone's as operators over tensors with real-valued constants.

`tflite_file` parses the files of this project strictly. This module reads what
other converters write: any builtin operator, uint8, int8 and float32 tensors,
one scale per tensor or per channel. What an operator means is decided in
`tflite_keras`.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import pathlib
import struct
from typing import Any

import numpy as np

from tfmpq import tflite_file

schema = tflite_file.schema

_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_CODE_DTYPES = (np.uint8, np.int8, np.int32)
_OP_NAMES = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if not name.startswith('_')
}
_TYPE_NAMES = {
    code: name
    for name, code in vars(schema.TensorType).items()
    if not name.startswith('_')
}
# Codes of newer operators do not fit into the older, one-byte field.
_LARGEST_OLD_CODE = 127


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
  """One tensor.

  Attributes:
    name: as in the file.
    shape: with the batch dimension where there is one.
    dtype: of its elements; None for a type that nothing here reads.
    type_name: as the schema calls it.
    data: content of a constant; None for an activation.
    scales: float64 [1] or [channels]; None if it is not quantized.
    zero_points: int64, as many.
    axis: dimension of the channels.
  """

  name: str
  shape: tuple[int, ...]
  dtype: type | None
  type_name: str
  data: np.ndarray | None
  scales: np.ndarray | None
  zero_points: np.ndarray | None
  axis: int

  def values(self) -> np.ndarray:
    """Returns a constant in real numbers, float64.

    Raises:
      ValueError: it is no constant, or integers without a scale.
    """
    if self.data is None:
      raise ValueError(f"tensor '{self.name}': expected a constant")
    if self.dtype is np.float32:
      return self.data.astype(np.float64)
    if self.scales is None or self.dtype not in _CODE_DTYPES:
      raise ValueError(
          f"tensor '{self.name}': expected quantized or float32 values, "
          f'received {self.type_name} without a scale'
      )
    shape = [1] * len(self.shape)
    if len(self.scales) > 1:
      shape[self.axis] = -1
    codes = self.data.astype(np.float64) - self.zero_points.reshape(shape)
    return codes * self.scales.reshape(shape)

  def integers(self) -> np.ndarray:
    """Returns a constant of whole numbers, such as a shape or paddings."""
    if self.data is None or self.dtype not in (np.int32, np.int64):
      raise ValueError(
          f"tensor '{self.name}': expected constant integers, received "
          f'{self.type_name}'
      )
    return self.data

  def range(self) -> tuple[float, float]:
    """Returns the smallest and the largest real value of an activation."""
    if self.dtype not in (np.uint8, np.int8) or self.scales is None:
      return -np.inf, np.inf
    info = np.iinfo(self.dtype)
    scale, zero_point = float(self.scales[0]), int(self.zero_points[0])
    return scale * (info.min - zero_point), scale * (info.max - zero_point)


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
  """One operator.

  Attributes:
    index: position in the file.
    kind: the schema's name of a builtin operator, or 'CUSTOM <name>'.
    inputs: tensor indices; -1 for one that is left out.
    outputs: tensor indices.
    options: the schema's table with the operator's options, or None.
  """

  index: int
  kind: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  options: Any

  def option(self, name: str, default: Any = 0) -> Any:
    """Returns a field of the options; `default` if there are none."""
    return default if self.options is None else getattr(self.options, name)


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
  """One subgraph.

  Attributes:
    name: of the file, without its suffix.
    tensors: by index.
    operators: in execution order.
    input: index of the only input.
    output: index of the only output.
  """

  name: str
  tensors: Mapping[int, Tensor]
  operators: tuple[Operator, ...]
  input: int
  output: int


def read(path: pathlib.Path) -> Graph:
  """Returns the graph in a file.

  Raises:
    ValueError: it is no .tflite, is damaged, or has more than one subgraph,
      input or output.
  """
  data = path.read_bytes()
  if data[4:8] != tflite_file.FILE_IDENTIFIER:
    raise ValueError(
        f'{path} is not a .tflite file: expected the identifier '
        f'{tflite_file.FILE_IDENTIFIER!r} at byte 4, received {data[4:8]!r}'
    )
  try:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    return _graph(model, path.stem)
  except (struct.error, IndexError, TypeError, OverflowError) as error:
    raise ValueError(f'{path} is damaged: {error}') from error


def _graph(model, name: str) -> Graph:
  if len(model.subgraphs) != 1:
    raise ValueError(
        f"'{name}': expected one subgraph, received {len(model.subgraphs)}"
    )
  subgraph = model.subgraphs[0]
  for what, indices in (
      ('input', subgraph.inputs),
      ('output', subgraph.outputs),
  ):
    if len(indices) != 1:
      raise ValueError(f"'{name}': expected one {what}, received {indices}")
  return Graph(
      name=name,
      tensors={i: _tensor(model, t) for i, t in enumerate(subgraph.tensors)},
      operators=tuple(
          _operator(model, i, operator)
          for i, operator in enumerate(subgraph.operators)
      ),
      input=int(subgraph.inputs[0]),
      output=int(subgraph.outputs[0]),
  )


def _operator(model, index: int, operator) -> Operator:
  code = model.operatorCodes[operator.opcodeIndex]
  number = code.builtinCode
  if code.deprecatedBuiltinCode < _LARGEST_OLD_CODE:
    number = max(number, code.deprecatedBuiltinCode)
  kind = _OP_NAMES.get(number, f'number {number}')
  if kind == 'CUSTOM':
    kind = f'CUSTOM {(code.customCode or b"").decode()}'
  return Operator(
      index=index,
      kind=kind,
      inputs=tuple(int(i) for i in operator.inputs),
      outputs=tuple(int(i) for i in operator.outputs),
      options=operator.builtinOptions,
  )


def _tensor(model, tensor) -> Tensor:
  name = (tensor.name or b'').decode()
  dims = () if tensor.shape is None else tensor.shape
  shape = tuple(int(d) for d in dims)
  dtype = _DTYPES.get(tensor.type)
  content = model.buffers[tensor.buffer].data
  data = None
  if dtype is not None and content is not None and len(content):
    raw = np.asarray(content, np.uint8).tobytes()
    values = np.frombuffer(raw, np.dtype(dtype).newbyteorder('<'))
    if values.size != np.prod(shape, dtype=np.int64):
      raise ValueError(
          f"tensor '{name}': expected {np.prod(shape)} elements, received "
          f'{values.size}'
      )
    data = values.reshape(shape).astype(dtype)
  quantization, scales, zero_points, axis = tensor.quantization, None, None, 0
  if quantization is not None and quantization.scale is not None:
    scales = np.asarray(quantization.scale, np.float64)
    given = quantization.zeroPoint
    zero_points = np.zeros(len(scales), np.int64)
    if given is not None:
      zero_points = np.broadcast_to(np.asarray(given, np.int64), scales.shape)
    axis = quantization.quantizedDimension
    if len(scales) > 1 and len(scales) != shape[axis]:
      raise ValueError(
          f"tensor '{name}': expected one scale per channel of dimension "
          f'{axis} of {shape}, received {len(scales)}'
      )
  return Tensor(
      name=name,
      shape=shape,
      dtype=dtype,
      type_name=_TYPE_NAMES.get(tensor.type, f'type {tensor.type}'),
      data=data,
      scales=scales if scales is not None and len(scales) else None,
      zero_points=zero_points,
      axis=axis,
  )
