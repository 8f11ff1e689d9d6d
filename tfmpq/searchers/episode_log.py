"""Asks the evaluator, counts, remembers and saves: shared by all searchers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

from tfmpq.evaluation import Evaluation
from tfmpq.searchers import search_state
from tfmpq.searchers.searcher import EpisodeRecord
from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.searchers.searcher import SearchProgress
from tfmpq.searchers.searcher import SearchResult
from tfmpq.specs import QuantizationPolicy

_FILE_NAME = 'episodes.json'


@dataclasses.dataclass(frozen=True)
class Proposal:
  """A policy to be evaluated; see `EpisodeRecord` for the fields."""

  policy: QuantizationPolicy
  phase: str
  details: Mapping[str, float] = dataclasses.field(default_factory=dict)


class EpisodeLog:
  """The episodes of one search.

  With a `state_dir` every record is saved before `evaluate` returns. After a
  kill, a searcher that is deterministic goes through the same policies again
  and receives the saved evaluations instead of new ones; a searcher with a
  state of its own calls `restore` for the episodes that its state contains.

  Attributes:
    problem: what is searched.
    episodes: how many episodes there may be.
    records: those of this process so far, restored ones included.
    best: the record with the highest reward that fits, or None.
  """

  def __init__(
      self,
      problem: SearchProblem,
      episodes: int,
      identity: Mapping[str, Any],
      state_dir: str | os.PathLike[str] | None = None,
      on_episode: OnEpisode | None = None,
  ):
    """Opens the log; reads what `state_dir` holds.

    Args:
      problem: what is searched.
      episodes: how many episodes there may be, at least 1.
      identity: what the course of the search depends on besides the problem
        (searcher, seed, settings): names and plain values.
      state_dir: folder of the saved state, created if absent; None: no saving.
      on_episode: called for each record.

    Raises:
      ValueError: `episodes` is below 1, or `state_dir` holds another search.
    """
    if episodes < 1:
      raise ValueError(f'episodes must be at least 1, received {episodes}')
    self.problem = problem
    self.episodes = episodes
    self.records: list[EpisodeRecord] = []
    self.best: EpisodeRecord | None = None
    self._known: dict[QuantizationPolicy, Evaluation] = {}
    self._on_episode = on_episode
    self._identity = _identity(problem, episodes, identity)
    self._path = None
    self._saved: list[dict[str, Any]] = []
    if state_dir is not None:
      folder = pathlib.Path(state_dir)
      folder.mkdir(parents=True, exist_ok=True)
      self._path = folder / _FILE_NAME
      self._read()

  @property
  def num_left(self) -> int:
    return self.episodes - len(self.records)

  @property
  def num_saved(self) -> int:
    """Episodes found in `state_dir` when the log was opened."""
    return len(self._saved)

  def knows(self, policy: QuantizationPolicy) -> bool:
    """True if the policy has been evaluated."""
    return policy in self._known

  def evaluation(self, policy: QuantizationPolicy) -> Evaluation:
    """What the evaluator said about a policy that it knows."""
    return self._known[policy]

  def restore(self, num_records: int) -> None:
    """Takes the first records from the saved state."""
    if num_records > len(self._saved):
      raise ValueError(
          f'{self._path} holds {len(self._saved)} episodes, the state beside '
          f'it was saved after {num_records}: they do not belong together; '
          'delete the folder to start anew'
      )
    for raw in self._saved[len(self.records) : num_records]:
      self._append(EpisodeRecord.from_json_dict(raw), restored=True)

  def evaluate(
      self,
      policy: QuantizationPolicy,
      phase: str,
      details: Mapping[str, float] | None = None,
  ) -> EpisodeRecord:
    """Returns the record of one more episode; see `evaluate_round`."""
    return self.evaluate_round([Proposal(policy, phase, details or {})])[0]

  def evaluate_round(
      self, proposals: Sequence[Proposal]
  ) -> list[EpisodeRecord]:
    """Returns the records of one more episode per proposal, in their order.

    The policies may be evaluated side by side, but the episodes end one after
    the other: what is saved after a kill is the beginning of the round. A known
    policy is not evaluated again, but uses up an episode.
    """
    if len(proposals) > self.num_left:
      raise ValueError(
          f'all {self.episodes} episodes have been used, or too few are left '
          f'for {len(proposals)} policies: {self.num_left}'
      )
    first = len(self.records)
    num_restored = max(0, len(self._saved) - first)
    answered = {p.policy for p in proposals[:num_restored]} | set(self._known)
    unknown = dict.fromkeys(
        p.policy for p in proposals if p.policy not in answered
    )
    evaluations = iter(self.problem.evaluations(list(unknown)))
    return [self._commit(proposal, evaluations) for proposal in proposals]

  def _commit(
      self, proposal: Proposal, evaluations: Iterator[Evaluation]
  ) -> EpisodeRecord:
    """Appends an episode; takes the next evaluation if it needs one."""
    index, policy = len(self.records), proposal.policy
    saved = self._saved[index] if index < len(self._saved) else None
    repeated = policy in self._known
    if repeated:
      evaluation = self._known[policy]
    elif saved:
      evaluation = Evaluation(**saved['evaluation'])
    else:
      evaluation = _plain(next(evaluations))
    record = EpisodeRecord(
        index=index,
        phase=proposal.phase,
        policy=policy,
        evaluation=evaluation,
        reward=self.problem.value(policy, evaluation),
        footprint=self.problem.footprint(policy),
        fits=self.problem.fits(policy),
        repeated=repeated,
        details={k: float(v) for k, v in proposal.details.items()},
    )
    if saved and record != EpisodeRecord.from_json_dict(saved):
      raise ValueError(
          f'{self._path}: episode {index} cannot be repeated; saved was '
          f'{saved}, now it is {record.to_json_dict()}. The program or the '
          'machine is another one; delete the folder to start anew'
      )
    self._append(record, restored=saved is not None)
    return record

  def result(
      self,
      searcher: str,
      seed: int,
      statistics: Mapping[str, float] | None = None,
  ) -> SearchResult:
    """Returns the outcome; its policy is checked once more against the budget.

    The statistics get the numbers of episodes, of evaluations and of repeated
    policies, and the mean reward of the last fifth of the episodes.
    """
    if self.best is None:
      raise ValueError(
          f'{searcher} found no policy that fits in {self.episodes} episodes; '
          'allow more'
      )
    if not self.problem.fits(self.best.policy):
      raise AssertionError(f'{searcher} returned a policy that does not fit')
    last_fifth = self.records[-max(1, len(self.records) // 5) :]
    mean_reward = sum(r.reward for r in last_fifth) / len(last_fifth)
    return SearchResult(
        searcher=searcher,
        seed=seed,
        best=self.best,
        records=tuple(self.records),
        statistics={
            'num_episodes': float(len(self.records)),
            'num_evaluations': float(len(self._known)),
            'num_repeated': float(sum(r.repeated for r in self.records)),
            'mean_reward_last_fifth': mean_reward,
            **(statistics or {}),
        },
    )

  def _append(self, record: EpisodeRecord, restored: bool) -> None:
    self.records.append(record)
    self._known[record.policy] = record.evaluation
    if record.fits and (self.best is None or record.reward > self.best.reward):
      self.best = record
    if not restored and self._path:
      search_state.write_json(
          self._path,
          {
              'identity': self._identity,
              'records': [r.to_json_dict() for r in self.records],
          },
      )
    if self._on_episode:
      self._on_episode(
          SearchProgress(record, self.best, self.episodes, restored)
      )

  def _read(self) -> None:
    """Reads the saved records; refuses those of another search."""
    if not self._path.exists():
      return
    saved = json.loads(self._path.read_text())
    there, here = saved['identity'], self._identity
    if there != here:
      differences = [
          f'{name}: {there.get(name)!r} there, {here.get(name)!r} here'
          for name in sorted({*there, *here})
          if there.get(name) != here.get(name)
      ]
      raise ValueError(
          f'{self._path} belongs to another search ({"; ".join(differences)}); '
          'use another folder, or delete this one to start anew'
      )
    self._saved = saved['records']


def _identity(
    problem: SearchProblem, episodes: int, searcher: Mapping[str, Any]
) -> dict[str, Any]:
  """Everything that the course of a search depends on, as plain JSON."""
  network = problem.network
  identity = {
      'network': network.name,
      'network_sha256': hashlib.sha256(network.to_json().encode()).hexdigest(),
      'memory_model': problem.memory_model.name,
      'budget': dataclasses.asdict(problem.budget),
      'search_tensors': problem.search_tensors,
      'bit_widths': problem.bit_widths,
      'objective': problem.objective,
      'evaluator': problem.evaluator,
      'round_size': problem.round_size,
      'episodes': episodes,
      **searcher,
  }
  if problem.weights is not None:
    identity['weights'] = dataclasses.asdict(problem.weights)
  return json.loads(json.dumps(identity))  # tuples become lists, as when read


def _plain(evaluation: Evaluation) -> Evaluation:
  """The same with Python's own numbers, which JSON can hold exactly."""
  plain: dict[str, Any] = {
      name: None if value is None else float(value)
      for name, value in dataclasses.asdict(evaluation).items()
  }
  return Evaluation(**{**plain, 'num_images': int(evaluation.num_images)})
