"""Runs a small ImageNet network through all stages and copies what comes out.

usage: write_imagenet_model.py NETWORK PORTABLE_C PORTABLE_H DSP_C DSP_H MVE_C
           MVE_H IMAGES EXPECTED

NETWORK is one of imagenet_smoke.small_networks(). IMAGES and EXPECTED are the
codes of two test images and of what the models must give for them.
"""

import pathlib
import shutil
import sys
import tempfile

from tests import imagenet_smoke
from tfmpq import exporting
from tfmpq import reference_ops
from tfmpq import reproducibility
from tfmpq import run_dir

_FOLDERS = ('.', 'dsp', 'mve')


def main(argv: list[str]) -> None:
  """Writes the eight files."""
  name = argv[1]
  *models, images, expected = map(pathlib.Path, argv[2:])
  reproducibility.make_reproducible(seed=1, num_threads=2)
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    imagenet_smoke.write_images(folder)
    base = imagenet_smoke.small_networks()[name]
    experiment = imagenet_smoke.run(base, folder)
    codes = imagenet_smoke.check(experiment)
    network = exporting.load_network(experiment.folder)
    for index, kind in enumerate(_FOLDERS):
      export = experiment.folder / kind
      shutil.copy(export / run_dir.C_SOURCE, models[2 * index])
      shutil.copy(export / run_dir.C_HEADER, models[2 * index + 1])
  images.write_bytes(codes.tobytes())
  expected.write_bytes(reference_ops.run(network, codes).tobytes())


if __name__ == '__main__':
  main(sys.argv)
