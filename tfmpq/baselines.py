"""Measures what needs no search: float, uniform widths, rule, least noise.

  ./bazelw run //tfmpq:baselines -- --run_dir=/tmp/my_run

scores, on the reward images and on the test images, the float network, every
width of --search_bits for all searched tensors at once, the memory-driven rule
of arXiv:1905.13082 and the policy of least noise, and prints a table that goes
to baselines.md and baselines.json in --run_dir, too. Nothing is trained but,
where --pretrain asks for it, the float network; policies are quantized as the
search does it. Bytes are those of --memory_model, and a uniform width need not
fit the budget: the table says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

from absl import app
from absl import flags

from tfmpq import command_line
from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import experiment_flags
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import split_evaluation
from tfmpq import stages
from tfmpq.searchers import least_noise
from tfmpq.searchers import rule_based
from tfmpq.searchers.searcher import SearchProblem

_FLOAT_BYTES = 4
_BATCH_SIZE = 50

experiment_flags.define()
for _name in ('config', 'run_dir', 'ram', 'flash'):
  flags.declare_key_flag(_name)


@dataclasses.dataclass(frozen=True)
class Row:
  """One baseline.

  Attributes:
    name: of the baseline.
    ram_bytes: None for the float network, which is not deployed.
    flash_bytes: for the float network, its weights and biases.
    fits: whether it is inside the budget; None for the float network.
    scores: split -> what its images say, post training.
  """

  name: str
  ram_bytes: int | None
  flash_bytes: int
  fits: bool | None
  scores: Mapping[str, evaluation.Evaluation]


def main(argv: list[str]) -> None:
  """Writes and prints the table."""
  command_line.run(argv, 'baselines', measure)


def measure(experiment: experiment_lib.Experiment) -> None:
  """Scores all baselines of an experiment."""
  stages.require_startable(experiment)
  experiment.begin()
  stages.make_float_network(experiment)
  problem = searching.search_problem(experiment, evaluate=None)
  found = policies(problem)
  by_split: dict[str, dict[str, evaluation.Evaluation]] = {}
  for split, examples in _splits(experiment).items():
    evaluator = experiment.make_evaluator(
        experiment.float_network,
        experiment.folder / run_dir.CALIBRATION,
        examples,
    )
    by_split[split] = {'float': _float_score(experiment, examples)}
    by_split[split] |= {n: evaluator(policy) for n, policy in found.items()}
  rows = [_float_row(experiment, by_split)]
  for name, policy in found.items():
    needed = problem.footprint(policy)
    scores = {split: names[name] for split, names in by_split.items()}
    rows.append(
        Row(
            name,
            needed.ram_bytes,
            needed.flash_bytes,
            problem.fits(policy),
            scores,
        )
    )
  experiment.write_json('baselines.json', [dataclasses.asdict(r) for r in rows])
  text = table(rows)
  run_dir.atomic_write(experiment.folder / 'baselines.md', text)
  print(text)


def policies(problem: SearchProblem) -> dict[str, specs.QuantizationPolicy]:
  """Returns name -> policy; uniform ones, widest first, need not fit."""
  uniform = {
      f'{bits} bits': problem.policy({}, bits)
      for bits in reversed(problem.bit_widths)
  }
  return uniform | {
      'rule': rule_based.certified_policy(problem),
      'least noise': least_noise.least_noise_policy(problem),
  }


def table(rows: Sequence[Row]) -> str:
  """Returns a Markdown table; accuracies in percent."""
  splits = list(rows[0].scores)
  head = ['baseline', 'RAM', 'FLASH', 'fits']
  for split in splits:
    count = rows[0].scores[split].num_images
    head += [f'{split} split, {count} images', 'cross-entropy']
  lines = [head, ['---'] * len(head)]
  for row in rows:
    cells = [
        row.name,
        '-' if row.ram_bytes is None else f'{row.ram_bytes:,}',
        f'{row.flash_bytes:,}',
        {None: '-', True: 'yes', False: 'no'}[row.fits],
    ]
    for split in splits:
      score = row.scores[split]
      cells += [f'{score.accuracy:.2%}', f'{score.cross_entropy:.4f}']
    lines.append(cells)
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _splits(
    experiment: experiment_lib.Experiment,
) -> dict[str, datasets.Examples]:
  data = experiment.data
  return {
      'reward': data.reward.take(experiment.config.data.num_reward_images),
      'test': data.test.take(len(data.test)),
  }


def _float_score(
    experiment: experiment_lib.Experiment, examples: datasets.Examples
) -> evaluation.Evaluation:
  logits, labels = split_evaluation.logits_and_labels(
      experiment.float_network, examples, _BATCH_SIZE
  )
  return evaluation.from_logits(logits, labels, logits)


def _float_row(
    experiment: experiment_lib.Experiment,
    by_split: Mapping[str, Mapping[str, evaluation.Evaluation]],
) -> Row:
  network = experiment.float_network
  parameters = (*network.weights.values(), *network.biases.values())
  return Row(
      'float',
      None,
      _FLOAT_BYTES * sum(array.size for array in parameters),
      None,
      {split: names['float'] for split, names in by_split.items()},
  )


if __name__ == '__main__':
  app.run(main)
