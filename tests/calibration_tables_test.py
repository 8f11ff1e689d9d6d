"""Tests of calibration_tables: what is on disk is what was computed."""

import dataclasses

import numpy as np

from tests import calibration_models
from tfmpq import calibration_tables
from tfmpq import float_network
from tfmpq import specs


def _arguments():
  network = calibration_models.network('pools')
  shape = network.spec.tensor(network.spec.input).shape
  return network, calibration_models.images(shape, 20, seed=1)


def _assert_equal(first, second):
  assert first.clips == second.clips
  assert list(first.weights) and set(first.weights) == set(second.weights)
  for key, rounded in first.weights.items():
    for field, array in vars(rounded).items():
      other = getattr(second.weights[key], field)
      assert array.dtype == other.dtype
      np.testing.assert_array_equal(array, other)
  for field in ('means', 'deviations'):
    for name, array in getattr(first, field).items():
      np.testing.assert_array_equal(array, getattr(second, field)[name])


def test_every_free_tensor_has_every_width():
  network, images = _arguments()
  tables = calibration_tables.build(network, images, True)
  free = {t.name for t in network.spec.weights}
  assert set(tables.weights) == {(n, b) for n in free for b in specs.BIT_WIDTHS}
  assert ('logits', 8) in tables.clips and ('logits', 4) not in tables.clips
  assert ('hidden', 2) in tables.clips
  # A max pool has the clip of its input; the input's scale is the contract's.
  names = {name for name, _ in tables.clips}
  assert not names & {'max_1', 'max_2', 'input'}


def test_tables_from_disk_equal_fresh_ones(tmp_path, monkeypatch):
  network, images = _arguments()
  fresh = calibration_tables.load_or_build(network, images, True, tmp_path)
  (file,) = tmp_path.iterdir()  # no unfinished file beside it
  content = file.read_bytes()
  with monkeypatch.context() as patched:
    patched.setattr(calibration_tables, 'build', None)  # must not be called
    loaded = calibration_tables.load_or_build(network, images, True, tmp_path)
  _assert_equal(fresh, loaded)
  file.unlink()
  calibration_tables.load_or_build(network, images, True, tmp_path)
  assert file.read_bytes() == content


def test_whatever_changes_the_tables_has_a_file_of_its_own(tmp_path):
  network, images = _arguments()
  biases = dict(network.biases)
  biases['hidden'] = biases['hidden'] + np.float32(1e-3)
  other = dataclasses.replace(network, biases=biases)
  assert isinstance(other, float_network.FloatNetwork)
  for arguments in (
      (network, images, True),
      (network, images, False),
      (network, images[:-1], True),
      (other, images, True),
  ):
    calibration_tables.load_or_build(*arguments, tmp_path)
  assert len(list(tmp_path.iterdir())) == 4
