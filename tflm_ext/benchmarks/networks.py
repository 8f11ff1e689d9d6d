"""Whole networks: which, and what is built of them.

usage: networks.py specs DEFAULT_JSON PERSON_JSON
       networks.py export NAME TARGET SPEC MODEL_C MODEL_H IMAGES EXPECTED MACS

`specs` writes the tensors and layers of both networks. `export` writes one
network under one policy, with random weights, as C; images; the logits that the
model must give; and its multiply-accumulates.
"""

import itertools
import pathlib
import sys

import numpy as np

from tests import mixed_network
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import specs

# The network that a search without arguments uses, and MobileNetV1 0.25 at
# 96x96x1, the shape of person detection.
DEFAULT = 'default'
PERSON = 'mobilenet_v1_025_96'
# 'mixed' draws each width anew.
_POLICIES = {
    'a8_w8': (8, 8),
    'a4_w4': (4, 4),
    'a2_w2': (2, 2),
    'mixed': (None, None),
}
_SEED = 20261124
_NUM_IMAGES = 2


def names() -> list[str]:
  """Returns <network>_<policy> of all."""
  pairs = itertools.product((DEFAULT, PERSON), _POLICIES)
  return [f'{network}_{policy}' for network, policy in pairs]


def widths(name: str) -> tuple[int | None, int | None]:
  """Returns the widths of activations and weights, None where they differ."""
  return next(v for policy, v in _POLICIES.items() if name.endswith(policy))


def write_specs(default: pathlib.Path, person: pathlib.Path) -> None:
  """Writes the two networks as JSON."""
  # TensorFlow takes seconds to load, and `export` does not need it.
  from tfmpq import keras_graph  # pylint: disable=g-import-not-at-top
  from tfmpq import models  # pylint: disable=g-import-not-at-top

  built = models.build_model(models.DEFAULT_MODEL)
  default.write_text(keras_graph.fold(built).spec.to_json())
  built = models.build_model(
      'mobilenet_v1', input_shape=(96, 96, 1), num_classes=2, width=0.25
  )
  person.write_text(keras_graph.fold(built).spec.to_json())


def export(name: str, target: str, *paths: str) -> None:
  """Writes the files of one network."""
  spec_file, source, header, images, expected, macs = map(pathlib.Path, paths)
  spec = specs.NetworkSpec.from_json(spec_file.read_text(encoding='utf-8'))
  rng = np.random.default_rng(_SEED)
  activation_bits, weight_bits = widths(name)
  policy = (
      mixed_network.random_policy(spec, rng)
      if weight_bits is None
      else specs.QuantizationPolicy.uniform(spec, weight_bits, activation_bits)
  )
  network = mixed_network.random_network(spec, policy, True, rng)
  kernels = kernel_targets.Target(target)
  plan = memory_planner.arena_plan(spec, policy, kernels)
  text = c_writer.write(network, plan.offsets, plan.size_bytes, target=kernels)
  source.write_text(text.source)
  header.write_text(text.header)
  codes = mixed_network.random_codes(
      spec.tensor(spec.input).shape, _NUM_IMAGES, rng
  )
  images.write_bytes(codes.tobytes())
  expected.write_bytes(reference_ops.run(network, codes).tobytes())
  macs.write_text(f'{spec.num_macs}\n')


def main(argv: list[str]) -> None:
  """Writes what the arguments say."""
  if argv[1] == 'specs':
    write_specs(*map(pathlib.Path, argv[2:]))
  else:
    export(*argv[2:])


if __name__ == '__main__':
  main(sys.argv)
