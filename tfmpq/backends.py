"""Joins the memory models with the writers whose bytes they predict."""

from collections.abc import Sequence

from tfmpq import arena_memory
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import memory_model
from tfmpq import paper_memory
from tfmpq import specs
from tfmpq import tflite_builtin
from tfmpq import tflite_writer

MEMORY_MODELS = ('arena', 'paper')
BACKENDS = ('c', 'tflm')
TFLITE_OPS = ('custom', 'builtin')


def build_memory_model(
    network: specs.NetworkSpec,
    name: str,
    backend: str,
    per_channel_zero_points: bool,
    targets: Sequence[kernel_targets.Target],
    tflite_ops: str = 'custom',
) -> memory_model.MemoryModel:
  """Returns the memory model by which policies of a network are judged.

  Args:
    network: the network.
    name: 'arena' (bytes that the deployment uses) or 'paper' (as in the
      literature; does not look at the backend).
    backend: 'c' (model.c) or 'tflm' (model.tflite with our memory plan).
    per_channel_zero_points: whether 4- and 2-bit weights have a zero point
      per output channel. In the 'paper' model such a network is 'mixpc',
      another one 'mixpl'.
    targets: instruction sets of the cores; 'c' has to fit all of them.
    tflite_ops: of 'tflm', 'custom' or 'builtin'.

  Raises:
    ValueError: an unknown name or backend.
  """
  _check_choice('memory model', name, MEMORY_MODELS)
  _check_choice('backend', backend, BACKENDS)
  _check_choice('tflite_ops', tflite_ops, TFLITE_OPS)
  if name == 'paper':
    scheme = (
        paper_memory.ParameterScheme.MIXPC
        if per_channel_zero_points
        else paper_memory.ParameterScheme.MIXPL
    )
    return paper_memory.paper_model(network, scheme)
  if backend == 'tflm' and tflite_ops == 'builtin':
    return arena_memory.arena_model(
        network,
        arena_memory.Backend.TFLM_GREEDY,
        lambda policy: tflite_builtin.flash_bytes(network, policy),
    )
  if backend == 'tflm':
    return arena_memory.arena_model(
        network,
        arena_memory.Backend.TFLM,
        lambda policy: tflite_writer.flash_bytes(
            network, policy, per_channel_zero_points
        ),
    )
  if not targets:
    raise ValueError('a memory model needs at least one target')
  return arena_memory.arena_model(
      network,
      arena_memory.Backend.C,
      lambda policy: max(
          c_writer.flash_bytes(network, policy, per_channel_zero_points, target)
          for target in targets
      ),
      targets,
  )


def _check_choice(what: str, received: str, choices: tuple[str, ...]) -> None:
  if received not in choices:
    raise ValueError(
        f'{what}: expected one of {choices}, received {received!r}'
        + specs.did_you_mean(received, choices)
    )
