"""Tensors by name from a file that torch.save wrote, read without torch.

Both forms are read: the zip archive (since PyTorch 1.6) and the sequence of
pickles before it. A pickle can ask its reader to call anything; here it gets
the few names that rebuild tensors, and every other one is refused.

  zip                          sequence of pickles
  NAME/data.pkl: the object    magic number, version, system, the object
  NAME/data/KEY: raw bytes     list of keys, then for each of them
                               the number of elements (int64) and raw bytes
"""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import io
import pathlib
import pickle
import struct
from typing import Any
import zipfile

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_DAMAGE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


@dataclasses.dataclass(frozen=True)
class _Type:
  """Type of a storage's elements; `is_bfloat16` are the upper halves."""

  dtype: str
  is_bfloat16: bool = False


_STORAGE_TYPES = {
    'FloatStorage': _Type('<f4'),
    'DoubleStorage': _Type('<f8'),
    'HalfStorage': _Type('<f2'),
    'BFloat16Storage': _Type('<u2', is_bfloat16=True),
    'LongStorage': _Type('<i8'),
    'IntStorage': _Type('<i4'),
    'ShortStorage': _Type('<i2'),
    'CharStorage': _Type('<i1'),
    'ByteStorage': _Type('<u1'),
    'BoolStorage': _Type('?'),
}


@dataclasses.dataclass(frozen=True)
class _Storage:
  """Elements that lie somewhere in the file."""

  type: _Type
  key: str
  num_elements: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """A view into a storage, offset and strides in elements."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def __post_init__(self):
    numbers = (self.offset, *self.shape, *self.strides)
    if (
        not isinstance(self.storage, _Storage)
        or len(self.shape) != len(self.strides)
        or not all(type(n) is int and n >= 0 for n in numbers)
    ):
      raise TypeError(f'no tensor: {self}')
    end = self.offset
    if 0 not in self.shape:
      steps = zip(self.shape, self.strides, strict=True)
      end += 1 + sum((size - 1) * stride for size, stride in steps)
    # The second: repeated elements could ask for any amount of memory.
    if max(end, _product(self.shape)) > self.storage.num_elements:
      raise TypeError(f'a tensor does not fit into its storage: {self}')


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns name -> array of the file's dictionary of tensors.

  Raises:
    ValueError: the file has another form, is damaged, holds something else
      than tensors by name, or asks for something that is not admitted; the
      message says which.
  """
  content = path.read_bytes()
  try:
    if zipfile.is_zipfile(io.BytesIO(content)):
      found, load = _read_zip(content)
    else:
      found, load = _read_pickles(content)
    _require_tensors(found)
    storages = {t.storage.key: load(t.storage) for t in found.values()}
    return {
        name: _view(tensor, storages[tensor.storage.key])
        for name, tensor in found.items()
    }
  except _DAMAGE as error:
    raise ValueError(
        f'{path}: expected a file of tensors by name that torch.save wrote; it '
        f'is damaged or holds something else: {error}'
    ) from error


def _read_zip(content: bytes):
  archive = zipfile.ZipFile(io.BytesIO(content))
  pickles = [n for n in archive.namelist() if n.endswith('/data.pkl')]
  if len(pickles) != 1:
    raise KeyError(f'one data.pkl, found {pickles}')
  folder = pickles[0].removesuffix('data.pkl')
  order = f'{folder}byteorder'
  if order in archive.namelist() and archive.read(order) != b'little':
    raise TypeError('its numbers are not little-endian')

  def member(name: str) -> bytes:
    # torch.save compresses nothing; a small file must not fill the memory.
    if archive.getinfo(name).file_size > len(content):
      raise TypeError(f'{name} is larger than the file')
    return archive.read(name)

  def load(storage: _Storage) -> np.ndarray:
    return _elements(member(f'{folder}data/{storage.key}'), storage)

  return _Unpickler(io.BytesIO(member(pickles[0]))).load(), load


def _read_pickles(content: bytes):
  stream = io.BytesIO(content)
  if _Unpickler(stream).load() != _MAGIC:
    raise TypeError('the magic number is another')
  version, system = _Unpickler(stream).load(), _Unpickler(stream).load()
  if version != _VERSION or system['little_endian'] is not True:
    raise TypeError(f'version {version} on {system}')
  unpickler = _Unpickler(stream)
  found, known = unpickler.load(), unpickler.storages
  arrays = {}
  for key in _Unpickler(stream).load():
    (num_elements,) = struct.unpack('<q', stream.read(8))
    storage = known[key]
    if num_elements != storage.num_elements:
      raise TypeError(f'{num_elements} elements for {storage}')
    size = num_elements * np.dtype(storage.type.dtype).itemsize
    arrays[key] = _elements(stream.read(size), storage)
  return found, lambda storage: arrays[storage.key]


class _Unpickler(pickle.Unpickler):
  """Admits the names that a dictionary of tensors consists of, and no other.

  Attributes:
    storages: key -> storage, of those that the pickle has named.
  """

  def __init__(self, stream: io.BytesIO):
    super().__init__(stream)
    self.storages: dict[str, _Storage] = {}

  def find_class(self, module: str, name: str) -> Any:
    """Returns what the pickle may use under that name."""
    if module == 'torch' and name in _STORAGE_TYPES:
      return _STORAGE_TYPES[name]
    if (module, name) not in _ADMITTED:
      raise pickle.UnpicklingError(
          f"it asks for '{module}.{name}', and only tensors are admitted; save "
          'model.state_dict() instead of a model or a training state'
      )
    return _ADMITTED[module, name]

  def persistent_load(self, pid: Any) -> _Storage:
    """Returns the storage that the pickle names."""
    kind, element_type, key, _, num_elements, *rest = pid
    if (
        kind != 'storage'
        or not isinstance(element_type, _Type)
        or type(num_elements) is not int
        or num_elements < 0
        or rest not in ([], [None])
    ):
      raise pickle.UnpicklingError(f'it names a storage {pid}')
    storage = _Storage(element_type, str(key), num_elements)
    if self.storages.setdefault(storage.key, storage) != storage:
      raise pickle.UnpicklingError(f'it names two storages {key}')
    return storage


def _rebuild_tensor(
    storage, offset, shape, strides, unused_requires_grad, unused_hooks, *rest
) -> _Tensor:
  if any(rest):
    raise TypeError(f'a tensor has metadata {rest}')
  return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, unused_requires_grad, unused_hooks) -> _Tensor:
  return tensor


_ADMITTED: dict[tuple[str, str], Callable] = {
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
    ('torch._utils', '_rebuild_parameter'): _rebuild_parameter,
}


def _require_tensors(found: Any) -> None:
  if not isinstance(found, dict) or not found:
    raise TypeError(f'received {type(found).__name__} for the dictionary')
  for name, value in found.items():
    if not isinstance(name, str) or not isinstance(value, _Tensor):
      raise TypeError(
          f"received {type(value).__name__} for '{name}'; save "
          'model.state_dict() alone'
      )


def _elements(data: bytes, storage: _Storage) -> np.ndarray:
  """Returns [num_elements] of a storage's bytes."""
  dtype = np.dtype(storage.type.dtype)
  if len(data) != storage.num_elements * dtype.itemsize:
    raise TypeError(f'{len(data)} bytes for {storage}')
  array = np.frombuffer(data, dtype)
  if storage.type.is_bfloat16:
    return (array.astype('<u4') << 16).view('<f4')
  return array


def _view(tensor: _Tensor, elements: np.ndarray) -> np.ndarray:
  """Returns a copy of what a tensor shows of its storage."""
  strides = [elements.itemsize * stride for stride in tensor.strides]
  return np.lib.stride_tricks.as_strided(
      elements[tensor.offset :], tensor.shape, strides, writeable=False
  ).copy()


def _product(numbers: tuple[int, ...]) -> int:
  product = 1
  for number in numbers:
    product *= number
  return product
