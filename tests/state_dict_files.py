"""Writers of both forms of torch.save, and state dicts with their outputs.

The writers produce what PyTorch produces, without PyTorch. The networks are
computed in PyTorch's layout, [N, C, H, W], by NumPy alone, from the structure
that torchvision and the EfficientNets published; nothing of tfmpq goes in.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import struct
import zipfile

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_STORAGES = {
    np.dtype(np.float32): 'FloatStorage',
    np.dtype(np.float64): 'DoubleStorage',
    np.dtype(np.float16): 'HalfStorage',
    np.dtype(np.int64): 'LongStorage',
    np.dtype(np.uint8): 'ByteStorage',
}
# (expansion, channels, repeats, stride, kernel) of each stage.
_MOBILENET_V2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
_LITE0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


@dataclasses.dataclass(frozen=True)
class Global:
  """Something that a pickle names, whether or not it can be imported."""

  module: str
  name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
  """A call that the reader of a pickle is asked to make."""

  function: Global
  arguments: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class View:
  """A tensor that shows a part of a storage, or claims another type."""

  array: np.ndarray
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]
  storage: str = 'FloatStorage'


def zip_file(tensors) -> bytes:
  """Returns the archive that torch.save writes since PyTorch 1.6."""
  content = io.BytesIO()
  writer = _Writer(is_zip=True)
  with zipfile.ZipFile(content, 'w') as archive:
    archive.writestr('archive/data.pkl', writer.dump(tensors))
    archive.writestr('archive/byteorder', 'little')
    for key, array in writer.arrays.items():
      archive.writestr(f'archive/data/{key}', array.tobytes())
  return content.getvalue()


def legacy_file(tensors) -> bytes:
  """Returns the sequence of pickles that it wrote before."""
  writer = _Writer(is_zip=False)
  system = {'protocol_version': _VERSION, 'little_endian': True}
  parts = [pickle.dumps(x, 2) for x in (_MAGIC, _VERSION, system)]
  parts.append(writer.dump(tensors))
  parts.append(pickle.dumps(list(writer.arrays), 2))
  for array in writer.arrays.values():
    parts += [struct.pack('<q', array.size), array.tobytes()]
  return b''.join(parts)


class _Writer:
  """Writes pickles of protocol 2 and collects the arrays of their tensors."""

  def __init__(self, is_zip: bool):
    self._is_zip = is_zip
    self.arrays: dict[str, np.ndarray] = {}

  def dump(self, obj) -> bytes:
    return pickle.PROTO + b'\x02' + self._text(obj) + pickle.STOP

  def _text(self, obj) -> bytes:
    if isinstance(obj, np.ndarray):
      steps = np.cumprod([1, *obj.shape[:0:-1]])[::-1] if obj.ndim else ()
      name = _STORAGES[obj.dtype]
      obj = View(obj, 0, obj.shape, tuple(int(n) for n in steps), name)
    if isinstance(obj, View):
      rebuild = Global('torch._utils', '_rebuild_tensor_v2')
      hooks = Call(Global('collections', 'OrderedDict'), ())
      storage = self._storage(obj)
      rest = (obj.offset, obj.shape, obj.strides, False, hooks)
      texts = [storage, *(self._text(item) for item in rest)]
      arguments = pickle.MARK + b''.join(texts) + pickle.TUPLE
      return self._text(rebuild) + arguments + pickle.REDUCE
    if isinstance(obj, Global):
      return pickle.GLOBAL + f'{obj.module}\n{obj.name}\n'.encode()
    if isinstance(obj, Call):
      called = self._text(obj.function) + self._text(obj.arguments)
      return called + pickle.REDUCE
    if isinstance(obj, tuple):
      return pickle.MARK + b''.join(map(self._text, obj)) + pickle.TUPLE
    if isinstance(obj, dict):
      # As OrderedDict, whose attribute `_metadata` PyTorch sets.
      items = b''.join(self._text(k) + self._text(v) for k, v in obj.items())
      made = self._text(Call(Global('collections', 'OrderedDict'), ()))
      state = pickle.dumps({'_metadata': {'': {'version': 1}}}, 2)[2:-1]
      filled = made + pickle.MARK + items + pickle.SETITEMS
      return filled + state + pickle.BUILD
    return pickle.dumps(obj, 2)[2:-1]  # Without the version and the end.

  def _storage(self, view: View) -> bytes:
    key = str(len(self.arrays))
    self.arrays[key] = view.array
    kind = Global('torch', view.storage)
    pid = ('storage', kind, key, 'cpu', view.array.size)
    return self._text(pid if self._is_zip else (*pid, None)) + pickle.BINPERSID


class Network:
  """Computes a network in PyTorch's layout; makes its weights on the way.

  Attributes:
    arrays: the state dict.
  """

  def __init__(self, seed: int, epsilon: float, symmetric: bool):
    self.arrays: dict[str, np.ndarray] = {}
    self._rng = np.random.default_rng(seed)
    self._epsilon, self._symmetric = epsilon, symmetric

  def conv(self, x, names, channels, kernel=1, stride=1, groups=1, relu=True):
    """Convolution (depthwise if groups > 1), BatchNorm and ReLU6."""
    name, batch_norm = names
    shape = (channels, x.shape[1] // groups, kernel, kernel)
    spread = np.sqrt(2 / np.prod(shape[1:]))
    weight = self._array(f'{name}.weight', shape, 0, spread)
    mean = self._array(f'{batch_norm}.running_mean', (channels,), 0, 0.2)
    scale = self._array(f'{batch_norm}.weight', (channels,), 1, 0.1)
    shift = self._array(f'{batch_norm}.bias', (channels,), 0, 0.2)
    # Small ones, so that epsilon counts.
    variance = self._rng.uniform(0.01, 0.03, channels).astype(np.float32)
    self.arrays[f'{batch_norm}.running_var'] = variance
    self.arrays[f'{batch_norm}.num_batches_tracked'] = np.array(7)
    x = _convolve(self._padded(x, kernel, stride), weight, stride, groups)
    factor = scale / np.sqrt(variance.astype(np.float64) + self._epsilon) / 7
    self.arrays[f'{batch_norm}.weight'] = (scale / 7).astype(np.float32)
    x = (x - mean[:, None, None]) * factor[:, None, None]
    x = x + shift[:, None, None]
    return np.clip(x, 0, 6) if relu else x

  def classify(self, x, name, classes):
    """Mean over the image and a dense layer."""
    x = x.mean(axis=(2, 3))
    weight = self._array(f'{name}.weight', (classes, x.shape[1]), 0, 0.2)
    return x @ weight.T + self._array(f'{name}.bias', (classes,), 0, 1)

  def _array(self, name, shape, mean, spread):
    array = self._rng.normal(mean, spread, shape).astype(np.float32)
    self.arrays[name] = array
    return array.astype(np.float64)

  def _padded(self, x, kernel, stride):
    pads = []
    for size in x.shape[2:]:
      out = -(-size // stride)
      total = max((out - 1) * stride + kernel - size, 0)
      half = kernel // 2
      pads.append(
          (half, half) if self._symmetric else (total // 2, total - total // 2)
      )
    return np.pad(x, ((0, 0), (0, 0), *pads))


def _convolve(x, weight, stride, groups):
  """Returns [N, C_out, H', W'] without padding."""
  kernel = weight.shape[2]
  windows = np.lib.stride_tricks.sliding_window_view(
      x, (kernel, kernel), (2, 3)
  )
  windows = windows[:, :, ::stride, ::stride]  # [N, C, H', W', k, k]
  if groups == 1:
    return np.einsum('nchwij,ocij->nohw', windows, weight, optimize=True)
  return np.einsum('nchwij,cij->nchw', windows, weight[:, 0], optimize=True)


def _scaled(channels: int, width: float) -> int:
  """The rule of MobileNetV2: a multiple of 8, at most 10 % below."""
  found = max(8, int(channels * width + 4) // 8 * 8)
  return found + 8 if found < 0.9 * channels * width else found


def _blocks(stages, width):
  for expansion, channels, repeats, stride, kernel in stages:
    for repeat in range(repeats):
      out = _scaled(channels, width)
      yield expansion, out, stride if repeat == 0 else 1, kernel


def mobilenet_v2(x, classes: int, width: float, seed: int):
  """Returns (state dict as torchvision's, logits [N, classes])."""
  net = Network(seed, epsilon=1e-5, symmetric=True)
  names = ('features.0.0', 'features.0.1')
  x = net.conv(x, names, _scaled(32, width), 3, 2)
  index = 0
  for expansion, out, stride, kernel in _blocks(_MOBILENET_V2, width):
    index += 1
    before, prefix, part = x, f'features.{index}.conv', 0
    if expansion > 1:
      names = (f'{prefix}.0.0', f'{prefix}.0.1')
      x, part = net.conv(x, names, expansion * x.shape[1]), 1
    names = (f'{prefix}.{part}.0', f'{prefix}.{part}.1')
    channels = x.shape[1]
    x = net.conv(x, names, channels, kernel, stride, groups=channels)
    names = (f'{prefix}.{part + 1}', f'{prefix}.{part + 2}')
    x = net.conv(x, names, out, relu=False)
    x = x + before if x.shape == before.shape else x
  x = net.conv(x, ('features.18.0', 'features.18.1'), 1280)
  return net.arrays, net.classify(x, 'classifier.1', classes)


def efficientnet_lite0(x, classes: int, width: float, seed: int):
  """Returns (state dict with the names of TensorFlow's ports, logits)."""
  net = Network(seed, epsilon=1e-3, symmetric=False)
  x = net.conv(x, ('_conv_stem', '_bn0'), 32, 3, 2)
  for index, block in enumerate(_blocks(_LITE0, width)):
    expansion, out, stride, kernel = block
    before, prefix = x, f'_blocks.{index}.'
    if expansion > 1:
      names = (f'{prefix}_expand_conv', f'{prefix}_bn0')
      x = net.conv(x, names, expansion * x.shape[1])
    names, channels = (f'{prefix}_depthwise_conv', f'{prefix}_bn1'), x.shape[1]
    x = net.conv(x, names, channels, kernel, stride, groups=channels)
    names = (f'{prefix}_project_conv', f'{prefix}_bn2')
    x = net.conv(x, names, out, relu=False)
    x = x + before if x.shape == before.shape else x
  x = net.conv(x, ('_conv_head', '_bn1'), 1280)
  return net.arrays, net.classify(x, '_fc', classes)
