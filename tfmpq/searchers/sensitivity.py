"""How much reward each tensor loses at each width, all others at 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy

# Where the episodes do not suffice to measure all widths. In theory the noise
# power of a uniform quantizer falls by 4 per bit, so by 16 from 2 to 4 bits
# and by 256 from 4 to 8.
_NOISE_RATIO_PER_BIT = 4.0


@dataclasses.dataclass(frozen=True)
class Sensitivities:
  """Loss of reward of one tensor at one width; losses of tensors add up.

  Attributes:
    losses: tensor -> width -> loss, at least 0, falling with the width; 0 at
      the largest one.
  """

  losses: Mapping[str, Mapping[int, float]]

  def total(self, policy: QuantizationPolicy) -> float:
    """Returns the predicted loss of a policy."""
    bits = policy.as_dict()
    return sum(by_width[bits[name]] for name, by_width in self.losses.items())

  def by_need(self, policy: QuantizationPolicy) -> list[str]:
    """Returns the tensors; first those that lose most as they are."""
    bits = policy.as_dict()
    return sorted(self.losses, key=lambda name: -self.losses[name][bits[name]])


def measure(
    problem: SearchProblem, log: EpisodeLog, num_left: int = 1
) -> Sensitivities:
  """Measures as much as the episodes allow and estimates the rest.

  One episode goes to the policy with all searched tensors at the largest
  width, then one to each tensor at its smallest width, the largest tensors
  first, then to the widths between.

  Args:
    problem: what is searched.
    log: of a search that has just begun.
    num_left: episodes that are left over for the caller, at least 1.
  """
  widths = problem.bit_widths
  by_size = sorted(problem.searched_tensors, key=lambda t: -t.num_elements)
  narrowed = [(t.name, width) for width in widths[:-1] for t in by_size]
  narrowed = narrowed[: max(0, log.num_left - num_left - 1)]
  measured: dict[tuple[str, int], float] = {}
  if log.num_left > num_left:
    widest = problem.policy({}, widths[-1])
    policies = [widest, *(widest.with_bits({n: w}) for n, w in narrowed)]
    # None depends on what another one is worth: a single round.
    reference, *records = log.evaluate_round(
        [Proposal(policy, 'sensitivity') for policy in policies]
    )
    for entry, record in zip(narrowed, records, strict=True):
      measured[entry] = reference.reward - record.reward
  return Sensitivities(
      {
          tensor.name: _losses(tensor.name, widths, measured)
          for tensor in problem.searched_tensors
      }
  )


def _losses(
    name: str,
    widths: tuple[int, ...],
    measured: Mapping[tuple[str, int], float],
) -> dict[int, float]:
  """Returns width -> loss; what noise has put out of order is levelled."""
  smallest = widths[0]
  known = [loss for (_, width), loss in measured.items() if width == smallest]
  # Nothing measured: all tensors count alike, so that bytes decide.
  typical = sum(known) / len(known) if known else 1.0
  at_smallest = measured.get((name, smallest), typical)
  losses = {widths[-1]: 0.0}
  for width in reversed(widths[:-1]):
    estimate = at_smallest / _NOISE_RATIO_PER_BIT ** (width - smallest)
    losses[width] = max(
        losses[min(losses)], measured.get((name, width), estimate)
    )
  return losses
