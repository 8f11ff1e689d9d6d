"""The part of an ExperimentConfig that is about speed, and about trading."""

from __future__ import annotations

import dataclasses

from tfmpq import config_parts
from tfmpq import objective_weights as objective_weights_lib


@dataclasses.dataclass(frozen=True)
class LatencyConfig(config_parts.Part):
  """How long an inference may take, and what the search weighs."""

  max_instructions: int = config_parts.field(
      0,
      'Instructions of one inference on --latency_core that no policy may '
      'exceed; 0: no limit. Needs the table of //tfmpq:latency. Not cycles.',
      minimum=0,
  )
  latency_core: str = config_parts.field(
      'cortex_m4',
      'Core whose instructions count.',
      ('cortex_m4', 'cortex_m7', 'cortex_m33', 'cortex_m55'),
  )
  latency_dir: str = config_parts.field(
      '~/.cache/tfmpq/latency',
      'Folder of the tables of instructions, one per core.',
  )
  objective_weights: str = config_parts.field('', objective_weights_lib.HELP)

  def __post_init__(self):
    super().__post_init__()
    self.weights()

  def weights(self) -> objective_weights_lib.ObjectiveWeights | None:
    """Returns what to weigh, or None for accuracy alone."""
    if not self.objective_weights:
      return None
    try:
      return objective_weights_lib.ObjectiveWeights.parse(
          self.objective_weights
      )
    except ValueError as error:
      raise ValueError(f'objective_weights: {error}') from error

  @property
  def needs_table(self) -> bool:
    """Whether instructions matter to the search."""
    weights = self.weights()
    return self.max_instructions > 0 or bool(weights and weights.instructions)
