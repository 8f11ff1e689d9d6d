"""A state comes back as it was saved, types and order included."""

import numpy as np
import pytest

from tfmpq import training_state


def test_state_comes_back_with_all_bits(tmp_path):
  rng = np.random.default_rng(3)
  # More than ten arrays: their order is that of the numbers, not of the names.
  groups = {
      'student': [rng.normal(size=n).astype(np.float32) for n in range(1, 13)],
      'optimizer': [np.int64(7), np.float32(0.1)],
      'nothing': [],
  }
  meta = {'step': 5, 'loss_sum': 0.1 + 0.2, 'history': [{'epoch': 1}]}
  path = tmp_path / 'folder' / 'state.npz'
  training_state.save(path, training_state.TrainingState({}, {}))
  training_state.save(path, training_state.TrainingState(meta, groups))
  found = training_state.load(path)
  assert found.meta == meta
  assert list(found.groups) == list(groups)
  for name, values in groups.items():
    assert len(found.groups[name]) == len(values)
    for value, back in zip(values, found.groups[name], strict=True):
      assert back.dtype == value.dtype
      np.testing.assert_array_equal(back, value)
  assert [p.name for p in path.parent.iterdir()] == ['state.npz']


def test_absent_state_is_no_state(tmp_path):
  with pytest.raises(FileNotFoundError):
    training_state.load(tmp_path / 'state.npz')
