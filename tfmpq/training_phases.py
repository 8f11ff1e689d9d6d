"""Fine-tuning under a policy, in one phase or several with falling widths.

Before the policy's own widths, `progressive_bits` may ask for phases in which
no tensor has fewer than 8, then 4 bits. What a phase has learned is calibrated
anew, like a float network, at the widths of the next one, and trained on.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

import tensorflow as tf

from tfmpq import calibrated_network
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import finetuning
from tfmpq import learning_rates
from tfmpq import progress
from tfmpq import qat
from tfmpq import replicas
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import training_steps


@dataclasses.dataclass(frozen=True)
class Phase:
  """Epochs under one policy.

  Attributes:
    name: of its folder, and in the records.
    policy: bits of every tensor.
    epochs: passes over the training split, at most.
  """

  name: str
  policy: specs.QuantizationPolicy
  epochs: int


@dataclasses.dataclass(frozen=True)
class Result:
  """What a training has left.

  Attributes:
    student: the fake-quantized model, with the weights of its best epoch.
    network: the same, to be lowered.
    records: one per epoch: the phase's name and the fields of
      `finetuning.EpochRecord`.
  """

  student: qat.QatModel
  network: calibrated_network.CalibratedNetwork
  records: tuple[dict, ...]


def phases(
    policy: specs.QuantizationPolicy, config: config_lib.FinetuneConfig
) -> tuple[Phase, ...]:
  """Returns the phases; the last one has the policy itself.

  A phase in which nothing is wider than in the next one is left out.
  """
  found = [Phase('policy', policy, config.finetune_epochs)]
  for least, epochs in reversed(config.bit_phases()):
    wider = specs.QuantizationPolicy.of(
        {name: max(bits, least) for name, bits in policy.entries}
    )
    if wider != found[0].policy:
      found.insert(0, Phase(f'least_{least}_bits', wider, epochs))
  return tuple(found)


def train(
    experiment: experiment_lib.Experiment,
    policy: specs.QuantizationPolicy,
    state_dir: pathlib.Path,
    seed: int,
) -> Result:
  """Fine-tunes the float network of the experiment under a policy.

  Args:
    experiment: network, data and settings.
    policy: bits of every tensor.
    state_dir: folder of this training's states; a killed one goes on there.
    seed: order of the images.

  Raises:
    ValueError: the policy is not one of the network with 2, 4 or 8 bits.
  """
  policy.check(experiment.spec)
  config = experiment.config.finetune
  strategy = replicas.strategy(config.distribution)
  replicas.require_even_split(config.batch_size, strategy)
  network, records = experiment.float_network, []
  for phase in phases(policy, config):
    folder = state_dir / phase.name
    evaluator = experiment.evaluator
    if network is not experiment.float_network:
      evaluator = experiment.make_evaluator(
          network, folder / run_dir.CALIBRATION
      )
    start = evaluator.calibrated(phase.policy)
    with strategy.scope():
      student = qat.build_model(network, start, config.compute_dtype)
    history = _train_phase(experiment, phase, student, folder, seed, strategy)
    records += [
        {'phase': phase.name} | dataclasses.asdict(record) for record in history
    ]
    network = qat.float_weights(student, network)
  return Result(student, qat.calibrated(student, start), tuple(records))


def _train_phase(
    experiment: experiment_lib.Experiment,
    phase: Phase,
    student: qat.QatModel,
    folder: pathlib.Path,
    seed: int,
    strategy: tf.distribute.Strategy,
) -> Sequence[finetuning.EpochRecord]:
  config = experiment.config.finetune
  train_images = experiment.data.train
  finetuner = finetuning.Finetuner(
      student,
      experiment.float_logits,
      train_images.subset(
          config.num_finetune_images or len(train_images)
      ).training_batches(config.batch_size, seed),
      experiment.data.reward,
      settings(config, phase.epochs, seed),
      folder,
      strategy,
  )
  log_dir = experiment.folder / run_dir.TENSORBOARD
  with progress.FinetuneProgressBar(phase.name, log_dir) as bar:
    return finetuner.run(bar.on_step)


def settings(
    config: config_lib.FinetuneConfig, epochs: int, seed: int
) -> finetuning.FinetuneSettings:
  """Returns how a phase of so many epochs is trained."""
  return finetuning.FinetuneSettings(
      epochs=epochs,
      patience=config.patience,
      ema_decay=config.ema_decay,
      step=training_steps.StepSettings(
          learning_rate=config.learning_rate,
          distillation=config.distillation,
          schedule=learning_rates.Schedule(
              name=config.lr_schedule,
              warmup_steps=config.lr_warmup_steps,
              steps=config.rate_steps(),
              final=config.lr_final,
          ),
          weight_decay=config.weight_decay,
          clip_decay=config.clip_decay,
          compute_dtype=config.compute_dtype,
      ),
      data=(
          f'batches of {config.batch_size}, seed {seed}, distribution '
          f'{config.distribution}'
      ),
  )
