"""The run behind --pareto: a front of policies over a range of budgets."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmpq import budgets
from tfmpq import experiment as experiment_lib
from tfmpq import front_report
from tfmpq import progress
from tfmpq import run_dir
from tfmpq import searching
from tfmpq.searchers import front
from tfmpq.searchers import searcher as searcher_lib

_STATE = 'pareto'
_JSON = 'pareto.json'
_HTML = 'pareto.html'


def run(
    experiment: experiment_lib.Experiment, ram: str, flash: str, num_points: int
) -> str:
  """Searches the front, writes pareto.json and pareto.html.

  Args:
    experiment: its float network is there.
    ram, flash: ranges such as '8kB:20kB'; '' stands for all that makes a
      difference, from the smallest widths to the largest.
    num_points: limits per range, at least 2; a budget for each pair.

  Returns:
    What to tell the user.

  Raises:
    ValueError: a wrong range or number, or too few episodes.
    BudgetError: nothing fits the lowest limits.
  """
  config = experiment.config.search
  unlimited = dataclasses.replace(
      experiment.budget, ram_bytes=None, flash_bytes=None
  )
  with (
      searching.make_pool(experiment) as pool,
      progress.SearchProgressBar(
          front.NAME, config.episodes, experiment.folder / run_dir.TENSORBOARD
      ) as bar,
  ):
    problem = dataclasses.replace(
        searching.search_problem(experiment, pool.evaluate, pool.evaluate_all),
        budget=unlimited,
    )
    found = front.search(
        problem,
        grid(problem, ram, flash, num_points),
        config.episodes,
        config.seed,
        experiment.folder / _STATE,
        bar.on_episode,
    )
  experiment.write_json(_JSON, front_report.to_json_dict(found))
  page = experiment.folder / _HTML
  run_dir.atomic_write(page, front_report.page(found))
  return (
      f'{page}: {len(found.records)} policies of {found.num_evaluations} that '
      'no other one dominates'
  )


def grid(
    problem: searcher_lib.SearchProblem, ram: str, flash: str, num_points: int
) -> list[budgets.MemoryBudget]:
  """Returns a budget for each pair of limits, which are spaced evenly.

  Args:
    problem: its budget's other limits hold for all.
    ram, flash, num_points: see `run`.
  """
  if num_points < 2:
    raise ValueError(
        f'--pareto_points: expected at least 2, received {num_points}'
    )
  narrowest = problem.footprint(problem.policy({}, problem.bit_widths[0]))
  widest = problem.footprint(problem.policy({}, problem.bit_widths[-1]))
  ranges = {
      'ram': (narrowest.ram_bytes, widest.ram_bytes),
      'flash': (narrowest.flash_bytes, widest.flash_bytes),
  }
  for name, text in (('ram', ram), ('flash', flash)):
    if text:
      ranges[name] = _parse(f'--pareto_{name}', text)
  rams, flashes = (
      np.linspace(low, high, num_points).astype(int).tolist()
      for low, high in ranges.values()
  )
  return [
      dataclasses.replace(problem.budget, ram_bytes=r, flash_bytes=f)
      for r in rams
      for f in flashes
  ]


def _parse(flag: str, text: str) -> tuple[int, int]:
  try:
    low, high = map(budgets.parse_bytes, text.split(':'))
  except ValueError as error:
    raise ValueError(
        f"{flag}: expected LOW:HIGH such as '8kB:20kB', received {text!r}"
    ) from error
  if low >= high:
    raise ValueError(f'{flag}: expected LOW below HIGH, received {text!r}')
  return low, high
