"""Measures how well the reward of the search orders policies.

  ./bazelw run //tfmpq:search -- --run_dir=/tmp/study --until=float
  ./bazelw run //tfmpq:reward_study -- --run_dir=/tmp/study --num_policies=24

draws policies, a third from the whole range of widths and the rest at the
budget of the run, scores each by post-training quantization as the search
does, and fine-tunes each with --truth_seeds seeds. It writes reward_study.json,
reward_study.md (a table) and reward_study.svg into the run directory: rank
correlations of each score with the accuracies after fine-tuning, beside the
reliability of those accuracies themselves. Figures are those of the test split,
which no score uses.

--score_steps=100 adds a score after so many training steps, what the search
maximizes with --episode_finetune_steps=100.

Each fine-tuning is kept when it ends and goes on where it was killed: stop the
program at any time and give the same command again. --num_finetune_images and
--finetune_epochs trade time for convergence.
"""

import dataclasses
import json
import pathlib
import shutil
import time

from absl import app
from absl import flags
from absl import logging
import numpy as np
import tf_keras as keras
import tqdm

from tfmpq import command_line
from tfmpq import episode_finetuning
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import finetuning
from tfmpq import reward_correlation
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import stages
from tfmpq import training_phases
from tfmpq.searchers import environment
from tfmpq.searchers import random_search

_NUM_POLICIES = flags.DEFINE_integer(
    'num_policies', 24, 'Policies to compare.', lower_bound=6
)
_TRUTH_SEEDS = flags.DEFINE_integer(
    'truth_seeds', 2, 'Fine-tunings of each policy.', lower_bound=2
)
_SCORE_STEPS = flags.DEFINE_integer(
    'score_steps',
    0,
    'Also score each policy after this many training steps; 0: do not.',
    lower_bound=0,
)
experiment_flags.define()
flags.declare_key_flag('run_dir')

_FOLDER = 'reward_study'
# Of the policies of the whole range: how one-sided their widths are.
_CONCENTRATION = 0.7


def main(argv: list[str]) -> None:
  """Runs the study."""
  command_line.run(argv, 'reward_study', study)


def study(experiment: experiment_lib.Experiment) -> None:
  """Draws, scores and trains policies; writes table, plot and JSON."""
  experiment.begin()
  stages.make_float_network(experiment)
  drawn = draw_policies(experiment, _NUM_POLICIES.value)
  scored = _score_all(experiment, drawn)
  if _SCORE_STEPS.value:
    scored = _score_trained(experiment, drawn, scored, _SCORE_STEPS.value)
  trained = _train_all(experiment, drawn)
  result = reward_correlation.analyse(scored, trained)
  experiment.write_json('reward_study.json', result)
  table = reward_correlation.markdown(result)
  run_dir.atomic_write(experiment.folder / 'reward_study.md', table)
  run_dir.atomic_write(
      experiment.folder / 'reward_study.svg', reward_correlation.plot(result)
  )
  print(table)


def draw_policies(
    experiment: experiment_lib.Experiment, count: int
) -> list[specs.QuantizationPolicy]:
  """Returns different policies; the same ones for a --seed.

  A third has, in each, its own probabilities of 2, 4 and 8 bits, which covers
  the whole range; the rest fits the budget and uses it up.
  """
  rng = np.random.default_rng(experiment.config.search.seed)
  problem = searching.search_problem(experiment, experiment.evaluator)
  names = [tensor.name for tensor in problem.searched_tensors]
  widths = problem.bit_widths
  rooms = environment.BitWidthEnvironment(problem)
  policies: list[specs.QuantizationPolicy] = []
  while len(policies) < count:
    if len(policies) < count // 3:
      shares = rng.dirichlet([_CONCENTRATION] * len(widths))
      bits = rng.choice(widths, size=len(names), p=shares).tolist()
      policy = problem.policy(dict(zip(names, bits, strict=True)), 8)
    else:
      policy, _ = random_search.random_policy(rooms, rng)
    if policy not in policies:
      policies.append(policy)
  return policies


def _score_all(experiment, policies) -> list[reward_correlation.Scored]:
  """Returns the figures without training, from a file where they are there."""
  path = experiment.folder / _FOLDER / 'scores.json'
  if path.exists():
    return [
        reward_correlation.Scored(**row) for row in json.loads(path.read_text())
    ]
  rows = []
  for policy in tqdm.tqdm(policies, 'score', unit='policy'):
    start = time.perf_counter()
    figures = dataclasses.asdict(experiment.evaluator(policy))
    seconds = time.perf_counter() - start
    figures.pop('num_images')
    rows.append(reward_correlation.Scored(policy.as_dict(), figures, seconds))
  sensitivities = _additive_scores(experiment, policies)
  rows = [
      dataclasses.replace(
          row, figures=dict(row.figures) | {'additive_cross_entropy': score}
      )
      for row, score in zip(rows, sensitivities, strict=True)
  ]
  run_dir.atomic_write(
      path, json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
  )
  return rows


def _score_trained(
    experiment: experiment_lib.Experiment,
    policies: list[specs.QuantizationPolicy],
    scored: list[reward_correlation.Scored],
    steps: int,
) -> list[reward_correlation.Scored]:
  """Returns the scores with one after `steps` of training, each from its file.

  The seconds of both are kept: training costs a hundred times as much.
  """
  evaluate = episode_finetuning.FinetunedEvaluator(
      experiment.float_network,
      experiment.evaluator,
      experiment.data.reward.take(experiment.config.data.num_reward_images),
      experiment.episode_finetuning(steps),
  )
  rows = []
  for index, policy in enumerate(tqdm.tqdm(policies, f'{steps} steps')):
    path = experiment.folder / _FOLDER / f'score_{index}_{steps}_steps.json'
    if not path.exists():
      start = time.perf_counter()
      loss = float(evaluate(policy).cross_entropy)
      row = {'loss': loss, 'seconds': time.perf_counter() - start}
      run_dir.atomic_write(path, json.dumps(row))
    row = json.loads(path.read_text())
    own = scored[index]
    rows.append(
        dataclasses.replace(
            own,
            figures=dict(own.figures)
            | {f'cross_entropy_after_{steps}_steps': row['loss']},
            training_seconds=row['seconds'],
        )
    )
  return rows


def _additive_scores(experiment, policies) -> list[float]:
  """Returns, per policy, the sum of the losses of each tensor alone."""
  problem = searching.search_problem(experiment, experiment.evaluator)
  names = [tensor.name for tensor in problem.searched_tensors]
  widest = problem.policy({}, problem.bit_widths[-1])
  base = experiment.evaluator(widest).cross_entropy
  *narrow, most = problem.bit_widths
  loss = {(name, most): 0.0 for name in names}
  for name in tqdm.tqdm(names, 'sensitivities', unit='tensor'):
    for bits in narrow:
      alone = widest.with_bits({name: bits})
      loss[name, bits] = experiment.evaluator(alone).cross_entropy - base
  return [
      sum(loss[name, policy.as_dict()[name]] for name in names)
      for policy in policies
  ]


def _train_all(experiment, policies) -> list[reward_correlation.Trained]:
  rows = []
  bar = tqdm.tqdm(
      total=len(policies) * _TRUTH_SEEDS.value, desc='train', unit='training'
  )
  with bar:
    for seed in range(1, _TRUTH_SEEDS.value + 1):
      for index, policy in enumerate(policies):
        rows.append(_trained(experiment, policy, index, seed))
        bar.update()
  return rows


def _trained(experiment, policy, index, seed) -> reward_correlation.Trained:
  """Returns one fine-tuning, from its file where it is there."""
  folder = experiment.folder / _FOLDER
  path = folder / f'policy_{index}_seed_{seed}.json'
  if path.exists():
    row = reward_correlation.Trained.from_json(path.read_text())
    if row.bits != policy.as_dict():
      raise ValueError(
          f'{path} holds another policy than this command draws; use another '
          '--run_dir'
      )
    return row
  keras.backend.clear_session()
  start = time.perf_counter()
  state: pathlib.Path = folder / 'state' / path.stem
  result = training_phases.train(experiment, policy, state, seed)
  row = reward_correlation.Trained(
      bits=policy.as_dict(),
      seed=seed,
      correct=finetuning.correct(result.student, experiment.data.test),
      seconds=time.perf_counter() - start,
  )
  run_dir.atomic_write(path, row.to_json())
  shutil.rmtree(state)
  logging.info('policy %d, seed %d: %.2f %%', index, seed, 100 * row.accuracy)
  return row


if __name__ == '__main__':
  app.run(main)
