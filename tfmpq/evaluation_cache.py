"""Evaluations on disk, for several searches that ask about the same policies.

A search counts what it asks, whoever has asked before it: the cache saves time,
not evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import json
import pathlib

from tfmpq.evaluation import Evaluation
from tfmpq.searchers.searcher import EvaluateAll
from tfmpq.specs import QuantizationPolicy


class EvaluationCache:
  """Answers from a file, and asks an evaluator for the rest.

  Attributes:
    evaluate_all: the evaluator; may be set later.
  """

  def __init__(
      self, path: pathlib.Path, identity: str, evaluate_all: EvaluateAll
  ):
    """Reads the file if it is there.

    Args:
      path: a line per evaluation, appended as soon as it is known.
      identity: of the evaluator; a file of another one is refused.
      evaluate_all: policies -> evaluations, in their order.

    Raises:
      ValueError: the file belongs to another evaluator.
    """
    self._path = path
    self._evaluate_all = evaluate_all
    self._known: dict[QuantizationPolicy, Evaluation] = {}
    head = json.dumps({'evaluator': identity})
    if path.exists():
      lines = path.read_text().splitlines()
      if lines[0] != head:
        raise ValueError(
            f'{path} holds evaluations by another evaluator: {lines[0]}, not '
            f'{head}; use another --run_dir'
        )
      for line in lines[1:]:
        self._read(line)
    else:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(head + '\n')

  def evaluate(self, policy: QuantizationPolicy) -> Evaluation:
    """Returns the evaluation of one policy."""
    return next(self.evaluate_all([policy]))

  def evaluate_all(
      self, policies: Sequence[QuantizationPolicy]
  ) -> Iterator[Evaluation]:
    """Yields the evaluation of each policy, in their order."""
    unknown = [p for p in dict.fromkeys(policies) if p not in self._known]
    found = iter(self._evaluate_all(unknown))
    for policy in policies:
      if policy not in self._known:
        self._known[policy] = next(found)
        self._write(policy)
      yield self._known[policy]

  def _read(self, line: str) -> None:
    try:
      raw = json.loads(line)
    except json.JSONDecodeError:
      return  # The last line of a process that was killed while it wrote.
    policy = QuantizationPolicy.of(raw['policy'])
    self._known[policy] = Evaluation(**raw['evaluation'])

  def _write(self, policy: QuantizationPolicy) -> None:
    line = json.dumps(
        {
            'policy': policy.as_dict(),
            'evaluation': dataclasses.asdict(self._known[policy]),
        }
    )
    # A line that was cut off is ended first.
    with self._path.open('a', encoding='utf-8') as file:
      if not self._path.read_bytes().endswith(b'\n'):
        file.write('\n')
      file.write(line + '\n')
