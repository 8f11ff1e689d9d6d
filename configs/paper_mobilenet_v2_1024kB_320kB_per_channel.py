r"""MobileNetV2 0.75@192: 1024kB of FLASH and 320kB of RAM, per channel.

Command:
  ./bazelw run //tfmpq:search -- \
      --config=paper_mobilenet_v2_1024kB_320kB_per_channel \
      --weights=FLOAT_WEIGHTS.npz
Source: No source that is known to us has a figure.
Measured: not measured; ImageNet and float weights are needed.
Expected: about 2 h on one A100, an estimate from multiply-accumulates and from
  3,000 images per second of input, not measured.
"""

from tfmpq import config
from tfmpq import paper_rows


def get_config() -> config.ExperimentConfig:
  """Returns the experiment."""
  return paper_rows.row('paper_mobilenet_v2_1024kB_320kB_per_channel').config()
