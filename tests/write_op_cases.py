"""Writes models for ops_test.cc: what they must give, or what must be logged.

usage: write_op_cases.py --output=FILE [--target=dsp] [--seed=N] [--networks=N]

File format; numbers are little-endian int32:

    header  8 bytes  b'TFMPQOP1'
            2 int32  seed that made the file, number of cases
    case    7 int32  refused by: 0 none, 1 an op, 2 VerifyModel; number of
                     images; lengths in bytes of what follows
            name, message, model, images, outputs

`message` is what a refusal must log, images and outputs are int8 codes.
"""

import argparse
from collections.abc import Iterator
import pathlib
import struct

import numpy as np

from tests import malformed_models
from tests import mixed_network
from tests import op_networks
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops
from tfmpq import tflite_writer

MAGIC = b'TFMPQOP1'
_NUM_IMAGES = 3
_BY_NONE, _BY_OP, _BY_VERIFIER = range(3)


def _case(
    refused_by: int,
    name: str,
    model: bytes,
    message: str = '',
    images: np.ndarray | None = None,
    outputs: np.ndarray | None = None,
) -> bytes:
  parts = [name.encode(), message.encode(), model]
  parts += [b'' if a is None else a.tobytes() for a in (images, outputs)]
  header = (refused_by, 0 if images is None else len(images), *map(len, parts))
  return struct.pack('<7i', *header) + b''.join(parts)


def _valid_case(name: str, network, target, plan_target, rng) -> bytes:
  spec = network.spec
  plan = memory_planner.arena_plan(spec, network.policy, plan_target)
  shape = spec.tensor(spec.input).shape
  images = mixed_network.random_codes(shape, _NUM_IMAGES, rng)
  outputs = reference_ops.run(network, images)
  model = tflite_writer.write(network, plan, target)
  return _case(_BY_NONE, name, model, images=images, outputs=outputs)


def _valid_networks(seed: int, num_networks: int):
  """Yields (name, network, rng)."""
  for i, (op, widths) in enumerate(op_networks.combinations()):
    rng = np.random.default_rng([seed, 0, i])
    yield f'{op.value} {widths}', op_networks.op_network(op, widths, rng), rng
  for i in range(num_networks):
    rng = np.random.default_rng([seed, 1, i])
    yield f'random network {i}', op_networks.random_network(rng), rng
  for i in range(num_networks // 10):
    rng = np.random.default_rng([seed, 2, i])
    yield f'mixed network {i}', mixed_network.mixed_network(seed + i), rng


def cases(seed, num_networks, target, plan_target) -> Iterator[bytes]:
  """Yields every case."""
  for name, network, rng in _valid_networks(seed, num_networks):
    yield _valid_case(name, network, target, plan_target, rng)
  if target is kernel_targets.Target.PORTABLE:
    for model in malformed_models.malformed_models():
      refused_by = _BY_VERIFIER if model.in_verifier else _BY_OP
      yield _case(refused_by, model.name, model.data, model.message)


def main() -> None:
  """Writes the file."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--seed', type=int, default=1)
  parser.add_argument('--networks', type=int, default=40)
  for name in ('--target', '--plan_target'):
    parser.add_argument(
        name, type=kernel_targets.Target, default=kernel_targets.Target.PORTABLE
    )
  args = parser.parse_args()
  written = list(cases(args.seed, args.networks, args.target, args.plan_target))
  header = MAGIC + struct.pack('<2i', args.seed, len(written))
  args.output.write_bytes(header + b''.join(written))


if __name__ == '__main__':
  main()
