"""HAQ's budget: everything is decided first, then lowered until it fits.

Source: Wang et al., arXiv:1811.08886, and lib/env/linear_quantize_env.py of
mit-han-lab/haq. Where we differ from that program, because it has one cost and
we have RAM and FLASH, or because it is wrong there:

- A tensor is lowered only where that helps: an activation if one of its layers
  is above the limit on RAM, a weight if FLASH is.
- A step of lowering goes to the next smaller width of the search: with 1 to 8
  bits by one bit, as there.
- First and last layer count like all others. There they get 8 bits, but only if
  anything has to be lowered.
- If lowering does not help, the smallest policy that fits is taken.

Of the agent (`episode_loop`) two things are ours under this constraint, too.
The reward is what `--reward` says, after the last decision; there, it is a
tenth of the change of Top-1 in percent after an epoch of training, measured on
the training images, and counts for every decision. The agent learns from the
widths after lowering; there, from those that it asked for.

Actions mean the same widths as there: round(8 a + 0.5) of an action a in [0, 1]
is floor(8 a) + 1, as in `environment.width_index`, but for ties.
"""

from __future__ import annotations

from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy
from tfmpq.specs import TensorKind


def require_supported(problem: SearchProblem) -> None:
  """Raises ValueError if instructions are limited: narrowing may cost some."""
  if problem.budget.instructions is not None:
    raise ValueError(
        "constraint 'end_of_episode' lowers bits for RAM and FLASH only, "
        f"received a limit of {problem.budget.instructions} instructions; use "
        "'every_step'"
    )


def lower(
    problem: SearchProblem, policy: QuantizationPolicy
) -> QuantizationPolicy:
  """Returns a policy that fits, made from this one by HAQ's sweeps.

  A sweep goes from the last layer to the first, in a layer from its output to
  its weight, and lowers each tensor that needs it by a step, until the policy
  fits. Sweeps follow each other; a policy that fits is returned as it is.

  Args:
    problem: what is searched; something fits.
    policy: what the agent has decided.
  """
  require_supported(problem)
  widths = problem.bit_widths
  bits = policy.as_dict()
  while not problem.fits(policy):
    before = policy
    for tensor in reversed(problem.searched_tensors):
      position = widths.index(bits[tensor.name])
      if position and _helps(problem, policy, tensor):
        bits[tensor.name] = widths[position - 1]
        policy = policy.with_bits({tensor.name: bits[tensor.name]})
        if problem.fits(policy):
          break
    if policy == before:
      return problem.require_feasible()
  return policy


def _helps(problem: SearchProblem, policy: QuantizationPolicy, tensor) -> bool:
  """Returns whether the tensor counts in something that exceeds its limit."""
  footprint, budget = problem.footprint(policy), problem.budget
  if tensor.kind is TensorKind.WEIGHT:
    flash = budget.flash_bytes
    return flash is not None and footprint.flash_bytes > flash
  ram = budget.ram_bytes
  if ram is None or footprint.ram_bytes <= ram:
    return False
  moments = problem.memory_model.moments(policy)
  # A planner may miss the bound; then every activation counts.
  above = [m for m in moments if m.ram_bytes > ram] or moments
  owner = problem.network.bits_owner
  return any(owner(n) == tensor.name for m in above for n, _ in m.alive)
