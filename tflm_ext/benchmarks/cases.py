"""Writes the layers of the benchmark as a file of golden vectors.

usage: cases.py TARGET OUTPUT

Every layer with all widths, random operands, and the output by reference_ops;
weights in the layout of the target's kernels.
"""

import pathlib
import sys

import numpy as np

from tests import golden_cases
from tests import golden_vectors
from tflm_ext.benchmarks import layers
from tfmpq import kernel_targets

_SEED = 20261124


def encode(target: kernel_targets.Target) -> bytes:
  """Returns the bytes of the file."""
  encoded = []
  for i, (layer, bits) in enumerate(layers.combinations()):
    rng = np.random.RandomState(_SEED + i)
    case = golden_cases.layer_case(
        rng, layer.spec, layer.size, layer.channels, bits, extreme=False
    )
    kernel = kernel_targets.kernel(
        target,
        kernel_targets.Geometry(
            layer.spec.op,
            case.inputs[0].shape,
            case.output.shape,
            layer.spec.kernel_size,
            layer.spec.stride,
            layer.spec.padding,
        ),
        *bits,
    )
    encoded.append(golden_vectors.encode_case(case, kernel.layout))
  numbers = np.array([_SEED, len(encoded)], '<i4').tobytes()
  return golden_vectors.MAGIC + numbers + b''.join(encoded)


def main(argv: list[str]) -> None:
  """Writes the file."""
  target, output = argv[1:]
  data = encode(kernel_targets.Target(target))
  pathlib.Path(output).write_bytes(data)


if __name__ == '__main__':
  main(sys.argv)
