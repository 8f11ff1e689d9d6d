"""Compares searchers at an equal number of evaluations.

  ./bazelw run //tfmpq:compare -- --run_dir=runs/compare
  ./bazelw run //tfmpq:compare -- --run_dir=runs/compare --finetune

runs every searcher of --searchers with every seed of --seeds on the experiment
that the flags describe, and leaves

  compare.json   a row per search, and how the reward ranks policies
  compare.md     a table: means over seeds with 95 % intervals
  compare.svg    best accuracy so far against evaluated policies

in --run_dir. With --finetune every policy is trained, with the seed of its
search, and classifies the test split (fake-quantized); equal policies with
equal seeds are trained once. A comparison that was stopped goes on with the
row, and in it with the evaluation or the epoch, at which it was; searchers,
seeds and --finetune may be added to one that has ended. Searchers share what
the evaluator has said, which saves time: each still counts what it asks.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil

from absl import app
from absl import flags
from absl import logging
import numpy as np
import tf_keras as keras

from tfmpq import command_line
from tfmpq import comparison
from tfmpq import evaluation_cache
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import finetuning
from tfmpq import progress
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import stages
from tfmpq import training_phases
from tfmpq.searchers import registry
from tfmpq.searchers import searcher as searcher_lib

_REFERENCE = 'ddpg'
_FOLDER = 'compare'

_SEARCHERS = flags.DEFINE_list(
    'searchers',
    [
        'ddpg',
        'ddpg_cold',
        'ilp',
        'greedy',
        'evolution',
        'random',
        'random_no_growth',
    ],
    "Searchers to compare; 'ddpg_cold' is ddpg with --ddpg_start=none.",
)
_SEEDS = flags.DEFINE_list('seeds', ['1', '2', '3'], 'Seeds of each searcher.')
_FINETUNE = flags.DEFINE_bool(
    'finetune', False, 'Also fine-tune every policy that a search ends with.'
)
experiment_flags.define()
for _name in ('config', 'run_dir', 'ram', 'flash', 'episodes'):
  flags.declare_key_flag(_name)


def main(argv: list[str]) -> None:
  """Runs what is missing of the comparison."""
  command_line.run(argv, 'compare', compare)


def compare(experiment: experiment_lib.Experiment) -> None:
  """Runs all searches, then all fine-tunings, and writes what came out."""
  seeds, names = _seeds(), list(_SEARCHERS.value)
  for name in names:
    _searcher(experiment, name)  # Finds a wrong name before the first search.
  stages.require_startable(experiment)
  if _FINETUNE.value and experiment.policy_widths != specs.BIT_WIDTHS:
    raise ValueError(
        f'--search_bits={experiment.config.search.search_bits}: --finetune '
        f'trains widths of {specs.BIT_WIDTHS} only; leave --finetune out'
    )
  experiment.begin()
  stages.make_float_network(experiment)
  rows: list[comparison.Row] = []
  with searching.make_pool(experiment) as pool:
    cache = evaluation_cache.EvaluationCache(
        experiment.folder / _FOLDER / 'evaluations.jsonl',
        searching.evaluator_identity(experiment),
        pool.evaluate_all,
    )
    for seed in seeds:
      for name in names:
        rows.append(_search(experiment, cache, name, seed))
        _write(experiment, rows)
  if _FINETUNE.value:
    for index, row in enumerate(rows):
      correct = _finetuned(experiment, row)
      rows[index] = dataclasses.replace(row, correct=correct)
      _write(experiment, rows)
  print((experiment.folder / 'compare.md').read_text())


def _seeds() -> list[int]:
  try:
    seeds = [int(text) for text in _SEEDS.value]
  except ValueError as error:
    raise ValueError(f'--seeds: {error}') from error
  if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
    raise ValueError(
        f'--seeds: expected different numbers from 0, received {seeds}'
    )
  return seeds


def _searcher(
    experiment: experiment_lib.Experiment, name: str
) -> searcher_lib.Searcher:
  search = experiment.config.search
  if name == 'ddpg_cold':
    return registry.create('ddpg', 'none', search.constraint)
  return registry.create(name, search.ddpg_start, search.constraint)


def _search(
    experiment: experiment_lib.Experiment,
    cache: evaluation_cache.EvaluationCache,
    name: str,
    seed: int,
) -> comparison.Row:
  """Returns one row, from its file if the search has ended before."""
  folder = experiment.folder / _FOLDER / f'{name}_{seed}'
  path = folder / run_dir.SEARCH
  if not path.exists():
    episodes = experiment.config.search.episodes
    problem = searching.search_problem(
        experiment, cache.evaluate, cache.evaluate_all
    )
    with progress.SearchProgressBar(
        f'{name}, seed {seed}', episodes, folder / run_dir.TENSORBOARD
    ) as bar:
      found = _searcher(experiment, name).search(
          problem, episodes, seed, folder / run_dir.SEARCH_STATE, bar.on_episode
      )
    run_dir.atomic_write(path, json.dumps(found.to_json_dict()))
  result = searcher_lib.SearchResult.from_json_dict(
      json.loads(path.read_text())
  )
  return comparison.Row(
      searcher=name,
      seed=seed,
      evaluations=int(result.statistics['num_evaluations']),
      reward=result.best.reward,
      reward_accuracy=result.best.evaluation.accuracy,
      best_accuracies=tuple(_best_accuracies(result)),
      policy=result.policy.as_dict(),
  )


def _best_accuracies(result: searcher_lib.SearchResult):
  """Yields, after each episode, the accuracy of the best policy so far."""
  best = None
  for record in result.records:
    if record.fits and (best is None or record.reward > best.reward):
      best = record
    yield None if best is None else best.evaluation.accuracy


def _finetuned(
    experiment: experiment_lib.Experiment, row: comparison.Row
) -> np.ndarray:
  """Returns which test images the trained policy classifies rightly."""
  policy = specs.QuantizationPolicy.of(row.policy)
  digest = hashlib.sha256(policy.to_json().encode()).hexdigest()[:16]
  folder = experiment.folder / _FOLDER / f'finetuned_{digest}_{row.seed}'
  path: pathlib.Path = folder / 'correct.json'
  if not path.exists():
    logging.info('fine-tuning the policy of %s, seed %d', *_key(row))
    keras.backend.clear_session()
    state = folder / run_dir.FINETUNE_STATE
    trained = training_phases.train(experiment, policy, state, row.seed)
    correct = finetuning.correct(trained.student, experiment.data.test)
    run_dir.atomic_write(path, json.dumps(correct.astype(int).tolist()))
    shutil.rmtree(state)
  return np.array(json.loads(path.read_text()), bool)


def _key(row: comparison.Row) -> tuple[str, int]:
  return row.searcher, row.seed


def _write(
    experiment: experiment_lib.Experiment, rows: list[comparison.Row]
) -> None:
  experiment.write_json('compare.json', comparison.to_json_dict(rows))
  texts = {
      'compare.md': comparison.table(rows, _REFERENCE),
      'compare.svg': comparison.chart(rows),
  }
  for name, text in texts.items():
    run_dir.atomic_write(experiment.folder / name, text)


if __name__ == '__main__':
  app.run(main)
