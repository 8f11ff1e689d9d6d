r"""MobileNetV1 1.0@224: 2048kB of FLASH, weights alone, per channel.

Command:
  ./bazelw run //tfmpq:search -- \
      --config=paper_mobilenet_v1_2048kB_weights_per_channel \
      --weights=FLOAT_WEIGHTS.npz
Source: ArXiv:2008.05124 (abstract): uniform mixed precision is as accurate as
  non-uniform quantization; no figure.
Measured: not measured; ImageNet and float weights are needed.
Expected: about 4 h on one A100, an estimate from multiply-accumulates and from
  3,000 images per second of input, not measured.
"""

from tfmpq import config
from tfmpq import paper_rows


def get_config() -> config.ExperimentConfig:
  """Returns the experiment."""
  return paper_rows.row(
      'paper_mobilenet_v1_2048kB_weights_per_channel'
  ).config()
