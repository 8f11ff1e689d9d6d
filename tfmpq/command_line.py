"""How the programs over a run directory start."""

from collections.abc import Callable

from absl import app

from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import program_errors
from tfmpq import reproducibility


def run(
    argv: list[str],
    program: str,
    body: Callable[[experiment_lib.Experiment], None],
) -> None:
  """Runs a program on the experiment that the flags describe.

  Nothing is written yet: a mistake leaves no run directory that would stand in
  the way of the next command.

  Args:
    argv: as absl passes it.
    program: its name, for messages.
    body: what it does.
  """
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, received {argv[1:]}')
  with program_errors.in_one_line(program):
    config, folder = experiment_flags.experiment()
    search = config.search
    reproducibility.make_reproducible(search.seed, search.threads)
    body(experiment_lib.Experiment(config, folder))
