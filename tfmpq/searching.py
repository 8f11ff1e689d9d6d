"""The stage 'search': joins searcher, evaluator, memory model and workers."""

import dataclasses
import json

from tfmpq import config as config_lib
from tfmpq import executors
from tfmpq import experiment as experiment_lib
from tfmpq import progress
from tfmpq import run_dir
from tfmpq import specs
from tfmpq.searchers import registry
from tfmpq.searchers import searcher as searcher_lib

Experiment = experiment_lib.Experiment

# Fields on which evaluations do not depend: where data lie, who searches, and
# who evaluates.
_NOT_EVALUATED = frozenset(
    """data_cache data_dir download manual_dir num_test_images
    searcher episodes search_tensors search_bits reward
    seed threads ddpg_start constraint round_size workers executor
    ray_address""".split()
)


def search(experiment: Experiment) -> None:
  """Stage 'search': the policy."""
  if experiment.has(run_dir.POLICY):
    return
  config = experiment.config.search
  with (
      make_pool(experiment) as pool,
      progress.SearchProgressBar(
          config.searcher,
          config.episodes,
          experiment.folder / run_dir.TENSORBOARD,
      ) as bar,
  ):
    result = registry.create(
        config.searcher, config.ddpg_start, config.constraint
    ).search(
        search_problem(experiment, pool.evaluate, pool.evaluate_all),
        config.episodes,
        config.seed,
        experiment.folder / run_dir.SEARCH_STATE,
        bar.on_episode,
    )
  experiment.write_json(
      run_dir.SEARCH,
      result.to_json_dict() | {'episodes_per_minute': bar.episodes_per_minute},
  )
  run_dir.atomic_write(
      experiment.folder / run_dir.POLICY, result.policy.to_json()
  )


def require_comparable_widths(config: config_lib.ExperimentConfig) -> None:
  """Raises ValueError if widths that nothing can run meet what needs such.

  Widths but 2, 4 and 8 are emulated: they have bytes in the 'paper' model, and
  rewards without training; they have neither kernels nor tables of
  instructions.
  """
  search = config.search
  others = sorted({*search.bit_widths()} - {*specs.BIT_WIDTHS})
  if others and (
      config.budget.memory_model != 'paper'
      or search.episode_finetune_steps
      or config.latency.needs_table
  ):
    raise ValueError(
        f'--search_bits: {others} are for comparison only and need '
        '--memory_model=paper --episode_finetune_steps=0 and no limit on '
        f'instructions; received --memory_model={config.budget.memory_model} '
        f'--episode_finetune_steps={search.episode_finetune_steps} '
        f'--max_instructions={config.latency.max_instructions} '
        f'--objective_weights={config.latency.objective_weights}'
    )


def make_pool(experiment: Experiment):
  """Returns the workers that the flags ask for, a context manager."""
  config = experiment.config.search
  return executors.create(
      config.executor,
      config.workers,
      config.ray_address,
      experiment.evaluation_recipe(),
  )


def search_problem(
    experiment: Experiment,
    evaluate,
    evaluate_all: searcher_lib.EvaluateAll | None = None,
) -> searcher_lib.SearchProblem:
  """Returns what a searcher gets.

  Args:
    experiment: network, budget and what is searched.
    evaluate: policy -> Evaluation; None to ask for bytes only.
    evaluate_all: the same for several policies, or None.
  """
  config = experiment.config
  return searcher_lib.SearchProblem(
      network=experiment.spec,
      memory_model=experiment.memory_model,
      budget=experiment.budget,
      evaluate=evaluate,
      search_tensors=config.search.search_tensors,
      bit_widths=config.search.bit_widths(),
      objective=config.search.reward,
      weights=config.latency.weights(),
      evaluator=evaluator_identity(experiment),
      round_size=config.search.round_size,
      evaluate_all=evaluate_all,
  )


def evaluator_identity(experiment: Experiment) -> str:
  """Returns what an evaluation depends on: the fields that are not defaults."""
  config, defaults = experiment.config, config_lib.ExperimentConfig()
  changed = {}
  for part in ('data', 'model', 'search'):
    standard = dataclasses.asdict(getattr(defaults, part))
    for name, value in dataclasses.asdict(getattr(config, part)).items():
      if value != standard[name] and name not in _NOT_EVALUATED:
        changed[name] = value
  if config.search.episode_finetune_steps:
    changed['seed'] = config.search.seed
  return json.dumps({'dataset': config.data.dataset, **changed}, sort_keys=True)
