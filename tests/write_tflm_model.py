"""Writes a network of tflm_networks with test images and expected logits.

usage: write_tflm_model.py SEED TARGET TFLITE DATA_CC OPS_CC IMAGES EXPECTED

TARGET is one of tflm_networks.TARGETS.
"""

import pathlib
import sys

import numpy as np

from tests import mixed_network
from tests import tflm_networks
from tfmpq import tflm_sources

_NUM_IMAGES = 20


def main(argv: list[str]) -> None:
  """Writes the five files."""
  seed, target = int(argv[1]), argv[2]
  path, data, ops, images, expected = map(pathlib.Path, argv[3:])
  network = tflm_networks.network(seed, target)
  tflite = tflm_networks.tflite(network, target)
  codes = mixed_network.random_codes(
      mixed_network.INPUT_SHAPE, _NUM_IMAGES, np.random.default_rng(seed + 1)
  )
  path.write_bytes(tflite)
  data.write_text(tflm_sources.model_data(tflite))
  ops.write_text(tflm_sources.model_ops(tflite))
  images.write_bytes(codes.tobytes())
  logits = tflm_networks.logits(network, target, codes)
  expected.write_bytes(logits.tobytes())


if __name__ == '__main__':
  main(sys.argv)
