"""How the programs over a run directory start, and how they end on errors."""

from collections.abc import Callable
import sys

from absl import app

from tfmpq import bazel_build
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import firmware
from tfmpq import reproducibility
from tfmpq import run_dir

# What a user can mend; anything else is a mistake of ours and shows its trace.
_EXPECTED_ERRORS = (
    ValueError,
    FileNotFoundError,
    bazel_build.BuildError,
    firmware.FirmwareError,
)


def run(
    argv: list[str],
    program: str,
    body: Callable[[experiment_lib.Experiment], None],
) -> None:
  """Runs a program on the experiment that the flags describe.

  Args:
    argv: as absl passes it.
    program: its name, for messages.
    body: what it does.
  """
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, received {argv[1:]}')
  try:
    config, folder = experiment_flags.experiment()
    search = config.search
    reproducibility.make_reproducible(search.seed, search.threads)
    if not (folder / run_dir.CONFIG).exists():
      run_dir.atomic_write(folder / run_dir.CONFIG, config_lib.to_json(config))
    body(experiment_lib.Experiment(config, folder))
  except _EXPECTED_ERRORS as error:
    sys.exit(f'{program}: {error}')
  except KeyboardInterrupt:
    sys.exit(f'\n{program}: stopped; the same command goes on from here')
