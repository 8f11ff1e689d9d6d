"""Stops a search as a kill would, at a chosen moment."""

from __future__ import annotations

import dataclasses

from tfmpq.searchers.searcher import OnEpisode
from tfmpq.searchers.searcher import SearchProblem


class Interrupted(Exception):
  """Nothing in the program catches it."""


def interrupt_after(
    problem: SearchProblem, where: str, count: int
) -> tuple[SearchProblem, OnEpisode | None]:
  """Returns a problem and a callback of which one raises.

  Args:
    problem: what is searched.
    where: 'evaluate': before the evaluation number `count` (from 0) has a
      result; 'on_episode': after the record number `count` was saved.
    count: which one.
  """
  calls = []

  def evaluate(policy):
    if len(calls) == count:
      raise Interrupted
    calls.append(policy)
    return problem.evaluate(policy)

  def on_episode(progress):
    if progress.record.index == count:
      raise Interrupted

  if where == 'evaluate':
    return dataclasses.replace(problem, evaluate=evaluate), None
  return problem, on_episode
