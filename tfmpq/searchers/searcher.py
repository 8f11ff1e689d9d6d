"""What every searcher takes and gives: problem, records, result, protocol.

A searcher turns a `SearchProblem` into the `QuantizationPolicy` with the best
reward among those that fit the budget. All searchers see the same evaluator
and may use it equally often, so that their results can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import math
import os
from typing import Any, Protocol

from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.evaluation import Evaluation
from tfmpq.objective_weights import ObjectiveWeights
from tfmpq.ram_model import Moment
from tfmpq.specs import BIT_WIDTHS
from tfmpq.specs import COMPARISON_WIDTHS
from tfmpq.specs import did_you_mean
from tfmpq.specs import NetworkSpec
from tfmpq.specs import QuantizationPolicy
from tfmpq.specs import TensorKind
from tfmpq.specs import TensorSpec

SEARCH_TENSORS = ('weights', 'activations', 'both')
OBJECTIVES = ('cross_entropy', 'accuracy', 'kl', 'agreement')
# Of these, less is better.
_LOSSES = ('cross_entropy', 'kl')
_KINDS = {
    'weights': (TensorKind.WEIGHT,),
    'activations': (TensorKind.ACTIVATION,),
    'both': (TensorKind.WEIGHT, TensorKind.ACTIVATION),
}
_UNSEARCHED_BITS = 8

EvaluateAll = Callable[[Sequence[QuantizationPolicy]], Iterable[Evaluation]]


class PolicyMemory(Protocol):
  """What a searcher asks of a memory model (`memory_model.MemoryModel`)."""

  name: str

  def footprint(self, policy: QuantizationPolicy) -> MemoryFootprint:
    """Returns the bytes of RAM and FLASH under a policy."""

  def fits(self, policy: QuantizationPolicy, budget: MemoryBudget) -> bool:
    """True if the policy's footprint is inside the budget."""

  def moments(self, policy: QuantizationPolicy) -> Sequence[Moment]:
    """Returns what each layer needs in RAM while it runs."""

  def complete(
      self, decided: Mapping[str, int], budget: MemoryBudget
  ) -> QuantizationPolicy | None:
    """Returns a policy with these entries that fits, or None."""

  def require_feasible(self, budget: MemoryBudget) -> Any:
    """Raises BudgetError if not even the smallest policy fits."""


@dataclasses.dataclass(frozen=True)
class SearchProblem:
  """A network, what it must fit into, and how a policy is measured.

  Attributes:
    network: the network whose tensors get their bits.
    memory_model: bytes of RAM and FLASH under a policy.
    budget: what the policy must fit into.
    evaluate: policy -> Evaluation, deterministic. Called once per policy.
    search_tensors: 'weights', 'activations' or 'both'; the other tensors stay
      at 8 bits (tensors with `fixed_bits` at theirs).
    bit_widths: the widths to choose from, ascending.
    objective: figure of an Evaluation that is the reward: 'cross_entropy' or
      'kl' (their negatives; they separate policies better), 'accuracy' or
      'agreement'.
    weights: what accuracy and resources are worth, instead of `objective`.
    evaluator: what `evaluate` measures, in words or as a hash: data, number
      of images, weights. A saved search goes on only with an equal one.
    round_size: how many policies a searcher proposes before it learns what the
      first of them is worth, at least 1. The course of a search depends on it,
      and on nothing else of how evaluations are spread over processes.
    evaluate_all: the same as `evaluate` for several policies, in their order;
      may work on them side by side. None: `evaluate` one after the other.
  """

  network: NetworkSpec
  memory_model: PolicyMemory
  budget: MemoryBudget
  evaluate: Callable[[QuantizationPolicy], Evaluation]
  search_tensors: str = 'both'
  bit_widths: tuple[int, ...] = BIT_WIDTHS
  objective: str = 'cross_entropy'
  evaluator: str = ''
  round_size: int = 1
  evaluate_all: EvaluateAll | None = None
  weights: ObjectiveWeights | None = None

  def __post_init__(self):
    _check_choice('search_tensors', self.search_tensors, SEARCH_TENSORS)
    _check_choice('objective', self.objective, OBJECTIVES)
    widths = self.bit_widths
    known = {*COMPARISON_WIDTHS}
    if len(widths) < 2 or list(widths) != sorted(set(widths) & known):
      raise ValueError(
          f'bit_widths: expected at least two of {sorted(known)}, ascending, '
          f'received {widths}'
      )
    if self.round_size < 1:
      raise ValueError(
          f'round_size: expected at least 1, received {self.round_size}'
      )
    if not self.searched_tensors:
      raise ValueError(
          f"network '{self.network.name}' has no tensor to search with "
          f"search_tensors='{self.search_tensors}': all are fixed or shared"
      )

  @functools.cached_property
  def searched_tensors(self) -> tuple[TensorSpec, ...]:
    """Tensors that get a decision, in order: per layer weight, then output."""
    searched = []
    for layer in self.network.layers:
      for name in (layer.weight, layer.output):
        if name is None:
          continue
        tensor = self.network.tensor(name)
        if tensor.fixed_bits is None and tensor.bits_of is None:
          if tensor.kind in _KINDS[self.search_tensors]:
            searched.append(tensor)
    return tuple(searched)

  def policy(
      self, decided: Mapping[str, int], rest_bits: int
  ) -> QuantizationPolicy:
    """Returns `decided`, other searched tensors at `rest_bits`, rest at 8."""
    bits = {
        **self._unsearched_bits,
        **{t.name: rest_bits for t in self.searched_tensors},
    }
    return QuantizationPolicy.of(bits).with_bits(decided)

  @functools.cached_property
  def _unsearched_bits(self) -> dict[str, int]:
    searched = {t.name for t in self.searched_tensors}
    return {
        t.name: t.fixed_bits or _UNSEARCHED_BITS
        for t in self.network.policy_tensors
        if t.name not in searched
    }

  def footprint(self, policy: QuantizationPolicy) -> MemoryFootprint:
    return self.memory_model.footprint(policy)

  def fits(self, policy: QuantizationPolicy) -> bool:
    return self.memory_model.fits(policy, self.budget)

  def complete(self, decided: Mapping[str, int]) -> QuantizationPolicy | None:
    """Returns a policy with these entries that fits, or None.

    Undecided tensors get the smallest width; where that is not the way to
    need the least memory (see `MemoryModel.complete`), the model's choice.
    """
    policy = self.policy(decided, self.bit_widths[0])
    if self.fits(policy):
      return policy
    completed = self.memory_model.complete(
        {**self._unsearched_bits, **decided}, self.budget
    )
    if completed is None:
      return None
    bits = completed.as_dict()
    searched = (bits[t.name] for t in self.searched_tensors)
    return completed if set(searched) <= set(self.bit_widths) else None

  def require_feasible(self) -> QuantizationPolicy:
    """Returns a policy of the search that fits.

    Raises:
      BudgetError: the budget is below the minimum of the memory model, or
        below that of the tensors and widths of this search.
    """
    self.memory_model.require_feasible(self.budget)
    smallest = self.complete({})
    if smallest is not None:
      return smallest
    needed = self.footprint(self.policy({}, self.bit_widths[0]))
    raise BudgetError(
        f"network '{self.network.name}' needs {needed.ram_bytes} bytes of RAM "
        f'and {needed.flash_bytes} of FLASH with all searched tensors at '
        f'{self.bit_widths[0]} bits and the others at {_UNSEARCHED_BITS} '
        f"(search_tensors='{self.search_tensors}'); the budget is "
        f'{self.budget.ram_bytes} and {self.budget.flash_bytes}, and '
        f'{self.budget.instructions} instructions (None: any number). Search '
        "'both', allow 2 bits, or raise the budget"
    )

  def evaluations(
      self, policies: Sequence[QuantizationPolicy]
  ) -> Iterable[Evaluation]:
    """Yields what `evaluate` says about each policy, in their order."""
    if self.evaluate_all is not None:
      return self.evaluate_all(policies)
    return map(self.evaluate, policies)

  @functools.cached_property
  def _widest(self) -> MemoryFootprint:
    """What weights are relative to: all searched tensors at the widest."""
    return self.footprint(self.policy({}, self.bit_widths[-1]))

  def value(self, policy: QuantizationPolicy, evaluation: Evaluation) -> float:
    """What is maximized: the reward, or `weights` applied to everything."""
    if self.weights is None:
      return self.reward(evaluation)
    return self.weights.value(
        evaluation.accuracy, self.footprint(policy), self._widest
    )

  def reward(self, evaluation: Evaluation) -> float:
    """The objective; ValueError if it is not a finite number."""
    figure = getattr(evaluation, self.objective)
    if figure is None:
      raise ValueError(
          f"the objective '{self.objective}' needs an evaluator that asks the "
          f'float network, received {evaluation}'
      )
    reward = -figure if self.objective in _LOSSES else figure
    if not math.isfinite(reward):
      raise ValueError(f'evaluate returned no finite reward: {evaluation}')
    return reward


@dataclasses.dataclass(frozen=True)
class EpisodeRecord:
  """One use of the evaluator, or of what it said about the same policy before.

  Attributes:
    index: 0, 1, ...; one per episode.
    phase: what the searcher was doing ('warmup', 'explore', 'sensitivity'...).
    policy: what was evaluated.
    evaluation: what the evaluator said.
    reward: `SearchProblem.value(policy, evaluation)`.
    footprint: bytes of RAM and FLASH, and instructions if they count.
    fits: True if inside the budget. Only then may it become the result; a
      sensitivity is measured on policies that do not fit.
    repeated: True if the policy was known, so that nothing was evaluated.
    details: figures of the searcher, by name (the numbers of corrected
      actions and of resampled policies, sigma...).
  """

  index: int
  phase: str
  policy: QuantizationPolicy
  evaluation: Evaluation
  reward: float
  footprint: MemoryFootprint
  fits: bool
  repeated: bool
  details: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def to_json_dict(self) -> dict[str, Any]:
    """Plain values; floats survive JSON exactly (shortest round trip)."""
    return {
        **dataclasses.asdict(self),
        'policy': self.policy.as_dict(),
        'details': dict(self.details),
    }

  @classmethod
  def from_json_dict(cls, raw: Mapping[str, Any]) -> EpisodeRecord:
    return cls(
        **{
            **raw,
            'policy': QuantizationPolicy.of(raw['policy']),
            'evaluation': Evaluation(**raw['evaluation']),
            'footprint': MemoryFootprint(**raw['footprint']),
        }
    )


@dataclasses.dataclass(frozen=True)
class SearchProgress:
  """What `on_episode` receives after each episode.

  Attributes:
    record: the episode that has just ended.
    best: the best fitting record so far, or None.
    num_episodes: how many the search may use in all.
    restored: True if it was read from `state_dir`: it took no time now.
  """

  record: EpisodeRecord
  best: EpisodeRecord | None
  num_episodes: int
  restored: bool


OnEpisode = Callable[[SearchProgress], None]


@dataclasses.dataclass(frozen=True)
class SearchResult:
  """Outcome of a search.

  Attributes:
    searcher: name of the searcher.
    seed: what it was started with.
    best: the record with the highest reward among those that fit; of equal
      ones the first.
    records: all episodes in order.
    statistics: figures of the whole search, by name.
  """

  searcher: str
  seed: int
  best: EpisodeRecord
  records: tuple[EpisodeRecord, ...]
  statistics: Mapping[str, float]

  @property
  def policy(self) -> QuantizationPolicy:
    return self.best.policy

  def to_json_dict(self) -> dict[str, Any]:
    return {
        'searcher': self.searcher,
        'seed': self.seed,
        'best': self.best.index,
        'statistics': dict(self.statistics),
        'records': [record.to_json_dict() for record in self.records],
    }

  @classmethod
  def from_json_dict(cls, raw: Mapping[str, Any]) -> SearchResult:
    records = tuple(EpisodeRecord.from_json_dict(r) for r in raw['records'])
    return cls(
        searcher=raw['searcher'],
        seed=raw['seed'],
        best=records[raw['best']],
        records=records,
        statistics=raw['statistics'],
    )


class Searcher(Protocol):
  """Finds a policy; same problem, episodes and seed: same result."""

  name: str

  def search(
      self,
      problem: SearchProblem,
      episodes: int,
      seed: int,
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ) -> SearchResult:
    """Returns the best policy found with at most `episodes` evaluations.

    Args:
      problem: what is searched.
      episodes: how often the evaluator may be asked, at least 1.
      seed: of everything that is random.
      state_dir: where the search saves its state after each episode. The same
        call after a kill goes on from there and returns the result of an
        undisturbed run, bit for bit. None: nothing is saved.
      on_episode: called after each episode, in order, once per process;
        restored ones come first, marked as such.

    Raises:
      BudgetError: nothing fits the budget.
      ValueError: wrong arguments, or `state_dir` belongs to another search.
    """


def _check_choice(what: str, received: str, choices: tuple[str, ...]) -> None:
  if received not in choices:
    raise ValueError(
        f"{what}: expected one of {choices}, received '{received}'"
        + did_you_mean(received, choices)
    )
