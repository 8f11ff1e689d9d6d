"""ExperimentConfig: everything that a run depends on, in one frozen value.

A file in configs/ returns one from `get_config()`; every field can also be
set by a command-line flag of the same name. The parts below group the fields
by the stage that reads them; field names are unique over all parts.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import typing

from tfmpq import budgets
from tfmpq import specs
from tfmpq.config_parts import field as _field
from tfmpq.config_parts import Part as _Part
from tfmpq.data_config import DataConfig
from tfmpq.finetune_config import FinetuneConfig
from tfmpq.latency_config import LatencyConfig


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Part):
  """The float network."""

  model: str = _field(
      'mobilenet_v1_small', 'Name of a builder in tfmpq/models.py.'
  )
  width: float = _field(1.0, 'Channel multiplier of the network.')
  weights: str = _field(
      '',
      "Float weights (.npz); empty: those that come with the model; 'random': "
      'fresh ones, for bytes and durations only, accuracies mean nothing.',
  )
  float_model: str = _field(
      '',
      'A float network from a file: .tflite (uint8, int8 or float32, builtin '
      'operators), .h5 or .keras; or weights for --model and --width: a state '
      'dict in the layout of PyTorch, .pth, .pt or .npz.',
  )
  input_range: str = _field(
      '',
      'LOW,HIGH: what the network of --float_model expects for pixels 0 and '
      "255, such as '0,1'. Empty: (pixel - 128) / 128, or what a quantized "
      '.tflite says, or what the networks of a state dict are trained on.',
  )
  input_mean: str = _field(
      '',
      'With input_std, instead of input_range: numbers per channel, and the '
      'network expects (pixel / 255 - mean) / std.',
  )
  input_std: str = _field('', 'See input_mean.')
  input_shift: str = _field(
      'layer',
      'If the first layer of --float_model pads with a zero that is not ours: '
      "'layer', a layer in front shifts it, exactly; 'bias', none, and pixels "
      'beyond the border are 128.',
      ('layer', 'bias'),
  )
  skip_outputs: int = _field(
      0,
      'Outputs of --float_model to leave out at the front, such as that of a '
      "class 'background'.",
      minimum=0,
  )
  pretrain: bool = _field(
      False, 'Train the float network anew instead of reading weights.'
  )
  pretrain_epochs: int = _field(
      40, 'Passes over the training split then.', minimum=1
  )


@dataclasses.dataclass(frozen=True)
class BudgetConfig(_Part):
  """What the device offers."""

  ram: str = _field('12kB', 'RAM, such as 12kB (1000) or 12KiB (1024 bytes).')
  flash: str = _field('32kB', 'FLASH for the model, with a unit.')
  memory_model: str = _field(
      'arena',
      "'arena': bytes that the deployment really uses; 'paper': largest input "
      'plus output of a layer, and weights plus parameters.',
      ('arena', 'paper'),
  )
  backend: str = _field(
      'c',
      "Deployment whose memory counts: 'c' (plain C, of the instruction sets "
      "of --cores the one that needs most) or 'tflm' (.tflite).",
      ('c', 'tflm'),
  )
  tflite_ops: str = _field(
      'custom',
      "Ops of backend 'tflm': 'custom', this project's, or 'builtin', those of "
      'a stock TFLM: activations of 8 bits, weights of 8 or 4 bits.',
      ('custom', 'builtin'),
  )

  def __post_init__(self):
    super().__post_init__()
    self.budget()

  def budget(self) -> budgets.MemoryBudget:
    """Returns the bytes; ValueError names the field with a wrong size."""
    num_bytes = {}
    for name in ('ram', 'flash'):
      try:
        num_bytes[name] = budgets.parse_bytes(getattr(self, name))
      except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    return budgets.MemoryBudget(num_bytes['ram'], num_bytes['flash'])


@dataclasses.dataclass(frozen=True)
class SearchConfig(_Part):
  """How the policy is found."""

  searcher: str = _field(
      'ddpg',
      'ddpg, ilp, greedy, evolution, rule_based, random, random_no_growth '
      '(leaves memory unused); least_noise (looks at no image); exhaustive for '
      'at most 6 tensors.',
      (
          'ddpg',
          'ilp',
          'greedy',
          'evolution',
          'rule_based',
          'least_noise',
          'random',
          'random_no_growth',
          'exhaustive',
      ),
  )
  episodes: int = _field(
      200, 'Policies that the searcher may evaluate.', minimum=1
  )
  search_tensors: str = _field(
      'both',
      'Which tensors are searched; the others stay at 8 bits.',
      ('weights', 'activations', 'both'),
  )
  reward: str = _field(
      'cross_entropy',
      "What the search maximizes: less 'cross_entropy' with the labels, "
      "'accuracy', or, without labels, 'agreement' with the float network or "
      "less 'kl' (divergence from its probabilities).",
      ('cross_entropy', 'accuracy', 'kl', 'agreement'),
  )
  episode_finetune_steps: int = _field(
      0,
      'Training steps for each policy before it is scored (seconds each); 0: '
      'none.',
      minimum=0,
  )
  search_bits: str = _field(
      '2,4,8',
      'Widths to choose from, comma-separated: at least two of 2, 4, 8. For '
      'comparison in --memory_model=paper with --until=search, of 1 to 8.',
  )
  # Zero points per channel are worth 0.5 to 3 points at equal widths, and
  # nothing at equal bytes: default run with 4 epochs, reward split, 93.44 %
  # and cross-entropy 0.1789 per channel, 93.48 % and 0.1777 shared.
  weight_zero_points: str = _field(
      'shared',
      "Of 4- and 2-bit weights: 'per_channel' (one byte each), or 'shared'.",
      ('per_channel', 'shared'),
  )
  seed: int = _field(1, 'Seed of search and fine-tuning.', minimum=0)
  threads: int = _field(
      2,
      'Processor threads of TensorFlow outside the search; another number, '
      'other last bits.',
      minimum=1,
  )
  ddpg_start: str = _field(
      'ilp',
      "How 'ddpg' begins: 'none', with random policies; 'ilp', with the best "
      'of an integer program.',
      ('none', 'ilp'),
  )
  round_size: int = _field(
      4,
      'Policies that are proposed, and evaluated side by side, before the '
      'first result is known; another number, another search.',
      minimum=1,
  )
  workers: int = _field(
      2, 'Processes that evaluate policies, one thread each.', minimum=1
  )
  executor: str = _field(
      'local',
      "Where they run: 'local', on this machine; 'ray', on a cluster "
      '(requirements-ray.txt).',
      ('local', 'ray'),
  )
  constraint: str = _field(
      'every_step',
      "When ddpg keeps to the budget: 'every_step', or as HAQ does, "
      "'end_of_episode', when all is decided.",
      ('every_step', 'end_of_episode'),
  )
  ray_address: str = _field(
      '', "Of the Ray cluster: 'auto', 'host:port' or 'ray://host:port'."
  )

  def __post_init__(self):
    super().__post_init__()
    self.bit_widths()
    if self.constraint != 'every_step' and self.searcher != 'ddpg':
      raise ValueError(
          f"constraint: expected 'every_step' with --searcher={self.searcher}, "
          f"received {self.constraint!r}, which only 'ddpg' knows"
      )

  def bit_widths(self) -> tuple[int, ...]:
    """Returns the widths of search_bits, ascending; ValueError if wrong."""
    words = self.search_bits.split(',')
    widths = sorted({b for b in specs.COMPARISON_WIDTHS if str(b) in words})
    if len(widths) < 2 or len(widths) != len(words):
      raise ValueError(
          f'search_bits: expected at least two of {specs.BIT_WIDTHS}, such as '
          "'4,8', or for comparison of 1 to 8, received "
          f'{self.search_bits!r}'
      )
    return tuple(widths)

  def tensor_kinds(self) -> tuple[specs.TensorKind, ...]:
    """Returns the kinds of the tensors that are searched."""
    kinds = specs.TensorKind
    return {
        'weights': (kinds.WEIGHT,),
        'activations': (kinds.ACTIVATION,),
        'both': (kinds.WEIGHT, kinds.ACTIVATION),
    }[self.search_tensors]


@dataclasses.dataclass(frozen=True)
class DeployConfig(_Part):
  """Where the network runs."""

  cores: str = _field(
      'cortex_m4,cortex_m55',
      'Comma-separated: cortex_m4, cortex_m7, cortex_m33 (DSP kernels), '
      'cortex_m55 (MVE kernels), host (portable kernels). The network has to '
      'fit all of them.',
  )
  num_deploy_images: int = _field(
      20, 'Test images that each core runs.', minimum=1
  )

  def __post_init__(self):
    super().__post_init__()
    if not self.core_names():
      raise ValueError(
          'cores: expected at least one, because the budget is that of the '
          f'cores, received {self.cores!r}; --until=export runs none'
      )

  def core_names(self) -> tuple[str, ...]:
    return tuple(c.strip() for c in self.cores.split(',') if c.strip())


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
  """One experiment.

  Attributes:
    name: names the default run directory, runs/<name>.
    data, model, budget, latency, search, finetune, deploy: see the classes.
  """

  name: str = 'fashion_mnist'
  data: DataConfig = DataConfig()
  model: ModelConfig = ModelConfig()
  budget: BudgetConfig = BudgetConfig()
  latency: LatencyConfig = LatencyConfig()
  search: SearchConfig = SearchConfig()
  finetune: FinetuneConfig = FinetuneConfig()
  deploy: DeployConfig = DeployConfig()


def parts() -> dict[str, type]:
  """Returns the parts of an ExperimentConfig: attribute name -> class."""
  hints: dict[str, type] = typing.get_type_hints(ExperimentConfig)
  return {n: t for n, t in hints.items() if dataclasses.is_dataclass(t)}


def all_fields() -> dict[str, tuple[str, dataclasses.Field]]:
  """Returns field name -> (part name, field) over all parts."""
  return {
      field.name: (part, field)
      for part, cls in parts().items()
      for field in dataclasses.fields(cls)
  }


def override(
    config: ExperimentConfig, values: Mapping[str, object]
) -> ExperimentConfig:
  """Returns a copy with fields replaced; checks names, types and choices.

  Args:
    config: where the other fields come from.
    values: field name -> value, without the name of the part.

  Raises:
    ValueError: no such field (the nearest is named), or a wrong value.
  """
  known = all_fields()
  by_part: dict[str, dict[str, object]] = {}
  for name, value in values.items():
    if name == 'name':
      config = dataclasses.replace(config, name=typing.cast(str, value))
      continue
    if name not in known:
      raise ValueError(
          f"there is no configuration field '{name}'"
          + specs.did_you_mean(name, known)
      )
    part, field = known[name]
    by_part.setdefault(part, {})[name] = _checked(field, value)
  changes = {
      part: dataclasses.replace(getattr(config, part), **fields)
      for part, fields in by_part.items()
  }
  return dataclasses.replace(config, **changes)


def _checked(field: dataclasses.Field, value: object) -> object:
  choices = field.metadata['choices']
  if choices and value not in choices:
    raise ValueError(
        f'{field.name}: expected one of {list(choices)}, received {value!r}'
        + specs.did_you_mean(str(value), choices)
    )
  expected = type(field.default)
  if expected is float and isinstance(value, int):
    value = float(value)
  if type(value) is not expected:
    raise ValueError(
        f'{field.name}: expected {expected.__name__}, received {value!r}'
    )
  return value


def to_json(config: ExperimentConfig) -> str:
  """Returns the configuration by part and field."""
  return json.dumps(dataclasses.asdict(config), indent=2) + '\n'


def from_json(text: str) -> ExperimentConfig:
  """Reads what `to_json` wrote; an unknown field is a ValueError."""
  raw = json.loads(text)
  flat = {'name': raw.pop('name')}
  for part, fields in raw.items():
    if part not in parts():
      raise ValueError(
          f"there is no configuration part '{part}'"
          + specs.did_you_mean(part, parts())
      )
    flat |= fields
  return override(ExperimentConfig(), flat)
