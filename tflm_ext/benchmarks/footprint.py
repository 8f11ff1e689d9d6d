"""RAM, FLASH, code and instructions of one network under every backend.

  ./bazelw run //tflm_ext/benchmarks:footprint
  ./bazelw run //tflm_ext/benchmarks:footprint -- --cores=cortex_m4

builds MobileNetV1 0.25 at 96x96x1, the shape of person detection, with random
weights (no figure here depends on them), runs it on each core, compares every
logit with the reference and the arena with its prediction, and prints a table:

  stock    8 bits in TFLM's own ops, with the kernels of the SDK (CMSIS-NN)
  tflm     this project's ops under TFLM, at 8 and at 4 bits
  c        plain C without interpreter, likewise

Without TFLM there is an error; --backends=c needs none.
"""

import pathlib
import sys
import tempfile

from absl import app
from absl import flags
import numpy as np

from tests import mixed_network
from tests import mobilenet_specs
from tfmpq import bazel_build
from tfmpq import deployment
from tfmpq import firmware
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import tflm_deployment

_CORES = flags.DEFINE_list('cores', ['cortex_m4', 'cortex_m55'], 'Cores.')
_BACKENDS = flags.DEFINE_list('backends', ['stock', 'tflm', 'c'], 'Which.')

_SEED = 20261124
_NUM_IMAGES = 2
_BITS = {'stock': (8,), 'tflm': (8, 4), 'c': (8, 4)}
_COLUMNS = (
    'backend | bits | core | RAM | head | tail | constants | code | stack | '
    'instructions'
)


def person_network(bits: int) -> quantized_network.QuantizedNetwork:
  """Returns the network, all tensors of one width, as `stock` can run it."""
  spec = mobilenet_specs.mobilenet_v1(0.25, 96, 1, 2)
  policy = specs.QuantizationPolicy.uniform(spec, bits, bits)
  rng = np.random.default_rng(_SEED)
  return mixed_network.random_network(
      spec, policy, per_channel_zero_points=False, rng=rng
  )


def deploy(
    backend: str, bits: int, cores: list[str], folder: pathlib.Path
) -> list[deployment.DeployResult]:
  """Returns what was measured of the network, one result per core."""
  network = person_network(bits)
  rng = np.random.default_rng(_SEED)
  shape = network.spec.tensor(network.spec.input).shape
  codes = mixed_network.random_codes(shape, _NUM_IMAGES, rng)
  if backend == 'c':
    return deployment.deploy(network, codes, cores, folder)
  missing = tflm_deployment.missing_sdk(cores)
  if missing:
    raise ValueError(f'{missing}. --backends=c needs none')
  ops = 'builtin' if backend == 'stock' else 'custom'
  return tflm_deployment.deploy(network, codes, cores, folder, tflite_ops=ops)


def row(backend: str, bits: int, result: deployment.DeployResult) -> str:
  """Returns a line of the table."""
  figures = (
      result.ram_bytes_measured,
      result.arena_head_bytes,
      result.arena_tail_bytes,
      result.const_bytes,
      result.code_bytes,
      result.stack_bytes,
      result.instructions,
  )
  texts = ['-' if figure is None else f'{figure:,}' for figure in figures]
  return ' | '.join([backend, str(bits), result.core, *texts])


def main(argv: list[str]) -> None:
  """Prints the table; ends with status 1 if anything is not as predicted."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  problems = []
  print(f'| {_COLUMNS} |')
  print('|' + '---|' * (_COLUMNS.count('|') + 1))
  try:
    for backend in _BACKENDS.value:
      for bits in _BITS[backend]:
        with tempfile.TemporaryDirectory() as folder:
          results = deploy(backend, bits, _CORES.value, pathlib.Path(folder))
        for result in results:
          print(f'| {row(backend, bits, result)} |', flush=True)
          problems += result.problems()
  except (ValueError, firmware.FirmwareError, bazel_build.BuildError) as error:
    sys.exit(f'footprint: {error}')
  if problems:
    sys.exit('footprint: ' + '\n'.join(problems))


if __name__ == '__main__':
  app.run(main)
