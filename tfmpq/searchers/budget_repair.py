"""How far a policy is outside the budget, and ways back inside."""

from __future__ import annotations

import numpy as np

from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy


def violation(problem: SearchProblem, policy: QuantizationPolicy) -> float:
  """Returns what is above the budget, as shares of its limits.

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
  if budget.instructions is not None and footprint.instructions is not None:
    limit = budget.instructions
    total += max(0, footprint.instructions - limit) / limit
  return total


def repair(
    problem: SearchProblem, policy: QuantizationPolicy, rng: np.random.Generator
) -> QuantizationPolicy:
  """Returns a policy that fits, made from this one by narrowing at random.

  Each step narrows one tensor by one step, one that brings the policy nearer to
  the budget if there is one. A policy that fits is returned as it is. With a
  limit on instructions see `_repair_with_instructions`.

  Args:
    problem: what is searched; something fits.
    policy: what to start from.
    rng: chooses the tensors.
  """
  if problem.budget.instructions is not None:
    return _repair_with_instructions(problem, policy, rng)
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


def _repair_with_instructions(
    problem: SearchProblem, policy: QuantizationPolicy, rng: np.random.Generator
) -> QuantizationPolicy:
  """Returns a policy that fits, as near to this one as is easily found.

  Narrowing may cost instructions, so tensors are also widened, as long as that
  brings the policy nearer to the budget. Where nothing does, the policy keeps
  half of its tensors, drawn at random, and the others are chosen anew for
  speed; then a fourth, and so on.
  """
  names = [tensor.name for tensor in problem.searched_tensors]
  while not problem.fits(policy):
    bits, excess = policy.as_dict(), violation(problem, policy)
    others = [
        policy.with_bits({name: width})
        for name in names
        for width in problem.bit_widths
        if width != bits[name]
    ]
    nearer = [p for p in others if violation(problem, p) < excess]
    if not nearer:
      break
    policy = nearer[rng.integers(len(nearer))]
  if problem.fits(policy):
    return policy
  bits, num_kept = policy.as_dict(), len(names) // 2
  while num_kept:
    kept = rng.choice(len(names), num_kept, replace=False)
    completed = problem.complete({names[i]: bits[names[i]] for i in kept})
    if completed is not None:
      return completed
    num_kept //= 2
  return problem.require_feasible()
