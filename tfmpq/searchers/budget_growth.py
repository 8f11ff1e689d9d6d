"""Gives the part of the budget that a policy leaves unused to its tensors.

More bits seldom harm, and a sequence of decisions seldom ends with a full
budget. The paper selects policies that maximize the memory utilization.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


def grow(
    problem: SearchProblem, policy: QuantizationPolicy, order: Sequence[str]
) -> QuantizationPolicy:
  """Returns a policy that fits and is nowhere narrower than `policy`.

  Goes round the tensors and widens each by one step where that fits, until
  none is left. A tensor that cannot be widened is not tried again: widening
  others does not make room. Where the user has put a price on what a policy
  needs (`SearchProblem.weights`), nothing is given away.

  Args:
    problem: what is searched.
    policy: a policy that fits.
    order: names of searched tensors; the first are served first.
  """
  if problem.weights is not None:
    return policy
  widths = problem.bit_widths
  bits = policy.as_dict()
  waiting = [name for name in order if bits[name] < widths[-1]]
  while waiting:
    still_waiting = []
    for name in waiting:
      wider = widths[widths.index(bits[name]) + 1]
      candidate = policy.with_bits({name: wider})
      if problem.fits(candidate):
        policy, bits[name] = candidate, wider
        if wider < widths[-1]:
          still_waiting.append(name)
    waiting = still_waiting
  return policy
