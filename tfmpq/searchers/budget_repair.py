"""How far a policy is outside the budget, and ways back inside."""

from __future__ import annotations

import numpy as np

from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


def violation(problem: SearchProblem, policy: QuantizationPolicy) -> float:
  """Returns the bytes above the budget, as shares of RAM and of FLASH.

  RAM counts in every layer that exceeds it, not only in the worst: otherwise
  nothing would seem to help where two layers need equally much.
  """
  footprint, budget = problem.footprint(policy), problem.budget
  total = 0.0
  if budget.ram_bytes is not None:
    limit = budget.ram_bytes
    moments = problem.memory_model.moments(policy)
    above = [max(0, moment.ram_bytes - limit) for moment in moments]
    # A planner that misses the bound needs more than any layer does.
    above.append(max(0, footprint.ram_bytes - limit))
    total += sum(above) / limit
  if budget.flash_bytes is not None:
    limit = budget.flash_bytes
    total += max(0, footprint.flash_bytes - limit) / limit
  return total


def repair(
    problem: SearchProblem, policy: QuantizationPolicy, rng: np.random.Generator
) -> QuantizationPolicy:
  """Returns a policy that fits, made from this one by narrowing at random.

  Each step narrows one tensor by one step, one that brings the policy nearer to
  the budget if there is one. A policy that fits is returned as it is.

  Args:
    problem: what is searched; something fits.
    policy: what to start from.
    rng: chooses the tensors.
  """
  widths = problem.bit_widths
  names = [tensor.name for tensor in problem.searched_tensors]
  while not problem.fits(policy):
    bits, excess = policy.as_dict(), violation(problem, policy)
    narrower = [
        policy.with_bits({name: widths[widths.index(bits[name]) - 1]})
        for name in names
        if bits[name] > widths[0]
    ]
    if not narrower:
      # The smallest widths are not the way to need the least memory (see
      # MemoryModel.complete).
      return problem.require_feasible()
    nearer = [p for p in narrower if violation(problem, p) < excess]
    candidates = nearer or narrower
    policy = candidates[rng.integers(len(candidates))]
  return policy
