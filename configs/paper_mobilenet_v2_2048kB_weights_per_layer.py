r"""MobileNetV2 1.0@224 on ImageNet: 2048kB of FLASH, weights alone, per layer.

Command:
  ./bazelw run //tfmpq:search -- \
      --config=paper_mobilenet_v2_2048kB_weights_per_layer \
      --weights=FLOAT_WEIGHTS.npz
Source: ArXiv:2008.05124 (abstract): uniform mixed precision is as accurate as
  non-uniform quantization; no figure.
Measured: not measured; ImageNet and float weights are needed.
Expected: about 3 h on one A100, an estimate from multiply-accumulates and from
  3,000 images per second of input, not measured.
"""

from tfmpq import config
from tfmpq import paper_rows


def get_config() -> config.ExperimentConfig:
  """Returns the experiment."""
  return paper_rows.row('paper_mobilenet_v2_2048kB_weights_per_layer').config()
