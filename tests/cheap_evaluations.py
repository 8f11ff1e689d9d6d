"""Evaluators for worker processes, which find them by name."""

import dataclasses
import os
import pathlib
import signal
import time

from tests import synthetic_problem
from tfmpq.evaluation import Evaluation
from tfmpq.specs import QuantizationPolicy


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Makes evaluators of the synthetic problem, in any process.

  Attributes:
    busy_seconds: processor time that an evaluation takes at least.
    kill_once: a file; an evaluator that finds it deletes it and ends its
      process by SIGKILL.
    refused: the policy with that sum of bits raises ValueError.
    deadly: the policy with that sum of bits ends its process.
  """

  busy_seconds: float = 0.0
  kill_once: str = ''
  refused: int = -1
  deadly: int = -1

  def __call__(self) -> '_Evaluator':
    return _Evaluator(self)


class _Evaluator:
  """What `Recipe` makes."""

  def __init__(self, recipe: Recipe):
    self._recipe = recipe
    network = synthetic_problem.default_network()
    self._evaluate = synthetic_problem.SyntheticEvaluator(network)

  def __call__(self, policy: QuantizationPolicy) -> Evaluation:
    recipe, total = self._recipe, num_bits(policy)
    if recipe.kill_once and pathlib.Path(recipe.kill_once).exists():
      os.unlink(recipe.kill_once)
      os.kill(os.getpid(), signal.SIGKILL)
    if total == recipe.deadly:
      os.kill(os.getpid(), signal.SIGKILL)
    if total == recipe.refused:
      raise ValueError(f'nothing of {total} bits')
    end = time.process_time() + recipe.busy_seconds
    while time.process_time() < end:
      pass
    # Answers come in another order than that of the questions.
    time.sleep(total * 7919 % 5 / 500)
    return self._evaluate(policy)


def num_bits(policy: QuantizationPolicy) -> int:
  """Returns the sum of all widths of a policy."""
  return sum(bits for _, bits in policy.entries)
