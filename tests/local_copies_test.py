"""Tests of local_copies: copies that are made when a file is first read."""

import os
import pathlib

import pytest

from tfmpq import local_copies


def _copies(tmp_path):
  (tmp_path / 'source' / 'class').mkdir(parents=True)
  (tmp_path / 'source' / 'class' / 'a.jpg').write_bytes(b'first')
  return local_copies.LocalCopies(tmp_path / 'source', tmp_path / 'cache')


def test_without_a_folder_for_copies_the_file_itself_is_read(tmp_path):
  copies = local_copies.LocalCopies(tmp_path)
  assert copies.path('class/a.jpg') == tmp_path / 'class' / 'a.jpg'


def test_a_file_is_copied_once_and_anew_when_it_has_changed(tmp_path):
  copies = _copies(tmp_path)
  original = tmp_path / 'source' / 'class' / 'a.jpg'
  copy = copies.path('class/a.jpg')
  assert copy.read_bytes() == b'first'
  assert (tmp_path / 'cache') in copy.parents
  before = copy.stat().st_ino
  assert copies.path('class/a.jpg').stat().st_ino == before
  original.write_bytes(b'second')
  assert copies.path('class/a.jpg').read_bytes() == b'second'
  original.write_bytes(b'third!')
  os.utime(original, (1, 1))
  assert copies.path('class/a.jpg').read_bytes() == b'third!'


def test_folders_of_one_name_do_not_share_copies(tmp_path):
  paths = set()
  for parent in ('a', 'b'):
    folder = tmp_path / parent / 'train'
    folder.mkdir(parents=True)
    (folder / 'x').write_bytes(parent.encode())
    copies = local_copies.LocalCopies(folder, tmp_path / 'cache')
    paths.add(copies.path('x'))
    assert copies.path('x').read_bytes() == parent.encode()
  assert len(paths) == 2


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
  copies = _copies(tmp_path)

  def fail(source, target):
    pathlib.Path(target).write_bytes(b'fi')
    raise OSError('disk full')

  monkeypatch.setattr(local_copies.shutil, 'copy2', fail)
  with pytest.raises(OSError, match='disk full'):
    copies.path('class/a.jpg')
  assert not [p for p in (tmp_path / 'cache').rglob('*') if p.is_file()]
  with pytest.raises(FileNotFoundError):
    copies.path('class/absent.jpg')
