"""What a worker process needs to judge policies: no files, no data set."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq import calibration_tables
from tfmpq import datasets
from tfmpq import episode_finetuning
from tfmpq import evaluators
from tfmpq import float_network
from tfmpq import reproducibility


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationRecipe:
  """Makes the same evaluator in any process, here or on another machine.

  An evaluation takes one thread, whatever the program does with others, so that
  its bits depend neither on the number of workers nor on where they run (on one
  type of machine).

  Attributes:
    network, calibration_images, images, labels, per_channel_zero_points: see
      `evaluators.PostTrainingEvaluator`.
    tables: codes and clips. They come along, because another number of threads
      would compute other last bits of them.
    finetuning: how each policy is trained before it is scored; None: not.
  """

  network: float_network.FloatNetwork
  calibration_images: np.ndarray
  images: np.ndarray
  labels: np.ndarray
  per_channel_zero_points: bool
  tables: calibration_tables.CalibrationTables
  finetuning: episode_finetuning.EpisodeFinetuning | None = None

  def __call__(
      self,
  ) -> evaluators.PostTrainingEvaluator | episode_finetuning.FinetunedEvaluator:
    """Returns the evaluator; to be called once, in a process of its own."""
    reproducibility.make_reproducible(seed=0, num_threads=1)
    evaluator = evaluators.PostTrainingEvaluator(
        self.network,
        self.calibration_images,
        self.images,
        self.labels,
        per_channel_zero_points=self.per_channel_zero_points,
        tables=self.tables,
    )
    if self.finetuning is None:
      return evaluator
    return episode_finetuning.FinetunedEvaluator(
        self.network,
        evaluator,
        datasets.Examples(self.images, self.labels),
        self.finetuning,
    )
