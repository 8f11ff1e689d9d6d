"""Tensors come back from both forms of torch.save, and nothing is executed."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from tests import state_dict_files
from tfmpq import torch_files

Call, Global, View = (
    state_dict_files.Call,
    state_dict_files.Global,
    state_dict_files.View,
)
_WRITERS = (state_dict_files.zip_file, state_dict_files.legacy_file)


def _tensors():
  rng = np.random.default_rng(4)
  return {
      'conv.weight': rng.normal(size=(3, 2, 5, 4)).astype(np.float32),
      'double': rng.normal(size=(6,)),
      'half': rng.normal(size=(2, 3)).astype(np.float16),
      'bn.num_batches_tracked': np.array(12345),
      'bytes': np.arange(7, dtype=np.uint8),
      'empty': np.zeros((0, 3), np.float32),
  }


def _read(folder, content):
  path = folder / 'weights.pth'
  path.write_bytes(content)
  return torch_files.read(path)


@pytest.mark.parametrize('write', _WRITERS)
def test_tensors_come_back_with_shape_and_type(write, tmp_path):
  expected = _tensors()
  found = _read(tmp_path, write(expected))
  assert list(found) == list(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize('write', _WRITERS)
def test_views_are_resolved(write, tmp_path):
  array = np.arange(24, dtype=np.float32)
  # Channels last in memory, as some programs save convolutions.
  view = View(array, 2, (2, 3, 2), (6, 1, 3))
  found = _read(tmp_path, write({'a': view}))
  expected = array[2:14].reshape(2, 2, 3).transpose(0, 2, 1)
  np.testing.assert_array_equal(found['a'], expected)


@pytest.mark.parametrize('write', _WRITERS)
def test_bfloat16_becomes_float32(write, tmp_path):
  codes = np.array([0x3F80, 0xC040, 0x0000], np.uint16)  # 1, -3, 0
  view = View(codes, 0, (3,), (1,), 'BFloat16Storage')
  found = _read(tmp_path, write({'a': view}))
  assert found['a'].dtype == np.float32
  assert found['a'].tolist() == [1.0, -3.0, 0.0]


@pytest.mark.parametrize('write', _WRITERS)
@pytest.mark.parametrize(
    'module,name',
    [
        ('os', 'mkdir'),
        ('posix', 'mkdir'),
        ('builtins', 'eval'),
        ('torch._utils', '_rebuild_device_tensor_from_numpy'),
        ('torch.nn.modules.linear', 'Linear'),
        ('collections', 'defaultdict'),
        ('numpy', 'load'),
    ],
)
def test_everything_but_tensors_is_refused(write, module, name, tmp_path):
  victim = tmp_path / 'made'
  content = write({'a': Call(Global(module, name), (str(victim),))})
  with pytest.raises(ValueError, match=f"asks for '{module}.{name}'.*state_"):
    _read(tmp_path, content)
  assert not victim.exists()


def test_the_writer_would_have_made_the_folder(tmp_path):
  # That the test above proves something: a plain unpickler obeys.
  victim = tmp_path / 'made'
  call = Call(Global('os', 'mkdir'), (str(victim),))
  archive = zipfile.ZipFile(io.BytesIO(state_dict_files.zip_file({'a': call})))
  pickle.loads(archive.read('archive/data.pkl'))
  assert os.path.isdir(victim)


@pytest.mark.parametrize('write', _WRITERS)
@pytest.mark.parametrize(
    'view',
    [
        View(np.zeros(4, np.float32), 0, (5,), (1,)),
        View(np.zeros(4, np.float32), 2, (3,), (1,)),
        View(np.zeros(4, np.float32), 0, (2, 2), (3, 1)),
        View(np.zeros(4, np.float32), -1, (2,), (1,)),
        View(np.zeros(4, np.float32), 0, (2,), (-1,)),
        View(np.zeros(4, np.float32), 0, (10**9, 10**6), (0, 0)),
    ],
)
def test_views_outside_of_their_storage_are_refused(write, view, tmp_path):
  with pytest.raises(ValueError, match='tensor'):
    _read(tmp_path, write({'a': view}))


@pytest.mark.parametrize('write', _WRITERS)
@pytest.mark.parametrize(
    'content,message',
    [
        ({'epoch': 3}, "received int for 'epoch'; save model.state_dict"),
        ({'state_dict': {'a': np.zeros(2)}}, 'received OrderedDict for'),
        (5, 'received int for the dictionary'),
        ({}, 'for the dictionary'),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_named(
    write, content, message, tmp_path
):
  with pytest.raises(ValueError, match=message):
    _read(tmp_path, write(content))


@pytest.mark.parametrize('write', _WRITERS)
def test_every_truncated_file_is_refused(write, tmp_path):
  content = write({'a': np.arange(3, dtype=np.float32), 'b': np.zeros(2)})
  for length in range(0, len(content), 3):
    with pytest.raises(ValueError, match='weights.pth: expected a file'):
      _read(tmp_path, content[:length])


@pytest.mark.parametrize('write', _WRITERS)
def test_damaged_bytes_raise_value_errors_or_change_numbers(write, tmp_path):
  content = write({'a': np.arange(3, dtype=np.float32), 'b': np.zeros(2)})
  seed = 11
  print('seed', seed)
  rng = np.random.default_rng(seed)
  refused = 0
  for _ in range(300):
    damaged = bytearray(content)
    damaged[rng.integers(len(damaged))] ^= rng.integers(1, 256)
    try:
      found = _read(tmp_path, bytes(damaged))
      assert all(isinstance(a, np.ndarray) for a in found.values())
    except ValueError:
      refused += 1
  assert 0 < refused < 300


def test_a_small_file_cannot_fill_the_memory(tmp_path):
  content = io.BytesIO()
  with zipfile.ZipFile(content, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('archive/data.pkl', bytes(10**7))
  with pytest.raises(ValueError, match='larger than the file'):
    _read(tmp_path, content.getvalue())


def test_another_byte_order_is_refused(tmp_path):
  content = io.BytesIO(state_dict_files.zip_file({'a': np.zeros(2)}))
  original = zipfile.ZipFile(content)
  changed = io.BytesIO()
  with zipfile.ZipFile(changed, 'w') as archive:
    for name in original.namelist():
      big = name.endswith('byteorder')
      archive.writestr(name, b'big' if big else original.read(name))
  with pytest.raises(ValueError, match='little-endian'):
    _read(tmp_path, changed.getvalue())
