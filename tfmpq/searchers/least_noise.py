"""The policy of least quantization noise inside a budget, without any data.

Quantizing a tensor to b bits leaves an error whose power is in proportion to
4^-b of the tensor's range. If nothing else is known of a network, every tensor
counts alike, and the policy to take is the one with the least sum of 4^-b over
its tensors. An integer program finds it, to proven optimality in the 'paper'
memory model. No image and no weight is looked at: the policy says what a budget
holds, and is a baseline for searches that measure.

Many policies would be equally good. What the first tensors lose counts a little
more, up to a hundredth: errors that are made early pass through more layers.
"""

from __future__ import annotations

import os

from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.integer_program import Losses
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

_FIRST_COUNTS_MORE = 0.01


def noises(problem: SearchProblem) -> Losses:
  """Returns searched tensor -> width -> noise that it adds."""
  count = len(problem.searched_tensors)
  return {
      tensor.name: {
          width: 4.0**-width * (1 + _FIRST_COUNTS_MORE * (1 - index / count))
          for width in problem.bit_widths
      }
      for index, tensor in enumerate(problem.searched_tensors)
  }


def least_noise_policy(problem: SearchProblem) -> QuantizationPolicy:
  """Returns the policy that fits with the least sum of `noises`.

  Raises:
    BudgetError: nothing fits.
  """
  problem.require_feasible()
  return PolicyProgram(problem).solve_feasible(noises(problem))


class LeastNoiseSearcher:
  """Evaluates the one policy that `least_noise_policy` returns."""

  name = 'least_noise'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns that policy; see `searcher.Searcher`. Takes one episode."""
    policy = least_noise_policy(problem)
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    log.evaluate(policy, 'optimum')
    return log.result(self.name, seed)
