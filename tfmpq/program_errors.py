"""How a program ends on what its user can mend: one line, no trace."""

from collections.abc import Iterator
import contextlib
import sys

from tfmpq import bazel_build
from tfmpq import firmware

# Anything else is a mistake of ours and shows where it happened.
_EXPECTED = (
    ValueError,
    FileNotFoundError,
    bazel_build.BuildError,
    firmware.FirmwareError,
)


@contextlib.contextmanager
def in_one_line(program: str) -> Iterator[None]:
  """Ends the program with status 1 and a line that begins with its name."""
  try:
    yield
  except _EXPECTED as error:
    sys.exit(f'{program}: {error}')
  except KeyboardInterrupt:
    sys.exit(f'\n{program}: stopped; the same command goes on from here')
