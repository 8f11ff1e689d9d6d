"""Counts the instructions of a network's layers on an emulated core.

  ./bazelw run //tfmpq:latency -- --run_dir=/tmp/my_run --core=cortex_m4
  ./bazelw run //tfmpq:latency -- --model=mobilenet_v2 --width=0.35 --core=...

calls the kernel of every layer of the experiment's network once with all widths
that its tensors may have, and adds the counts to the table of the core in
--latency_dir. A table serves every network: what is there is not counted again.
Stop it at any point; the same command goes on. These are instructions, not
cycles. A search with --max_instructions or with a weight for instructions in
--objective_weights reads the table.
"""

import sys

from absl import app
from absl import flags
import tqdm

from tfmpq import bazel_build
from tfmpq import choice_flags
from tfmpq import command_line
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import firmware
from tfmpq import latency_measuring
from tfmpq import latency_model
from tfmpq import latency_table
from tfmpq import specs

_CORE = choice_flags.define(
    'core', None, firmware.CORES, 'Where to count. Default: --latency_core.'
)
experiment_flags.define()
for _name in ('config', 'run_dir', 'model', 'width', 'latency_dir'):
  flags.declare_key_flag(_name)


def main(argv: list[str]) -> None:
  """Counts what the table lacks and prints the uniform policies."""
  command_line.run(argv, 'latency', count)


def count(experiment: experiment_lib.Experiment) -> None:
  """Fills the table of --core with the layers of the network."""
  core = _CORE.value or experiment.config.latency.latency_core
  network = experiment.spec
  calls = latency_model.calls(
      network,
      latency_model.allowed_widths(network),
      experiment.per_channel_zero_points,
  )
  print(f'latency: building the program for {core}', file=sys.stderr)
  root = bazel_build.workspace_root()
  program = latency_measuring.build(core, root)
  folder = experiment.latency_dir
  with tqdm.tqdm(total=len(calls), desc=core, unit='count') as bar:

    def on_batch(num_there: int) -> None:
      bar.update(num_there - bar.n)

    table = latency_measuring.measure(
        folder, core, calls, program, root, on_batch
    )
  print(summary(network, table, experiment.per_channel_zero_points))
  print(f'{len(calls)} counts for this network in', end=' ')
  print(latency_table.path(folder, core))


def summary(
    network: specs.NetworkSpec,
    table: latency_table.InstructionTable,
    per_channel_zero_points: bool,
) -> str:
  """Returns the instructions of the uniform policies, a line each."""
  model = latency_model.LatencyModel(network, table, per_channel_zero_points)
  lines = []
  for bits in reversed(specs.BIT_WIDTHS):
    policy = specs.QuantizationPolicy.uniform(network, bits, bits)
    instructions = model.instructions(policy)
    lines.append(
        f'{table.core}, all tensors at {bits} bits: {instructions:,} '
        f'instructions, {instructions / network.num_macs:.3f} per MAC'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  app.run(main)
