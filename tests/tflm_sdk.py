"""Where a test finds the SDK of TFLite Micro, whoever has started it."""

import pathlib

from tfmpq import host_programs

# What @tflm_sdk//:files makes of it in the runfiles.
_RUNFILES = pathlib.Path('..', 'tflm_sdk')


def root() -> pathlib.Path | None:
  """Returns the SDK with a library for this machine, or None."""
  if (_RUNFILES / 'lib' / 'host').is_dir():
    return _RUNFILES.absolute()
  return host_programs.tflm_root()
