"""Tests of record_files: random access to TFRecord files."""

import numpy as np
import pytest
import tensorflow as tf

from tfmpq import record_files


def _write(folder, counts, seed=3):
  """Writes files of records of random lengths; returns paths and records."""
  rng = np.random.default_rng(seed)
  paths, records = [], []
  for index, count in enumerate(counts):
    path = folder / f'part-{index}'
    with tf.io.TFRecordWriter(str(path)) as writer:
      for _ in range(count):
        records.append(rng.bytes(int(rng.integers(0, 3000))))
        writer.write(records[-1])
    paths.append(path)
  return paths, records


def test_records_are_those_that_tensorflow_reads_in_any_order(tmp_path):
  counts = (5, 0, 1, 9)
  paths, records = _write(tmp_path, counts)
  assert records == [
      r.numpy() for r in tf.data.TFRecordDataset([str(p) for p in paths])
  ]
  files = record_files.RecordFiles(paths, counts)
  assert len(files) == 15
  for index in np.random.default_rng(1).permutation(15):
    assert files.read(int(index)) == records[index]
  for index in (-1, 15):
    with pytest.raises(IndexError):
      files.read(index)


def test_ids_name_file_and_place(tmp_path):
  paths, _ = _write(tmp_path, (1, 0, 2))
  files = record_files.RecordFiles(paths, (1, 0, 2))
  assert files.ids() == ('part-0__0', 'part-2__0', 'part-2__1')


def test_no_more_is_read_than_frames(tmp_path):
  # A file with a hole is as large as it says but takes no disk and no time.
  path = tmp_path / 'large'
  length = 1 << 33
  with path.open('wb') as file:
    file.write(length.to_bytes(8, 'little') + bytes(4))
    file.truncate(12 + length + 4)
  np.testing.assert_array_equal(record_files.scan(path), [[12, length]])


@pytest.mark.parametrize('missing', [1, 4, 5, 2000])
def test_a_partly_copied_file_is_refused(tmp_path, missing):
  (path,), _ = _write(tmp_path, (8,))
  path.write_bytes(path.read_bytes()[:-missing])
  with pytest.raises(ValueError, match='record .* only partly copied'):
    record_files.RecordFiles([path], [8])


def test_other_numbers_of_records_and_absent_files_are_refused(tmp_path):
  paths, _ = _write(tmp_path, (3,))
  with pytest.raises(ValueError, match='expected 4 records.*found 3'):
    record_files.RecordFiles(paths, [4])
  with pytest.raises(FileNotFoundError, match='absent: found no such record'):
    record_files.RecordFiles([tmp_path / 'absent'], [3])
