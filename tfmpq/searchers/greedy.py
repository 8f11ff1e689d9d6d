"""Sensitivity-ordered greedy search with local improvement."""

from __future__ import annotations

from collections.abc import Iterator
import os

from tfmpq.searchers import budget_repair
from tfmpq.searchers import sensitivity
from tfmpq.searchers.budget_growth import grow
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchResult
from tfmpq.searchers.sensitivity import Sensitivities
from tfmpq.specs import QuantizationPolicy


class GreedySearcher:
  """Measures each tensor alone, cuts where it costs least, then tries swaps.

  The measurements are episodes like any other. Nothing here is random; the
  seed only names the run.
  """

  name = 'greedy'

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy found; see `searcher.Searcher`."""
    problem.require_feasible()
    identity = {'searcher': self.name, 'seed': seed}
    log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
    sensitivities = sensitivity.measure(problem, log)
    policy = descend(problem, sensitivities)
    if not log.knows(policy):
      log.evaluate(policy, 'descent')
    improve(problem, log, sensitivities)
    return log.result(self.name, seed)


def descend(
    problem: SearchProblem, sensitivities: Sensitivities
) -> QuantizationPolicy:
  """Returns a policy that fits, narrowed step by step from the widest.

  Each step narrows the tensor that loses the least per byte by which the
  violation of the budget shrinks. What the last step saved too much is given
  back, to the most sensitive tensors first. Every step narrows, so there is
  an end.

  Args:
    problem: what is searched; something fits.
    sensitivities: of all searched tensors.
  """
  policy = problem.policy({}, problem.bit_widths[-1])
  while not problem.fits(policy):
    narrower = _cheapest_narrowing(problem, sensitivities, policy)
    if narrower is None:
      # Everything is at the smallest width, and yet that is not the way to
      # need the least memory (see MemoryModel.complete).
      policy = problem.require_feasible()
      break
    policy = narrower
  return grow(problem, policy, sensitivities.by_need(policy))


def improve(
    problem: SearchProblem,
    log: EpisodeLog,
    sensitivities: Sensitivities,
) -> None:
  """Evaluates neighbours of good policies until the episodes are used up.

  Always the next neighbour of the best policy that has one left, neighbours
  in the order of their predicted losses. Ends early if none is left.

  Args:
    problem: what is searched.
    log: of the search.
    sensitivities: of all searched tensors.
  """
  queues: dict[QuantizationPolicy, Iterator[QuantizationPolicy]] = {}
  while log.num_left:
    proposed: list[QuantizationPolicy] = []
    for record in sorted(log.records, key=lambda r: -r.reward):
      if not record.fits:
        continue
      if record.policy not in queues:
        queues[record.policy] = _ranked_neighbours(
            problem, record.policy, sensitivities
        )
      for policy in queues[record.policy]:
        if not log.knows(policy) and policy not in proposed:
          proposed.append(policy)
        if len(proposed) == min(problem.round_size, log.num_left):
          break
      else:
        continue
      break
    if not proposed:
      return
    log.evaluate_round([Proposal(policy, 'improvement') for policy in proposed])


def _ranked_neighbours(
    problem: SearchProblem,
    policy: QuantizationPolicy,
    sensitivities: Sensitivities,
) -> Iterator[QuantizationPolicy]:
  """Yields neighbours, the smallest predicted loss first, grown."""
  for neighbour in sorted(neighbours(problem, policy), key=sensitivities.total):
    yield grow(problem, neighbour, sensitivities.by_need(neighbour))


def neighbours(
    problem: SearchProblem, policy: QuantizationPolicy
) -> list[QuantizationPolicy]:
  """Returns what fits with a tensor narrower and perhaps one wider, sorted."""
  return sorted(set(_neighbours(problem, policy)), key=lambda p: p.entries)


def _cheapest_narrowing(
    problem: SearchProblem,
    sensitivities: Sensitivities,
    policy: QuantizationPolicy,
) -> QuantizationPolicy | None:
  """Returns the policy one narrowing further, or None at the end.

  If no single narrowing shrinks the violation, the one that costs the least
  per byte of the tensor itself is taken.
  """
  bits = policy.as_dict()
  violation = budget_repair.violation(problem, policy)
  best, best_key = None, None
  for tensor in problem.searched_tensors:
    losses = sensitivities.losses[tensor.name]
    for width in problem.bit_widths:
      if width >= bits[tensor.name]:
        break
      candidate = policy.with_bits({tensor.name: width})
      loss = losses[width] - losses[bits[tensor.name]]
      saved = violation - budget_repair.violation(problem, candidate)
      if saved > 0:
        key = (0, loss / saved)
      else:
        key = (1, loss / (tensor.num_elements * (bits[tensor.name] - width)))
      if best_key is None or key < best_key:
        best, best_key = candidate, key
  return best


def _neighbours(
    problem: SearchProblem, policy: QuantizationPolicy
) -> Iterator[QuantizationPolicy]:
  """Yields what fits with one tensor a step narrower and perhaps one wider."""
  widths, bits = problem.bit_widths, policy.as_dict()
  names = [tensor.name for tensor in problem.searched_tensors]
  for narrowed in names:
    if bits[narrowed] == widths[0]:
      continue
    lower = widths[widths.index(bits[narrowed]) - 1]
    base = policy.with_bits({narrowed: lower})
    if problem.fits(base):
      yield base
    for widened in names:
      if widened != narrowed and bits[widened] < widths[-1]:
        wider = widths[widths.index(bits[widened]) + 1]
        candidate = base.with_bits({widened: wider})
        if problem.fits(candidate):
          yield candidate
