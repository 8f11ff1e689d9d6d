"""Finds the most accurate network that fits a microcontroller, and runs it.

  ./bazelw run //tfmpq:search
  ./bazelw run //tfmpq:search -- --ram=16kB --flash=40KiB --run_dir=/tmp/my_run

goes through the stages

  float     weights of the float network, BatchNorm folded
  search    2, 4 or 8 bits for every weight and activation tensor, so that the
            network fits --ram and --flash
  finetune  quantization-aware training under that policy
  export    model.tflite, and model.c with model.h
  deploy    runs the C export on emulated cores and compares every logit
  evaluate  accuracy of the integer network on the test split
  report    report.json and report.html

and leaves everything in --run_dir. A stage that is finished is not repeated:
stop it at any point (Ctrl-C, or worse) and give the same command again, and it
goes on to the same result, bit for bit, for a given --seed on the same type of
machine. Sizes take units: kB = 1000 bytes, KiB = 1024 bytes. Every field of the
experiment is a flag (--helpfull lists them); --config names a file in configs/;
--flagfile=FILE reads flags from a file, one per line.
"""

import shlex
import sys

from absl import app
from absl import flags

from tfmpq import choice_flags
from tfmpq import command_line
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import fronts
from tfmpq import reporting
from tfmpq import searching
from tfmpq import specs
from tfmpq import stages

_STAGES = {
    'float': stages.make_float_network,
    'search': searching.search,
    'finetune': stages.finetune,
    'export': stages.export,
    'deploy': stages.deploy,
    'evaluate': stages.evaluate,
}
_LAST_STAGE = 'report'
_PROGRAM = ('./bazelw', 'run', '//tfmpq:search')

_UNTIL = choice_flags.define(
    'until',
    _LAST_STAGE,
    [*_STAGES, _LAST_STAGE],
    'Stop after this stage; a later command goes on.',
)
_PARETO = flags.DEFINE_bool(
    'pareto',
    False,
    'Instead of one policy for --ram and --flash, search a front of policies '
    'over ranges of both: pareto.json and pareto.html.',
)
_PARETO_RAM = flags.DEFINE_string(
    'pareto_ram', '', "Range of RAM, such as '8kB:20kB'; empty: all of it."
)
_PARETO_FLASH = flags.DEFINE_string(
    'pareto_flash', '', "Range of FLASH, such as '24kB:48kB'; empty: all of it."
)
_PARETO_POINTS = flags.DEFINE_integer(
    'pareto_points', 4, 'Limits per range; a budget for each pair.'
)
experiment_flags.define()
# The others are in --helpfull.
for _name in ('config', 'run_dir', 'ram', 'flash', 'searcher', 'episodes'):
  flags.declare_key_flag(_name)


def main(argv: list[str]) -> None:
  """Runs the stages up to --until."""
  command_line.run(argv, 'search', search)


def search(experiment: experiment_lib.Experiment) -> None:
  """Runs the stages of an experiment that are not finished yet."""
  stages.require_startable(experiment)
  _require_deployable(experiment)
  experiment.begin()
  if _PARETO.value:
    stages.make_float_network(experiment)
    print(
        fronts.run(
            experiment,
            _PARETO_RAM.value,
            _PARETO_FLASH.value,
            _PARETO_POINTS.value,
        )
    )
    return
  for name, stage in _STAGES.items():
    print(f'[{name}] {experiment.folder}', file=sys.stderr, flush=True)
    stage(experiment)
    if name == _UNTIL.value:
      print(
          f"search: stopped after '{name}'; the same command without --until "
          'goes on from here',
          file=sys.stderr,
      )
      return
  print(reporting.write(experiment, command(experiment.config)))


def _require_deployable(experiment: experiment_lib.Experiment) -> None:
  """Raises ValueError if stages are asked for that widths do not reach."""
  widths = experiment.policy_widths
  beyond = _PARETO.value or _UNTIL.value not in ('float', 'search')
  if beyond and widths != specs.BIT_WIDTHS:
    raise ValueError(
        f'--search_bits={experiment.config.search.search_bits}: widths but '
        f'{specs.BIT_WIDTHS} are for comparison only, nothing trains or runs '
        'them; add --until=search (and no --pareto), received '
        f'--until={_UNTIL.value}'
    )


def command(config: config_lib.ExperimentConfig) -> str:
  """Returns the command line that makes this run in an empty folder."""
  arguments = experiment_flags.arguments(config)
  separator = ['--'] if arguments else []
  return shlex.join([*_PROGRAM, *separator, *arguments])


if __name__ == '__main__':
  app.run(main)
