"""Fine-tuning under a policy, in one phase or two.

Where the policy holds 2 bits and `four_bit_epochs` is not 0, those tensors
train at 4 bits first. What that phase has learned is calibrated anew, like a
float network, at the widths of the policy, and trained on.
"""

from collections.abc import Sequence
import dataclasses

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
) -> tuple[calibrated_network.CalibratedNetwork, Sequence[dict]]:
  """Fine-tunes under the policy of the experiment.

  Returns:
    (what the last phase has learned, one record per epoch: the phase's name
    and the fields of `finetuning.EpochRecord`).
  """
  network, records = experiment.float_network, []
  for phase in phases(experiment.policy, experiment.config.finetune):
    evaluator = experiment.evaluator
    if network is not experiment.float_network:
      evaluator = experiment.make_evaluator(
          network, _folder(experiment, phase) / run_dir.CALIBRATION
      )
    start = evaluator.calibrated(phase.policy)
    student = qat.build_model(network, start)
    history = _train_phase(experiment, phase, student)
    records += [
        {'phase': phase.name} | dataclasses.asdict(record) for record in history
    ]
    network = qat.float_weights(student, network)
    result = qat.calibrated(student, start)
  return result, records


def _train_phase(
    experiment: experiment_lib.Experiment, phase: Phase, student: qat.QatModel
) -> Sequence[finetuning.EpochRecord]:
  config = experiment.config
  finetuner = finetuning.Finetuner(
      student,
      experiment.float_logits,
      experiment.data.train,
      experiment.data.reward,
      finetuning.FinetuneSettings(
          epochs=phase.epochs,
          patience=config.finetune.patience,
          batch_size=config.finetune.batch_size,
          learning_rate=config.finetune.learning_rate,
          distillation=config.finetune.distillation,
          seed=config.search.seed,
      ),
      _folder(experiment, phase),
  )
  log_dir = experiment.folder / run_dir.TENSORBOARD
  with progress.FinetuneProgressBar(phase.name, log_dir) as bar:
    return finetuner.run(bar.on_step)


def _folder(experiment: experiment_lib.Experiment, phase: Phase):
  return experiment.folder / run_dir.FINETUNE_STATE / phase.name
