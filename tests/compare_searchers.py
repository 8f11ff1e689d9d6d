"""Compares the searchers at an equal number of evaluations.

usage: compare_searchers.py PROBLEM EPISODES FIRST_SEED NUM_SEEDS SEARCHER...

PROBLEM is 'default' or 'larger' (see synthetic_problem). Every seed makes
another problem and seeds the search. Prints a line per run: the best reward,
its mean over the last fifth of the episodes, the reward of DDPG's actor
without noise, repeated and resampled policies, the share of corrected
actions, and seconds per episode.
"""

import sys
import time

from tests import synthetic_problem
from tfmpq.searchers import registry

_PROBLEMS = {
    'default': synthetic_problem.problem,
    'larger': synthetic_problem.larger_problem,
}


def main(argv: list[str]) -> None:
  """Runs every searcher on every seed."""
  make_problem = _PROBLEMS[argv[1]]
  episodes, first_seed, num_seeds = map(int, argv[2:5])
  for seed in range(first_seed, first_seed + num_seeds):
    for name in argv[5:]:
      start = time.perf_counter()
      result = registry.create(name).search(make_problem(seed), episodes, seed)
      seconds = (time.perf_counter() - start) / episodes
      figures = {'best': result.best.reward, **result.statistics}
      shown = '  '.join(
          f'{key} {figures[key]:.4f}'
          for key in (
              'best',
              'mean_reward_last_fifth',
              'actor_reward',
              'mean_reward_random',
              'num_repeated',
              'num_resampled',
              'share_corrected',
          )
          if key in figures
      )
      print(f'{argv[1]} {seed} {name}: {shown}  {seconds:.3f} s', flush=True)


if __name__ == '__main__':
  main(sys.argv)
