"""Tables of made-up counts, for tests of what a limit on instructions does."""

import random

from tfmpq import latency_model
from tfmpq import latency_table
from tfmpq import specs


def made_up_table(
    network: specs.NetworkSpec, seed: int
) -> latency_table.InstructionTable:
  """Returns counts as real kernels have them, and some disorder.

  Work grows with the elements of output and weight; narrow weights that meet
  wide inputs take longer, narrow ones that meet narrow inputs are faster.
  """
  rng = random.Random(seed)
  counts = {}
  for call in latency_model.calls(
      network, latency_model.allowed_widths(network), False
  ):
    size = 1
    for dimension in (*call.geometry.output_shape, *call.geometry.kernel_size):
      size *= dimension
    factor = 1.1 if call.w < 8 else 1.0
    if call.a == call.w == 2:
      factor = 0.6
    if call.pre_shift:
      factor *= 1.01
    counts[call] = int(size * 10 * factor * rng.uniform(0.9, 1.1)) + 100
  return latency_table.InstructionTable('cortex_m4', 'made up', counts)


def model(network: specs.NetworkSpec, seed: int) -> latency_model.LatencyModel:
  """Returns the sums of made-up counts."""
  return latency_model.LatencyModel(
      network, made_up_table(network, seed), False
  )
