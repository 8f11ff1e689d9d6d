"""report.json: every figure of a run, with its unit and where it came from."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

from tfmpq import backends
from tfmpq import config as config_lib
from tfmpq import evaluation
from tfmpq import kernel_targets
from tfmpq import memory_model as memory_model_lib
from tfmpq import specs
from tfmpq.searchers import searcher as searcher_lib

# Figure -> (unit, how it was obtained). A key that ends in a dot stands for
# everything below it.
_SOURCES = {
    'accuracy.float': (
        'fraction',
        'float network, TensorFlow, test split',
    ),
    'accuracy.uniform_int8': (
        'fraction',
        'integer network, all tensors at 8 bits, post-training quantization, '
        'NumPy reference ops, test split',
    ),
    'accuracy.policy_before_finetune': (
        'fraction',
        'integer network under the policy, post-training quantization, NumPy '
        'reference ops, test split',
    ),
    'accuracy.integer': (
        'fraction',
        'integer network under the policy after fine-tuning, NumPy reference '
        'ops, test split',
    ),
    'accuracy_95_percent.': (
        'fraction',
        'Wilson score interval of the accuracy of the same name',
    ),
    'budget.ram_bytes': ('bytes', 'given by the user'),
    'budget.flash_bytes': ('bytes', 'given by the user'),
    'footprint.ram_bytes_predicted': ('bytes', 'memory model'),
    'footprint.flash_bytes_predicted': ('bytes', 'memory model'),
    'footprint.flash_bytes_written': (
        'bytes',
        'size of what the exporter of the backend wrote',
    ),
    'footprint.tflite_bytes': ('bytes', 'size of model.tflite'),
    'footprint.uniform_int8_ram_bytes': ('bytes', 'memory model, 8 bits'),
    'footprint.uniform_int8_flash_bytes': ('bytes', 'memory model, 8 bits'),
    'search.episodes': ('policies', 'counted; repeated policies included'),
    'search.episodes_per_minute': ('1/min', 'wall clock of this machine'),
    'search.statistics.': ('', 'counted by the searcher'),
    'finetune.': ('', 'fake-quantized model on the reward split'),
    'policy.': ('bits', 'found by the searcher'),
    'runs.ram_bytes_measured': (
        'bytes',
        'backend c: high-water mark of the painted arena on the core; tflm: '
        'smallest arena with which the interpreter starts there',
    ),
    'runs.arena_head_bytes': ('bytes', 'as TFLM reports it on the core'),
    'runs.arena_tail_bytes': ('bytes', 'as TFLM reports it on the core'),
    'runs.code_bytes': (
        'bytes',
        '.text and .rodata of kernels and call sequence in the ELF',
    ),
    'runs.const_bytes': ('bytes', 'constants of the model in the ELF'),
    'runs.instructions': (
        'instructions',
        'executed per inference, counted by the emulator; not cycles',
    ),
    'exports.': (
        'bytes',
        'FLASH: size of what was written; RAM: memory model of the backend',
    ),
    'ram_over_time.': ('bytes', 'memory model'),
    'flash_by_tensor.': ('bytes', 'sizes of the constants that are written'),
}


@dataclasses.dataclass(frozen=True)
class ReportInputs:
  """What the stages of a run have left.

  Attributes:
    config: the experiment.
    command: command line that makes the run.
    network: its tensors and layers.
    memory_model: the model that constrained the search.
    policy: the policy found.
    search: outcome of the search.
    episodes_per_minute: evaluations per minute of search time.
    finetune: one entry per epoch: phase, and `finetuning.EpochRecord`.
    accuracy: name -> Evaluation on the test split; 'float', 'uniform_int8',
      'policy_before_finetune', 'integer'; with builtin ops 'integer_builtin',
      whose rounding is TFLM's.
    flash_by_tensor: (layer, kind, bytes) of everything that is written as C,
      for the target of the cores with the most.
    flash_bytes_written: size of what the backend's exporter wrote; of several
      targets the largest.
    tflite_bytes: size of model.tflite.
    exports: name -> entry of export.json, of everything that was written.
    runs: rows of deploy.json.
  """

  config: config_lib.ExperimentConfig
  command: str
  network: specs.NetworkSpec
  memory_model: memory_model_lib.MemoryModel
  policy: specs.QuantizationPolicy
  search: searcher_lib.SearchResult
  episodes_per_minute: float
  finetune: Sequence[Mapping[str, Any]]
  accuracy: Mapping[str, evaluation.Evaluation]
  flash_by_tensor: Sequence[tuple[str, str, int]]
  flash_bytes_written: int
  tflite_bytes: int
  exports: Mapping[str, Mapping[str, Any]]
  runs: Sequence[Mapping[str, Any]]


def build(inputs: ReportInputs) -> dict[str, Any]:
  """Returns the content of report.json: plain values only."""
  budget = inputs.config.budget
  limits = budget.budget()
  report = {
      'name': inputs.config.name,
      'command': inputs.command,
      'budget': {
          'ram_bytes': limits.ram_bytes,
          'flash_bytes': limits.flash_bytes,
          'memory_model': budget.memory_model,
          'backend': budget.backend,
          'targets': [
              target.value
              for target in kernel_targets.of_cores(
                  inputs.config.deploy.core_names()
              )
          ],
      },
      'accuracy': {n: e.accuracy for n, e in inputs.accuracy.items()},
      'accuracy_95_percent': {
          name: wilson_interval(e.accuracy, e.num_images)
          for name, e in inputs.accuracy.items()
      },
      'num_test_images': inputs.accuracy['integer'].num_images,
      'footprint': _footprint(inputs),
      'exports': {n: dict(entry) for n, entry in inputs.exports.items()},
      'search': _search(inputs),
      'finetune': [dict(record) for record in inputs.finetune],
      'policy': inputs.policy.as_dict(),
      'runs': [dict(run) for run in inputs.runs],
      'ram_over_time': [
          dataclasses.asdict(moment)
          for moment in inputs.memory_model.moments(inputs.policy)
      ],
      'flash_by_tensor': [
          {'layer': layer, 'kind': kind, 'bytes': size}
          for layer, kind, size in inputs.flash_by_tensor
      ],
      'tensors': _tensors(inputs),
  }
  report['figures'] = _figures(report, inputs.command)
  return report


def wilson_interval(share: float, count: int) -> list[float]:
  """Returns the 95 % interval of a share of `count` independent trials."""
  z = 1.959964
  centre = share + z * z / (2 * count)
  spread = z * math.sqrt(
      share * (1 - share) / count + z * z / (4 * count * count)
  )
  scale = 1 + z * z / count
  return [(centre - spread) / scale, (centre + spread) / scale]


def summary(report: Mapping[str, Any]) -> str:
  """Returns the short table with which a run ends."""
  accuracy, footprint = report['accuracy'], report['footprint']
  budget = report['budget']
  lines = [
      f'{"":26}{"accuracy":>10}{"RAM bytes":>12}{"FLASH bytes":>13}',
      f'{"budget":26}{"":>10}{budget["ram_bytes"]:>12,}'
      f'{budget["flash_bytes"]:>13,}',
      f'{"float":26}{accuracy["float"]:>10.2%}',
      f'{"8 bits everywhere":26}{accuracy["uniform_int8"]:>10.2%}'
      f'{footprint["uniform_int8_ram_bytes"]:>12,}'
      f'{footprint["uniform_int8_flash_bytes"]:>13,}',
      f'{"policy, before tuning":26}'
      f'{accuracy["policy_before_finetune"]:>10.2%}',
      f'{"policy, integer network":26}{accuracy["integer"]:>10.2%}'
      f'{footprint["ram_bytes_predicted"]:>12,}'
      f'{footprint["flash_bytes_written"]:>13,}',
  ]
  if 'integer_builtin' in accuracy:
    lines.append(
        f'{"policy, in builtin ops":26}{accuracy["integer_builtin"]:>10.2%}'
    )
  for name, entry in _compared_exports(report):
    lines.append(
        f'{name:26}{"":>10}{entry["predicted"]["ram_bytes"]:>12,}'
        f'{entry["flash_bytes"]:>13,}'
    )
  for run in report['runs']:
    equal = 'equal' if run['logits_equal'] else 'DIFFERENT'
    lines.append(
        f'{backends.title(run["backend"], run.get("tflite_ops"))} on '
        f'{run["core"]}: RAM {run["ram_bytes_measured"]:,} bytes measured, '
        f'code {figure(run["code_bytes"])} bytes, '
        f'{figure(run["instructions"])} instructions, logits {equal}'
    )
  return '\n'.join(lines)


def _compared_exports(report) -> list[tuple[str, Mapping[str, Any]]]:
  """Returns what TFLM runs on the cores, if both kinds of ops were written."""
  exports = report['exports']
  if 'tflm_builtin' not in exports:
    return []
  names = [
      'tflm' if target == 'portable' else f'tflm_{target}'
      for target in report['budget']['targets']
  ]
  return [(name, exports[name]) for name in (*names, 'tflm_builtin')]


def figure(value: int | None) -> str:
  """Returns a figure for people; '-' if it cannot be measured there."""
  return '-' if value is None else f'{value:,}'


def _footprint(inputs: ReportInputs) -> dict[str, int]:
  model = inputs.memory_model
  found = model.footprint(inputs.policy)
  uniform = model.footprint(
      specs.QuantizationPolicy.uniform(inputs.network, 8, 8)
  )
  return {
      'ram_bytes_predicted': found.ram_bytes,
      'flash_bytes_predicted': found.flash_bytes,
      'flash_bytes_written': inputs.flash_bytes_written,
      'tflite_bytes': inputs.tflite_bytes,
      'uniform_int8_ram_bytes': uniform.ram_bytes,
      'uniform_int8_flash_bytes': uniform.flash_bytes,
  }


def _search(inputs: ReportInputs) -> dict[str, Any]:
  search = inputs.search
  return {
      'searcher': search.searcher,
      'episodes': len(search.records),
      'episodes_per_minute': inputs.episodes_per_minute,
      'seed': search.seed,
      'best_episode': search.best.index,
      'statistics': dict(search.statistics),
      'curve': [
          {
              'episode': r.index,
              'phase': r.phase,
              'accuracy': r.evaluation.accuracy,
              'cross_entropy': r.evaluation.cross_entropy,
              'fits': r.fits,
          }
          for r in search.records
      ],
  }


def _tensors(inputs: ReportInputs) -> list[dict[str, Any]]:
  """Returns every tensor with its shape and width, in execution order."""
  return [
      {
          'name': tensor.name,
          'kind': tensor.kind.value,
          'shape': list(tensor.shape),
          'bits': inputs.policy.bits(inputs.network, tensor.name),
          'shares_bits_of': tensor.bits_of,
      }
      for tensor in inputs.network.tensors
  ]


def _figures(report: Mapping[str, Any], command: str) -> list[dict[str, str]]:
  """Returns unit, origin and command of every group of figures."""
  return [
      {'path': path, 'unit': unit, 'how': how, 'command': command}
      for path, (unit, how) in _SOURCES.items()
      if path.split('.', maxsplit=1)[0] in report
  ]
