"""Writing files so that they are whole or absent."""

import os

import pytest

from tfmpq import run_dir


def test_bytes_and_text_are_written_into_new_folders(tmp_path):
  run_dir.atomic_write(tmp_path / 'a' / 'b.bin', b'\x00\xff')
  run_dir.atomic_write(tmp_path / 'a' / 'c.txt', 'größer\n')
  assert (tmp_path / 'a' / 'b.bin').read_bytes() == b'\x00\xff'
  assert (tmp_path / 'a' / 'c.txt').read_text(encoding='utf-8') == 'größer\n'
  assert len(list((tmp_path / 'a').iterdir())) == 2


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'file'
  run_dir.atomic_write(path, 'old')

  def interrupt(*unused_args):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'replace', interrupt)
  with pytest.raises(KeyboardInterrupt):
    run_dir.atomic_write(path, 'new')
  assert path.read_text() == 'old'


def test_names_are_unique():
  names = [value for name, value in vars(run_dir).items() if name.isupper()]
  assert len(names) == len(set(names)) > 10
