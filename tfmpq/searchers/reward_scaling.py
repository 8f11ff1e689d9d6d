"""Rewards as the critic of an agent learns them."""

import numpy as np

# Regret (best reward minus reward) at which the logarithm starts to bend, as
# a share of the median regret.
_REGRET_UNIT = 0.2


def scaled_rewards(rewards: np.ndarray, history: np.ndarray) -> np.ndarray:
  """Returns rewards as the critic learns them, float32, same shape.

  Minus the logarithm of the regret: most policies are worse than the best by
  many times what separates good ones, and would otherwise use up the
  critic's accuracy. The mean over the episodes so far is the baseline.

  Args:
    rewards: of episodes in `history`, any shape.
    history: rewards of all episodes so far.
  """
  best = history.max()
  regrets = best - history
  if not regrets.any():
    return np.zeros_like(rewards, np.float32)
  unit = _REGRET_UNIT * np.median(regrets[regrets > 0])
  baseline = np.mean(np.log1p(regrets / unit))
  # The buffer holds float32: a regret may be negative by its rounding.
  sampled = np.log1p(np.maximum(best - rewards.astype(np.float64), 0) / unit)
  return (baseline - sampled).astype(np.float32)
