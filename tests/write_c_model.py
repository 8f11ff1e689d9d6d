"""Writes a mixed_network as C, test images, and what the model must give.

usage: write_c_model.py SEED TARGET MODEL_C MODEL_H IMAGES EXPECTED PREDICTION

TARGET is portable or dsp. PREDICTION is JSON: ram_bytes and flash_bytes,
predicted from the network's shape and policy alone.
"""

import json
import pathlib
import sys

import numpy as np

from tests import mixed_network
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import reference_ops

_NUM_IMAGES = 20


def main(argv: list[str]) -> None:
  """Writes the six files."""
  seed = int(argv[1])
  target = kernel_targets.Target(argv[2])
  source, header, images, expected, prediction = map(pathlib.Path, argv[3:])
  network = mixed_network.mixed_network(seed)
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  text = c_writer.write(network, plan.offsets, plan.size_bytes, target=target)
  source.write_text(text.source)
  header.write_text(text.header)
  codes = mixed_network.random_codes(
      mixed_network.INPUT_SHAPE, _NUM_IMAGES, np.random.default_rng(seed + 1)
  )
  images.write_bytes(codes.tobytes())
  expected.write_bytes(reference_ops.run(network, codes).tobytes())
  figures = {
      'ram_bytes': plan.size_bytes,
      'flash_bytes': c_writer.flash_bytes(
          network.spec, network.policy, network.per_channel_zero_points, target
      ),
  }
  prediction.write_text(json.dumps(figures, indent=2) + '\n')


if __name__ == '__main__':
  main(sys.argv)
