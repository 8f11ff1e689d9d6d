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
experiment is a flag; --config names a file in configs/.
"""

import sys

from absl import app
from absl import flags

from tfmpq import command_line
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import reporting
from tfmpq import stages

_STAGES = {
    'float': stages.make_float_network,
    'search': stages.search,
    'finetune': stages.finetune,
    'export': stages.export,
    'deploy': stages.deploy,
    'evaluate': stages.evaluate,
}
_LAST_STAGE = 'report'

_UNTIL = flags.DEFINE_enum(
    'until',
    _LAST_STAGE,
    [*_STAGES, _LAST_STAGE],
    'Stop after this stage; a later command goes on.',
)
experiment_flags.define()


def main(argv: list[str]) -> None:
  """Runs the stages up to --until."""
  command_line.run(argv, 'search', search)


def search(experiment: experiment_lib.Experiment) -> None:
  """Runs the stages of an experiment that are not finished yet."""
  stages.require_feasible(experiment)
  for name, stage in _STAGES.items():
    print(f'[{name}] {experiment.folder}', file=sys.stderr, flush=True)
    stage(experiment)
    if name == _UNTIL.value:
      return
  print(reporting.write(experiment, command()))


def command() -> str:
  """Returns the command line that makes this run."""
  return ' '.join(['./bazelw run //tfmpq:search --', *sys.argv[1:]]).rstrip(
      ' -'
  )


if __name__ == '__main__':
  app.run(main)
