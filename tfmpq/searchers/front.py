"""One search for many budgets: a front of policies none of which is dominated.

What each tensor loses alone is measured once. Then each budget gets the optimum
of an integer program, and the episodes that are left go to what a model of the
losses suggests, one budget after the other. A policy counts for every budget
that it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import os

from tfmpq.budgets import MemoryBudget
from tfmpq.searchers import guided_improvement
from tfmpq.searchers import sensitivity
from tfmpq.searchers.episode_log import EpisodeLog
from tfmpq.searchers.episode_log import Proposal
from tfmpq.searchers.integer_program import PolicyProgram
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import QuantizationPolicy
from tfmpq.specs import TensorKind

NAME = 'front'


@dataclasses.dataclass(frozen=True)
class Marginal:
  """What the bits of one tensor are worth, all others at the largest width.

  Attributes:
    tensor: its name.
    kind: weight (bytes of FLASH) or activation (bytes of RAM while it lives).
    wide, narrow: widths.
    num_bytes: of the tensor itself that the narrower width saves.
    accuracy_loss: accuracy at `wide` minus accuracy at `narrow`; below zero
      where the reward images cannot tell.
    loss_per_byte: `accuracy_loss` / `num_bytes`.
  """

  tensor: str
  kind: str
  wide: int
  narrow: int
  num_bytes: float
  accuracy_loss: float
  loss_per_byte: float


@dataclasses.dataclass(frozen=True)
class Front:
  """Outcome of a search for many budgets.

  Attributes:
    budgets: those that were asked for.
    best: for each of them the record with the best reward that fits, or None if
      nothing was evaluated that does.
    records: the records that no other one dominates: none needs at most as much
      of everything and has a better reward. By RAM, then FLASH.
    marginals: of every tensor and step between widths, if the episodes sufficed
      to measure them.
    num_evaluations: policies evaluated.
  """

  budgets: tuple[MemoryBudget, ...]
  best: tuple[EpisodeRecord | None, ...]
  records: tuple[EpisodeRecord, ...]
  marginals: tuple[Marginal, ...]
  num_evaluations: int


def search(
    problem: SearchProblem,
    budgets: Sequence[MemoryBudget],
    episodes: int,
    seed: int,
    state_dir: str | os.PathLike[str] | None = None,
    on_episode: OnEpisode | None = None,
) -> Front:
  """Returns a front with at most `episodes` evaluations.

  Args:
    problem: what is searched, without a budget of RAM and FLASH.
    budgets: at least one; each has to fit something.
    episodes: how often the evaluator may be asked.
    seed: of the suggestions.
    state_dir, on_episode: see `searcher.Searcher.search`.

  Raises:
    BudgetError: nothing fits one of the budgets.
    ValueError: fewer episodes than one per budget, or wrong arguments.
  """
  problems = [dataclasses.replace(problem, budget=b) for b in budgets]
  for one in problems:
    one.require_feasible()
  if not budgets or episodes < len(budgets):
    raise ValueError(
        'a front needs budgets, and at least an episode for each: received '
        f'{len(budgets)} budgets and {episodes} episodes'
    )
  identity = {
      'searcher': NAME,
      'seed': seed,
      'budgets': [dataclasses.asdict(b) for b in budgets],
  }
  log = EpisodeLog(problem, episodes, identity, state_dir, on_episode)
  measured = sensitivity.measure(problem, log, num_left=len(budgets))
  programs = [PolicyProgram(one) for one in problems]
  optima = list(
      dict.fromkeys(
          guided_improvement.optimum(*pair, measured)
          for pair in zip(problems, programs, strict=True)
      )
  )
  log.evaluate_round([Proposal(p, 'optimum') for p in optima])
  guides = [
      guided_improvement.GuidedImprovement(one, log, program, measured, seed)
      for one, program in zip(problems, programs, strict=True)
  ]
  _improve(guides, log)
  return Front(
      budgets=tuple(budgets),
      best=tuple(_best(log.records, one) for one in problems),
      records=tuple(non_dominated(log.records)),
      marginals=tuple(marginals(problem, log.records)),
      num_evaluations=len({record.policy for record in log.records}),
  )


def _best(
    records: Sequence[EpisodeRecord], problem: SearchProblem
) -> EpisodeRecord | None:
  fitting = [r for r in records if r.footprint.fits(problem.budget)]
  return max(fitting, key=lambda r: r.reward, default=None)


def _improve(
    guides: Sequence[guided_improvement.GuidedImprovement], log: EpisodeLog
) -> None:
  """Evaluates what each budget's guide proposes, by turns."""
  turn, num_idle = 0, 0
  while log.num_left and num_idle < len(guides):
    proposed: list[QuantizationPolicy] = []
    count = min(log.problem.round_size, log.num_left)
    while len(proposed) < count and num_idle < len(guides):
      found = guides[turn % len(guides)].propose(1, proposed)
      turn += 1
      num_idle = 0 if found else num_idle + 1
      proposed += found
    log.evaluate_round([Proposal(p, 'improvement') for p in proposed])


def non_dominated(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
  """Returns the records that no other dominates, by RAM and then FLASH.

  One dominates another if it needs no more of RAM, FLASH and (if counted)
  instructions, has no lower reward, and differs in one of them. Of equal ones
  the first stays.
  """
  figures = [(*_needs(record), -record.reward) for record in records]
  kept = [
      record
      for i, record in enumerate(records)
      if not any(
          all(a <= b for a, b in zip(other, figures[i], strict=True))
          and (other != figures[i] or j < i)
          for j, other in enumerate(figures)
      )
  ]
  return sorted(kept, key=_needs)


def _needs(record: EpisodeRecord) -> tuple[int, ...]:
  footprint = record.footprint
  return (
      footprint.ram_bytes,
      footprint.flash_bytes,
      footprint.instructions or 0,
  )


def marginals(
    problem: SearchProblem, records: Sequence[EpisodeRecord]
) -> Iterator[Marginal]:
  """Yields what the steps between widths cost, where they were measured."""
  accuracy: Mapping[QuantizationPolicy, float] = {
      r.policy: r.evaluation.accuracy for r in records
  }
  widths = problem.bit_widths
  widest = problem.policy({}, widths[-1])
  for tensor in problem.searched_tensors:
    for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
      policies = [widest.with_bits({tensor.name: w}) for w in (narrow, wide)]
      if not all(policy in accuracy for policy in policies):
        continue
      loss = accuracy[policies[1]] - accuracy[policies[0]]
      num_bytes = tensor.num_elements * (wide - narrow) / 8
      is_weight = tensor.kind is TensorKind.WEIGHT
      yield Marginal(
          tensor=tensor.name,
          kind='weight' if is_weight else 'activation',
          wide=wide,
          narrow=narrow,
          num_bytes=num_bytes,
          accuracy_loss=loss,
          loss_per_byte=loss / num_bytes,
      )
