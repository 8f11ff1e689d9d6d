"""FinetuneConfig: the part of an ExperimentConfig that says how to fine-tune.

Widths and rates that change during a training are given as text, such as
`8:1,4:1`, so that they are flags like the others.
"""

from __future__ import annotations

import dataclasses
import math

from tfmpq.config_parts import field as _field
from tfmpq.config_parts import Part as _Part

_PHASE_WIDTHS = (8, 4)


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(_Part):
  """Quantization-aware training under the policy."""

  finetune_epochs: int = _field(
      6,
      'Passes over the training split; 0: the network is calibrated only.',
      minimum=0,
  )
  progressive_bits: str = _field(
      '4:1',
      'Phases before these, WIDTH:PASSES, in which no tensor has fewer bits '
      "than that, such as '8:1,4:1'. Empty: none. A phase that would not "
      'widen a tensor is left out.',
  )
  patience: int = _field(
      5,
      'Epochs without a better cross-entropy on the reward split after which a '
      'phase ends. The rate falls to its end, so the last epochs are the best.',
      minimum=1,
  )
  num_finetune_images: int = _field(
      0, 'Training images of which a pass consists; 0: all.', minimum=0
  )
  batch_size: int = _field(
      128, 'Images per training step, of all devices together.', minimum=1
  )
  learning_rate: float = _field(
      1e-3, 'Peak learning rate of Adam; each phase begins there.', minimum=0
  )
  lr_schedule: str = _field(
      'cosine',
      "How the rate falls within a phase: 'cosine', to 0; 'exponential', to "
      "--lr_final; 'steps', see --lr_steps; 'constant', not at all.",
      ('cosine', 'exponential', 'steps', 'constant'),
  )
  lr_warmup_steps: int = _field(
      100,
      'Steps in which the rate rises from 0 to its peak, at most half of a '
      'phase; 0: none.',
      minimum=0,
  )
  lr_steps: str = _field(
      '5:0.5,8:0.1',
      "For 'steps', EPOCH:SHARE: from that epoch on, counted from 0, the rate "
      'is that share of the peak. The default is the schedule of '
      'arXiv:1905.13082: 1e-4, 5e-5 from epoch 5, 1e-5 from epoch 8.',
  )
  lr_final: float = _field(
      0.01,
      "For 'exponential': the rate at the end as a share of the peak.",
      maximum=1,
  )
  weight_decay: float = _field(
      0.0,
      'Decay of the weights, times the learning rate per step (AdamW); not of '
      'biases, scales and clips.',
      minimum=0,
  )
  clip_decay: float = _field(
      0.0,
      'Of the learned clips of the activations: half of this times the sum of '
      'their squares is added to the loss.',
      minimum=0,
  )
  ema_decay: float = _field(
      0.0,
      'Per step, such as 0.999, of a moving average of weights, scales and '
      'clips, which is then what is evaluated, chosen and exported. 0: none.',
      minimum=0,
      maximum=1,
  )
  compute_dtype: str = _field(
      'float32',
      'Type in which convolutions compute during training: bfloat16 and '
      'float16 (with a scaled loss) are for GPUs. Fake quantization, loss, '
      'weights and evaluation are float32 always.',
      ('float32', 'bfloat16', 'float16'),
  )
  distribution: str = _field(
      'none',
      "'mirrored': each batch is split among all GPUs of this machine (or "
      'logical CPUs, where there is no GPU).',
      ('none', 'mirrored'),
  )
  distillation: float = _field(
      0.5,
      "Share of the float network's predictions in the loss, 0..1.",
      minimum=0,
      maximum=1,
  )

  def __post_init__(self):
    super().__post_init__()
    if self.ema_decay == 1:
      raise ValueError(
          'ema_decay: expected less than 1, at which nothing would be learned'
      )
    if not self.lr_final > 0:
      raise ValueError(
          f'lr_final: expected more than 0, received {self.lr_final}'
      )
    self.bit_phases()
    self.rate_steps()

  def bit_phases(self) -> tuple[tuple[int, int], ...]:
    """Returns (least width, passes) of the phases before the policy's own."""
    phases = []
    for width, passes in _pairs('progressive_bits', self.progressive_bits):
      if width not in _PHASE_WIDTHS or passes != int(passes):
        raise self._wrong_phases()
      phases.append((int(width), int(passes)))
    widths = [width for width, _ in phases]
    if widths != sorted(set(widths), reverse=True) or any(
        passes < 1 for _, passes in phases
    ):
      raise self._wrong_phases()
    return tuple(phases)

  def _wrong_phases(self) -> ValueError:
    return ValueError(
        'progressive_bits: expected WIDTH:PASSES with falling widths out of 8 '
        f"and 4 and at least one pass each, such as '8:1,4:1', received "
        f'{self.progressive_bits!r}'
    )

  def rate_steps(self) -> tuple[tuple[float, float], ...]:
    """Returns (epoch, share of the peak) of the schedule 'steps'."""
    steps = _pairs('lr_steps', self.lr_steps)
    epochs = [epoch for epoch, _ in steps]
    if (
        epochs != sorted(set(epochs))
        or any(epoch <= 0 for epoch in epochs)
        or any(not 0 <= share <= 1 for _, share in steps)
    ):
      raise ValueError(
          'lr_steps: expected EPOCH:SHARE with rising epochs above 0 and '
          f"shares in 0..1, such as '5:0.5,8:0.1', received {self.lr_steps!r}"
      )
    return steps


def _pairs(name: str, text: str) -> tuple[tuple[float, float], ...]:
  """Returns the numbers of 'A:B,C:D'; ValueError names the field."""
  pairs = []
  for item in text.split(',') if text else ():
    try:
      first, second = (float(word) for word in item.split(':'))
    except ValueError:
      first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second)):
      raise ValueError(
          f"{name}: expected number:number, comma-separated, such as '8:1,4:1',"
          f' received {text!r}'
      )
    pairs.append((first, second))
  return tuple(pairs)
