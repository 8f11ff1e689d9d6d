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
from tfmpq import tflm_builtin_ram

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
    policy_widths: Sequence[int] = specs.BIT_WIDTHS,
) -> memory_model.MemoryModel:
  """Returns the memory model by which policies of a network are judged.

  Args:
    network: the network.
    name: 'arena' (bytes that the deployment uses) or 'paper' (as in the
      literature; does not look at the backend).
    backend: 'c' (model.c) or 'tflm' (a .tflite for TFLite Micro).
    per_channel_zero_points: whether 4- and 2-bit weights have a zero point
      per output channel. In the 'paper' model such a network is 'mixpc',
      another one 'mixpl'.
    targets: instruction sets of the cores; the model has to fit all of them.
    tflite_ops: of 'tflm', 'custom' or 'builtin'.
    policy_widths: all that a policy may have, ascending; others than 2, 4 and 8
      in the 'paper' model only.

  Raises:
    ValueError: an unknown name or backend, or widths that no backend stores.
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
    return paper_memory.paper_model(network, scheme, policy_widths)
  if not {*policy_widths} <= {*specs.BIT_WIDTHS}:
    raise ValueError(
        f'widths {tuple(policy_widths)}: the exports store {specs.BIT_WIDTHS} '
        f"bits only, so the memory model '{name}' has no bytes for others; "
        "compare them in the memory model 'paper'"
    )
  if not targets:
    raise ValueError('a memory model needs at least one target')
  if backend == 'tflm' and tflite_ops == 'builtin':
    return _builtin_model(network, targets)
  writer = tflite_writer if backend == 'tflm' else c_writer
  return arena_memory.arena_model(
      network,
      arena_memory.Backend(backend),
      lambda policy: max(
          writer.flash_bytes(network, policy, per_channel_zero_points, target)
          for target in targets
      ),
      targets,
  )


def title(backend: str, tflite_ops: str | None) -> str:
  """Returns 'c', 'tflm' or 'tflm builtin', for tables."""
  return f'{backend} builtin' if tflite_ops == 'builtin' else backend


def _builtin_model(
    network: specs.NetworkSpec, targets: Sequence[kernel_targets.Target]
) -> memory_model.MemoryModel:
  """Returns the model of a .tflite of TFLM's own ops."""
  kernels = tflm_builtin_ram.of_targets(targets)
  return memory_model.MemoryModel(
      network,
      ' '.join(['arena tflm builtin', *(k.value for k in kernels)]),
      arena_memory.largest(
          [tflm_builtin_ram.BuiltinRam(network, k) for k in kernels]
      ),
      lambda policy: tflite_builtin.flash_bytes(network, policy),
      {
          specs.TensorKind.ACTIVATION: (tflite_builtin.ACTIVATION_BITS,),
          specs.TensorKind.WEIGHT: tflite_builtin.WEIGHT_BITS,
      },
  )


def _check_choice(what: str, received: str, choices: tuple[str, ...]) -> None:
  if received not in choices:
    raise ValueError(
        f'{what}: expected one of {choices}, received {received!r}'
        + specs.did_you_mean(received, choices)
    )
