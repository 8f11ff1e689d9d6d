"""Paths as the user typed them.

`bazel run` starts a program in its runfiles folder and passes the folder in
which the user typed the command in BUILD_WORKING_DIRECTORY.
"""

import os
import pathlib


def resolve(path) -> pathlib.Path:
  """Returns `path` as an absolute path, relative to where the user is.

  '~' stands for the home folder; an absolute path is returned as it is.
  """
  start = os.environ.get('BUILD_WORKING_DIRECTORY', os.getcwd())
  return pathlib.Path(start) / pathlib.Path(path).expanduser()


def resolve_dataset(name: str) -> str:
  """Returns a data set's name with the path in it, if any, made absolute.

  'npz:digits.npz' becomes 'npz:/where/the/user/is/digits.npz'.
  """
  kind, _, path = name.partition(':')
  if kind in ('builder_dir', 'folder', 'npz', 'csv') and path:
    return f'{kind}:{resolve(path)}'
  return name
