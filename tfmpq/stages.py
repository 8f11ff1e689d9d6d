"""The stages of a run, in order. Each reads and writes the run directory.

A stage whose last file is there is finished and is not repeated; one that was
killed goes on from its own state. `run` is what //tfmpq:search does; the other
programs run one stage.
"""

from collections.abc import Callable
import dataclasses
import pathlib

from absl import logging

from tfmpq import config as config_lib
from tfmpq import datasets
from tfmpq import deploying
from tfmpq import deployment
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import exporting
from tfmpq import float_network
from tfmpq import float_training
from tfmpq import float_weights
from tfmpq import keras_graph
from tfmpq import kernel_targets
from tfmpq import lowering
from tfmpq import models
from tfmpq import pretraining
from tfmpq import quantized_network
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import split_evaluation
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import training_phases
from tfmpq import user_paths

Experiment = experiment_lib.Experiment

# Images, at most, on which an exported .tflite is read back and compared.
_NUM_CHECKED_IMAGES = 20
# What --weights says instead of a file.
_RANDOM = 'random'


def require_startable(experiment: Experiment) -> None:
  """Raises, before anything is written or trained, if the run cannot end well.

  Raises:
    BudgetError: no policy can fit.
    ValueError, FileNotFoundError: no data set, too few images in it, no float
      weights, wrong names.
  """
  _require_images(experiment)
  _require_builtin_widths(experiment.config)
  searching.require_comparable_widths(experiment.config)
  experiment.require_fitting_data()
  searching.search_problem(experiment, evaluate=None).require_feasible()
  model = experiment.config.model
  needs_weights = not experiment.has(run_dir.FLOAT_NETWORK)
  comes_with_them = model.pretrain or model.float_model
  if needs_weights and not comes_with_them and model.weights != _RANDOM:
    path = _weights_path(experiment)
    if not path.exists():
      raise FileNotFoundError(
          f'--weights: {path} does not exist; //tfmpq:pretrain writes one'
      )


def make_float_network(experiment: Experiment) -> None:
  """Stage 'float': weights of the float network, BatchNorm folded."""
  if experiment.has(run_dir.FLOAT_NETWORK):
    return
  if experiment.config.model.float_model:
    network = experiment.read_float_model()
  else:
    network = _own_float_network(experiment)
  run_dir.atomic_write(
      experiment.folder / run_dir.NETWORK_SPEC, network.spec.to_json()
  )
  _save_whole(
      experiment.folder / run_dir.FLOAT_NETWORK,
      lambda path: float_network.save(network, path),
  )


def _own_float_network(experiment: Experiment) -> float_network.FloatNetwork:
  """Returns the network of --model, trained or with stored weights."""
  config, data = experiment.config.model, experiment.data
  model = experiment.build_model()
  if config.pretrain:
    pretraining.pretrain(
        model,
        data,
        float_training.FloatTrainingConfig(
            epochs=config.pretrain_epochs, seed=experiment.config.search.seed
        ),
        experiment.folder,
        {'dataset': data.name},
    )
  elif config.weights == _RANDOM:
    logging.warning(
        '--weights=random: bytes are right, accuracies and rewards mean nothing'
    )
    float_weights.randomize(model, experiment.config.search.seed)
  else:
    float_weights.load_weights(model, _weights_path(experiment))
  return keras_graph.fold(model)


def finetune(experiment: Experiment) -> None:
  """Stage 'finetune': the integer networks before and after training.

  Raises:
    ValueError: the training that is there is one under another policy.
  """
  _require_same_policy(experiment)
  if experiment.has(run_dir.QUANTIZED_NETWORK):
    return
  start = experiment.evaluator.calibrated(experiment.policy)
  # Only now is it known that the policy is one for this network.
  run_dir.atomic_write(
      experiment.folder / run_dir.FINETUNE_STATE / run_dir.POLICY,
      experiment.policy.to_json(),
  )
  _save_integer(experiment, start, run_dir.QUANTIZED_NETWORK_BEFORE_FINETUNE)
  eight_bits = specs.QuantizationPolicy.uniform(experiment.spec, 8, 8)
  _save_integer(
      experiment,
      experiment.evaluator.calibrated(eight_bits),
      run_dir.QUANTIZED_NETWORK_INT8,
  )
  if not experiment.config.finetune.finetune_epochs:
    experiment.write_json(run_dir.FINETUNE, [])
    _save_integer(experiment, start, run_dir.QUANTIZED_NETWORK)
    return
  trained = training_phases.train(
      experiment,
      experiment.policy,
      experiment.folder / run_dir.FINETUNE_STATE,
      experiment.config.search.seed,
  )
  experiment.write_json(run_dir.FINETUNE, trained.records)
  _save_integer(experiment, trained.network, run_dir.QUANTIZED_NETWORK)


def export(experiment: Experiment) -> None:
  """Stage 'export': model.tflite, model.c and model.h for each target."""
  if experiment.has(run_dir.EXPORT):
    return
  network = exporting.load_network(experiment.folder)
  codes = datasets.to_codes(
      experiment.data.reward.take(
          min(_NUM_CHECKED_IMAGES, len(experiment.data.reward))
      ).images
  )
  exports = [
      *(
          exporting.export_tflite(network, experiment.folder, codes, target)
          for target in kernel_targets.Target
      ),
      *(
          [
              exporting.export_builtin(
                  network, experiment.folder, codes, experiment.targets
              )
          ]
          if experiment.config.budget.tflite_ops == 'builtin'
          else []
      ),
      *(
          exporting.export_c(network, experiment.folder, target)
          for target in kernel_targets.Target
      ),
  ]
  experiment.write_json(
      run_dir.EXPORT,
      {
          item.name: {
              'flash_bytes': item.flash_bytes,
              'arena_bytes': item.arena_bytes,
              'predicted': dataclasses.asdict(item.predicted),
          }
          for item in exports
      },
  )


def deploy(experiment: Experiment) -> None:
  """Stage 'deploy': runs the export on the emulated cores."""
  if experiment.has(run_dir.DEPLOY):
    return
  config = experiment.config
  images = experiment.data.test.take(config.deploy.num_deploy_images).images
  results = deploying.deploy_what_can_run(
      config,
      exporting.load_network(experiment.folder),
      datasets.to_codes(images),
      experiment.folder,
  )
  problems = [text for result in results for text in result.problems()]
  if problems:
    raise ValueError('\n'.join(problems))
  rows = deployment.rows(results, experiment.folder)
  experiment.write_json(run_dir.DEPLOY, {'runs': rows})


def evaluate(experiment: Experiment) -> None:
  """Stage 'evaluate': accuracies on the test split, which is touched here."""
  if experiment.has(run_dir.ACCURACY):
    return
  examples = experiment.data.test
  float_logits, labels = split_evaluation.logits_and_labels(
      experiment.float_network, examples
  )
  scores = {'float': evaluation.from_logits(float_logits, labels)}
  for key, name in (
      ('uniform_int8', run_dir.QUANTIZED_NETWORK_INT8),
      ('policy_before_finetune', run_dir.QUANTIZED_NETWORK_BEFORE_FINETUNE),
      ('integer', run_dir.QUANTIZED_NETWORK),
  ):
    logging.info('%s: integer network on %d images', key, len(examples))
    network = quantized_network.load(experiment.require(name, 'finetune'))
    scores[key] = split_evaluation.evaluate_integer(
        network, examples, float_logits
    )
  if experiment.config.budget.tflite_ops == 'builtin':
    path = experiment.require(run_dir.TFLITE_BUILTIN, 'export')
    model = tflite_file.parse(path.read_bytes())
    scores['integer_builtin'] = split_evaluation.evaluate_integer(
        network,
        examples,
        float_logits,
        lambda codes: tflite_builtin_reference.run(model, codes),
    )
  experiment.write_json(
      run_dir.ACCURACY,
      {name: dataclasses.asdict(score) for name, score in scores.items()},
  )


def _require_images(experiment: Experiment) -> None:
  """Raises ValueError if a split holds fewer images than a field asks for."""
  config, data = experiment.config, experiment.data
  for name, asked, split, examples in (
      (
          'num_reward_images',
          config.data.num_reward_images,
          'reward',
          data.reward,
      ),
      (
          'num_calibration_images',
          config.data.num_calibration_images,
          'train',
          data.train,
      ),
      (
          'num_finetune_images',
          config.finetune.num_finetune_images,
          'train',
          data.train,
      ),
      ('num_deploy_images', config.deploy.num_deploy_images, 'test', data.test),
      (
          'episode_finetune_steps * batch_size',
          config.search.episode_finetune_steps * config.finetune.batch_size,
          'train',
          data.train,
      ),
  ):
    if asked > len(examples):
      raise ValueError(
          f"data set '{data.name}' has {len(examples)} images in its {split} "
          f'split, --{name}={asked} asks for more'
      )


def _require_builtin_widths(config: config_lib.ExperimentConfig) -> None:
  """Raises ValueError if a search could find what a stock TFLM cannot run."""
  search = config.search
  if config.budget.tflite_ops != 'builtin':
    return
  if (
      search.search_tensors != 'weights'
      or not {*search.bit_widths()} <= {*tflite_builtin.WEIGHT_BITS}
      or search.weight_zero_points != 'shared'
      or config.budget.backend != 'tflm'
  ):
    raise ValueError(
        '--tflite_ops=builtin needs --backend=tflm --search_tensors=weights '
        '--search_bits=4,8 --weight_zero_points=shared: a stock TFLM runs '
        'activations of 8 bits and symmetric weights of 8 or 4 bits; received '
        f'--backend={config.budget.backend} '
        f'--search_tensors={search.search_tensors} '
        f'--search_bits={search.search_bits} '
        f'--weight_zero_points={search.weight_zero_points}'
    )


def _require_same_policy(experiment: Experiment) -> None:
  """Refuses to take what one policy has trained for the result of another."""
  path = experiment.folder / run_dir.FINETUNE_STATE / run_dir.POLICY
  if not path.exists():
    return
  before = specs.QuantizationPolicy.from_json(path.read_text()).as_dict()
  now = experiment.policy.as_dict()
  differences = [
      f"'{name}': {before.get(name)} bits there, {now.get(name)} here"
      for name in sorted({*before, *now})
      if before.get(name) != now.get(name)
  ]
  if differences:
    raise ValueError(
        f'{path.parent} was trained under another policy than '
        f'{experiment.folder / run_dir.POLICY} ({"; ".join(differences)}). Put '
        'your policy into a new --run_dir'
    )


def _weights_path(experiment: Experiment) -> pathlib.Path:
  """Returns the float weights to read; ValueError if there are none."""
  config = experiment.config
  if config.model.weights:
    return user_paths.resolve(config.model.weights)
  model = config.model
  if (model.model, model.width, config.data.dataset) != (
      models.DEFAULT_MODEL,
      1.0,
      datasets.DEFAULT_DATASET,
  ):
    raise ValueError(
        f"model '{model.model}' of width {model.width} on data set "
        f"'{config.data.dataset}' "
        'comes without weights; give --weights=FILE.npz, or --pretrain to '
        'train them'
    )
  return models.DEFAULT_WEIGHTS_PATH


def _save_integer(experiment: Experiment, calibrated, name: str) -> None:
  """Lowers a network and writes it."""
  network = lowering.lower(calibrated)
  _save_whole(
      experiment.folder / name,
      lambda path: quantized_network.save(network, path),
  )


def _save_whole(
    path: pathlib.Path, save: Callable[[pathlib.Path], None]
) -> None:
  """Lets `save` write a file that is there whole or not at all.

  That a file is there is what says that a stage is finished.
  """
  temporary = path.with_name(f'{path.name}.tmp')
  save(temporary)
  temporary.replace(path)
