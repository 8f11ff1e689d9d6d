"""The rows of the paper's study: a network, a budget, a granularity.

A row is an experiment, configs/<name of the row>.py. Which network stands in a
row: of its family, the one with which the paper's relatives reach the most
there, as far as they say so, and otherwise the widest and largest that fits.
"""

from __future__ import annotations

import dataclasses

from tfmpq import config
from tfmpq.paper_study import DEVICE_BUDGETS
from tfmpq.paper_study import StudyBudget
from tfmpq.paper_study import StudyNetwork
from tfmpq.paper_study import WEIGHT_BUDGETS

_FAMILIES = ('mobilenet_v1', 'mobilenet_v2', 'mnasnet_b1')
# How the authors of a family prepare images.
_PREPROCESSINGS = {
    'mobilenet_v1': 'inception',
    'mobilenet_v2': 'inception',
    'mnasnet_b1': 'mnasnet',
}
# (FLASH, RAM) -> (width, size) of each family.
_NETWORKS = {
    ('2048kB', None): ((1.0, 224), (1.0, 224), (1.0, 224)),
    ('1024kB', None): ((0.75, 224), (0.75, 224), (0.5, 224)),
    ('512kB', None): ((0.5, 224), (0.35, 224), (0.25, 224)),
    ('2048kB', '512kB'): ((0.75, 224), (1.0, 192), (1.0, 224)),
    ('1024kB', '512kB'): ((0.5, 224), (0.75, 192), (0.5, 224)),
    ('1024kB', '320kB'): ((0.5, 192), (0.75, 192), (0.5, 192)),
    ('1024kB', '256kB'): ((0.5, 192), (0.75, 160), (0.5, 192)),
}
# Top-1 on ImageNet in percent that a source gives for a row of MobileNetV1, and
# which source. MobileNetV2 and MnasNet: no figure is known to us.
_SOURCES = {
    ('2048kB', None): (
        None,
        'arXiv:2008.05124 (abstract): uniform mixed precision is as accurate '
        'as non-uniform quantization; no figure',
    ),
    ('2048kB', '512kB'): (
        68.4,
        'arXiv:2008.05124 (abstract), of a MobileNetV1; its predecessor 68.0',
    ),
    ('1024kB', '512kB'): (62.9, 'arXiv:1905.13082, as in arXiv:2007.10319'),
    ('1024kB', '256kB'): (60.2, 'arXiv:1905.13082, 0.5@192'),
}
# Of arXiv:1905.13082, the paper's predecessor, and its code: Adam for 10 passes
# in batches of 128 with rates of 1e-4, 5e-5 from epoch 5 and 1e-5 from epoch 8,
# and a decay of the learned clips, 1e-4. The decay of its learned ranges of
# weights, 5e-4, is that of one range per layer; ours are one scale per channel,
# to which it gives none. The paper itself does not say in its abstract how it
# trains. Ours are the pass before, with 4 bits for 2, and the distillation.
_FINETUNING = config.FinetuneConfig(
    finetune_epochs=10,
    progressive_bits='4:1',
    patience=10,
    batch_size=128,
    learning_rate=1e-4,
    lr_schedule='steps',
    lr_steps='5:0.5,8:0.1',
    lr_warmup_steps=0,
    clip_decay=1e-4,
)
_EPISODES = 600


@dataclasses.dataclass(frozen=True)
class Row:
  """One experiment of the study.

  Attributes:
    network: what is quantized.
    budget: what it has to fit into.
    per_channel: whether narrow weights have a zero point per output channel.
  """

  network: StudyNetwork
  budget: StudyBudget
  per_channel: bool

  @property
  def name(self) -> str:
    """Returns the name of its configuration."""
    ram = self.budget.ram or 'weights'
    kind = 'per_channel' if self.per_channel else 'per_layer'
    return f'paper_{self.network.model}_{self.budget.flash}_{ram}_{kind}'

  @property
  def table(self) -> str:
    """Returns the name of its table."""
    return 'weights' if self.budget.ram is None else 'devices'

  @property
  def source(self) -> tuple[float | None, str]:
    """Returns Top-1 in percent, or None, and where it stands."""
    nothing = (None, 'no source that is known to us has a figure')
    key = (self.budget.flash, self.budget.ram)
    if self.network.model == 'mobilenet_v1' or key == ('2048kB', None):
      return _SOURCES.get(key, nothing)
    return nothing

  def config(self) -> config.ExperimentConfig:
    """Returns the experiment."""
    network, budget = self.network, self.budget
    return config.ExperimentConfig(
        name=self.name,
        data=config.DataConfig(
            dataset='tfds:imagenet2012',
            image_size=f'{network.size},{network.size}',
            num_reward_images=5000,
            preprocessing=_PREPROCESSINGS[network.model],
        ),
        model=config.ModelConfig(model=network.model, width=network.width),
        budget=config.BudgetConfig(
            # More than any of these networks needs.
            ram=budget.ram or '64MB',
            flash=budget.flash,
            memory_model='paper',
        ),
        search=config.SearchConfig(
            episodes=_EPISODES,
            search_tensors='weights' if budget.ram is None else 'both',
            weight_zero_points='per_channel' if self.per_channel else 'shared',
        ),
        finetune=_FINETUNING,
    )


def rows() -> tuple[Row, ...]:
  """Returns all rows, by budget, family and granularity."""
  return tuple(
      Row(StudyNetwork(model, *size), budget, per_channel)
      for budget in (*WEIGHT_BUDGETS, *DEVICE_BUDGETS)
      for model, size in zip(
          _FAMILIES, _NETWORKS[budget.flash, budget.ram], strict=True
      )
      for per_channel in (False, True)
  )


def row(name: str) -> Row:
  """Returns the row of that name; KeyError if there is none."""
  return {item.name: item for item in rows()}[name]
