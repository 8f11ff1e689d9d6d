"""What the stages of a run share: data, networks and models, made on demand."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

from absl import logging
import tensorflow as tf
import tf_keras as keras

from tfmpq import backends
from tfmpq import budgets
from tfmpq import calibration_tables
from tfmpq import config as config_lib
from tfmpq import data_loading
from tfmpq import datasets
from tfmpq import episode_finetuning
from tfmpq import evaluation_recipe
from tfmpq import evaluators
from tfmpq import float_models
from tfmpq import float_network as float_network_lib
from tfmpq import float_ops
from tfmpq import keras_graph
from tfmpq import kernel_targets
from tfmpq import latency_model
from tfmpq import latency_table
from tfmpq import memory_model
from tfmpq import models
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import timed_memory
from tfmpq import user_paths


class Experiment:
  """A configuration and a run directory.

  Attributes:
    config: the experiment.
    folder: its run directory.
  """

  def __init__(self, config: config_lib.ExperimentConfig, folder: pathlib.Path):
    self.config = config
    self.folder = folder

  def begin(self) -> None:
    """Writes the configuration, which later commands on the folder must keep.

    Call it once nothing is left that can be found wrong before the first stage.
    """
    if not self.has(run_dir.CONFIG):
      run_dir.atomic_write(
          self.folder / run_dir.CONFIG, config_lib.to_json(self.config)
      )

  @functools.cached_property
  def data(self) -> datasets.Dataset:
    """The data set; FileNotFoundError says how to get it."""
    logging.info('reading %s', self.config.data.dataset)
    config, model = self.config.data, self.config.model
    folders = {
        name: user_paths.resolve(folder) if folder else None
        for name, folder in (
            ('data', config.data_dir),
            ('manual', config.manual_dir),
            ('cache', config.data_cache),
        )
    }
    return data_loading.load(
        data_loading.Request(
            name=user_paths.resolve_dataset(config.dataset),
            places=datasets.find_places(
                folders['data'], config.download, folders['manual']
            ),
            image_size=self._image_size,
            preprocessing=config.preprocessing,
            # Whose authors made the network of a file is not known.
            model='' if model.float_model else model.model,
            num_reward=config.num_reward_images,
            reward_from_train=config.reward_split == 'train',
            num_test=config.num_test_images,
            cache_dir=folders['cache'],
        )
    )

  @property
  def _image_size(self) -> tuple[int, int] | None:
    """(height, width) of --image_size, or that the network's file dictates."""
    asked = self.config.data.height_and_width()
    if asked is not None or not self.config.model.float_model:
      return asked
    height, width, _ = self.spec.tensor(self.spec.input).shape
    return height, width

  @functools.cached_property
  def spec(self) -> specs.NetworkSpec:
    """Tensors and layers; needs no weights and no training."""
    path = self.folder / run_dir.NETWORK_SPEC
    if path.exists():
      return specs.NetworkSpec.from_json(path.read_text())
    if self.config.model.float_model:
      return self.read_float_model().spec
    return keras_graph.fold(self.build_model()).spec

  def require_fitting_data(self) -> None:
    """Raises ValueError unless images and labels are ones of the network."""
    expected = self.spec.tensor(self.spec.input).shape
    num_outputs = self.spec.tensor(self.spec.output).num_elements
    if self.data.image_shape != expected:
      raise ValueError(
          f"data set '{self.data.name}' has images {self.data.image_shape}, the"
          f' network reads {expected}'
      )
    if self.data.num_classes > num_outputs:
      raise ValueError(
          f"data set '{self.data.name}' has labels up to "
          f'{self.data.num_classes - 1}, the network has {num_outputs} outputs'
      )

  def read_float_model(self) -> float_network_lib.FloatNetwork:
    """Returns the network of --float_model."""
    model = self.config.model
    return float_models.read(
        user_paths.resolve(model.float_model),
        float_models.Reading(
            model=model.model,
            width=model.width,
            image_size=self.config.data.height_and_width(),
            input_range=model.input_range,
            input_mean=model.input_mean,
            input_std=model.input_std,
            input_shift=model.input_shift,
            skip_outputs=model.skip_outputs,
        ),
    )

  def build_model(self) -> keras.Model:
    """Returns the Keras model with fresh random weights."""
    return models.build_model(
        self.config.model.model,
        self.data.image_shape,
        self.data.num_classes,
        self.config.model.width,
    )

  @functools.cached_property
  def memory_model(self) -> memory_model.MemoryModel:
    """The model that says whether a policy fits.

    Raises:
      ValueError: instructions matter and were not counted yet.
    """
    budget = self.config.budget
    model = backends.build_memory_model(
        self.spec,
        budget.memory_model,
        budget.backend,
        self.per_channel_zero_points,
        self.targets,
        budget.tflite_ops,
        self.policy_widths,
    )
    if not self.config.latency.needs_table:
      return model
    search = self.config.search
    return timed_memory.TimedMemoryModel(
        model,
        self.latency_model,
        latency_model.allowed_widths(
            self.spec, search.bit_widths(), search.tensor_kinds()
        ),
    )

  @property
  def budget(self) -> budgets.MemoryBudget:
    """What a policy has to fit into, instructions included."""
    return dataclasses.replace(
        self.config.budget.budget(),
        instructions=self.config.latency.max_instructions or None,
    )

  @functools.cached_property
  def latency_model(self) -> latency_model.LatencyModel:
    """Instructions of a policy on --latency_core, from its table."""
    core = self.config.latency.latency_core
    return latency_model.LatencyModel(
        self.spec,
        latency_table.load(self.latency_dir, core),
        self.per_channel_zero_points,
        f'./bazelw run //tfmpq:latency -- --run_dir={self.folder} with the '
        f'other flags of this command, --core={core}, and the folder '
        f'--latency_dir={self.config.latency.latency_dir}',
    )

  @property
  def targets(self) -> tuple[kernel_targets.Target, ...]:
    """Instruction sets of the cores: a policy has to fit all of them."""
    return kernel_targets.of_cores(self.config.deploy.core_names())

  @property
  def latency_dir(self) -> pathlib.Path:
    """Folder of the tables of instructions."""
    return user_paths.resolve(self.config.latency.latency_dir)

  @property
  def policy_widths(self) -> tuple[int, ...]:
    """Widths that a policy of this experiment may have, ascending."""
    return tuple(sorted({*specs.BIT_WIDTHS, *self.config.search.bit_widths()}))

  @property
  def per_channel_zero_points(self) -> bool:
    """See QuantizedNetwork."""
    return self.config.search.weight_zero_points == 'per_channel'

  @functools.cached_property
  def float_network(self) -> float_network_lib.FloatNetwork:
    """The float network that the stage 'float' has left."""
    return float_network_lib.load(self.require(run_dir.FLOAT_NETWORK, 'float'))

  @functools.cached_property
  def evaluator(self) -> evaluators.PostTrainingEvaluator:
    """Scores policies on the reward images."""
    return self.make_evaluator(
        self.float_network, self.folder / run_dir.CALIBRATION
    )

  def evaluation_recipe(self) -> evaluation_recipe.EvaluationRecipe:
    """Returns what makes `evaluator` in other processes."""
    data, network = self.config.data, self.float_network
    reward = self.data.reward.take(data.num_reward_images)
    calibration = self.data.train.take(data.num_calibration_images)
    logging.info('rounding the weights at every width')
    return evaluation_recipe.EvaluationRecipe(
        network,
        calibration.images,
        reward.images,
        reward.labels,
        self.per_channel_zero_points,
        calibration_tables.load_or_build(
            network,
            calibration.images,
            self.per_channel_zero_points,
            self.folder / run_dir.CALIBRATION,
            self.policy_widths,
        ),
        self.episode_finetuning(self.config.search.episode_finetune_steps),
    )

  def episode_finetuning(
      self, steps: int
  ) -> episode_finetuning.EpisodeFinetuning | None:
    """Returns how a policy is trained before it is scored; 0 steps: None."""
    config = self.config
    if not steps:
      return None
    return episode_finetuning.EpisodeFinetuning(
        self.data.train.take(steps * config.finetune.batch_size),
        config.finetune.batch_size,
        config.finetune.learning_rate,
        config.finetune.distillation,
        config.search.seed,
    )

  def make_evaluator(
      self,
      network: float_network_lib.FloatNetwork,
      cache_dir: pathlib.Path,
      examples: datasets.Examples | None = None,
  ) -> evaluators.PostTrainingEvaluator:
    """Returns an evaluator of other weights, or on other images."""
    data = self.config.data
    if examples is None:
      examples = self.data.reward.take(data.num_reward_images)
    calibration = self.data.train.take(data.num_calibration_images)
    logging.info('rounding the weights at every width')
    return evaluators.PostTrainingEvaluator(
        network,
        calibration.images,
        examples.images,
        examples.labels,
        per_channel_zero_points=self.per_channel_zero_points,
        cache_dir=cache_dir,
        bit_widths=self.policy_widths,
    )

  @functools.cached_property
  def policy(self) -> specs.QuantizationPolicy:
    """The policy that the stage 'search' has left."""
    path = self.require(run_dir.POLICY, 'search')
    return specs.QuantizationPolicy.from_json(path.read_text())

  def float_logits(self, inputs: tf.Tensor) -> tf.Tensor:
    """Returns logits [N, classes] of the float network, to be traced."""
    outputs = {
        layer.output: after
        for layer, _, after in float_ops.forward(self.float_network, inputs)
    }
    logits = outputs[self.spec.output]
    return tf.reshape(logits, (-1, logits.shape[-1]))

  def has(self, name: str) -> bool:
    """Whether the run directory holds that file: the stage is finished."""
    return (self.folder / name).exists()

  def require(self, name: str, stage: str) -> pathlib.Path:
    """Returns a file's path; FileNotFoundError names the stage it needs."""
    path = self.folder / name
    if not path.exists():
      raise FileNotFoundError(
          f"{path} does not exist: it is what the stage '{stage}' writes; run "
          f'//tfmpq:search -- --until={stage} with this --run_dir first'
      )
    return path

  def write_json(self, name: str, content: Any) -> None:
    """Writes a file of the run directory in one step."""
    run_dir.atomic_write(
        self.folder / name, json.dumps(content, indent=2) + '\n'
    )

  def read_json(self, name: str, stage: str) -> Any:
    """Returns the content of a file that a stage has written."""
    return json.loads(self.require(name, stage).read_text())
