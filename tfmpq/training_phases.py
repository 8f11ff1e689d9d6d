"""Fine-tuning under a policy, in one phase or two.

Where the policy holds 2 bits and `four_bit_epochs` is not 0, those tensors
train at 4 bits first. What that phase has learned is calibrated anew, like a
float network, at the widths of the policy, and trained on.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

from tfmpq import calibrated_network
from tfmpq import config as config_lib
from tfmpq import experiment as experiment_lib
from tfmpq import finetuning
from tfmpq import progress
from tfmpq import qat
from tfmpq import run_dir
from tfmpq import specs

_LOWEST_BITS_AT_FIRST = 4


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
  """Returns the phases; the last one has the policy itself."""
  wider = specs.QuantizationPolicy.of(
      {name: max(bits, _LOWEST_BITS_AT_FIRST) for name, bits in policy.entries}
  )
  last = Phase('policy', policy, config.finetune_epochs)
  if not config.four_bit_epochs or wider == policy:
    return (last,)
  return (Phase('four_bits', wider, config.four_bit_epochs), last)


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
  network, records = experiment.float_network, []
  for phase in phases(policy, experiment.config.finetune):
    folder = state_dir / phase.name
    evaluator = experiment.evaluator
    if network is not experiment.float_network:
      evaluator = experiment.make_evaluator(
          network, folder / run_dir.CALIBRATION
      )
    start = evaluator.calibrated(phase.policy)
    student = qat.build_model(network, start)
    history = _train_phase(experiment, phase, student, folder, seed)
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
) -> Sequence[finetuning.EpochRecord]:
  config = experiment.config
  train_images = experiment.data.train
  finetuner = finetuning.Finetuner(
      student,
      experiment.float_logits,
      train_images.take(
          config.finetune.num_finetune_images or len(train_images)
      ),
      experiment.data.reward,
      finetuning.FinetuneSettings(
          epochs=phase.epochs,
          patience=config.finetune.patience,
          batch_size=config.finetune.batch_size,
          learning_rate=config.finetune.learning_rate,
          distillation=config.finetune.distillation,
          seed=seed,
      ),
      folder,
  )
  log_dir = experiment.folder / run_dir.TENSORBOARD
  with progress.FinetuneProgressBar(phase.name, log_dir) as bar:
    return finetuner.run(bar.on_step)
