"""Writes docs/memory_tables.md: bytes of the paper's networks, untrained.

  ./bazelw run //tfmpq:memory_tables -- --output=docs/memory_tables.md

Nothing is trained and no image is read; memory does not depend on weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import itertools

from absl import app
from absl import flags

from tfmpq import backends
from tfmpq import kernel_targets
from tfmpq import memory_model
from tfmpq import paper_study
from tfmpq import program_errors
from tfmpq import published_accuracy
from tfmpq import specs
from tfmpq import user_paths
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryFootprint
from tfmpq.searchers import budget_growth
from tfmpq.searchers import least_noise
from tfmpq.searchers import rule_based
from tfmpq.searchers.searcher import SearchProblem

_OUTPUT = flags.DEFINE_string(
    'output', 'docs/memory_tables.md', 'File to write.'
)

_INTRODUCTION = """# Memory of the paper's networks

Made by `./bazelw run //tfmpq:memory_tables`; `tests/memory_tables_test.py`
fails if this file is not what that command writes. All figures are bytes, RAM
before FLASH, of networks with 1000 classes; none needs training. kB = 1000.

- *paper*: RAM is the largest input plus output of a layer; FLASH is weights and
  the parameters of integer channel normalization per layer (arXiv:1905.13082,
  MixPL). *arena*: what the C export for Cortex-M4 and M7 really needs: its
  planned arena with scratch memory, and its constants.
- *minimum*: the smallest RAM and FLASH of any policy of 2, 4 and 8 bits.
- *rule*: the policy of the memory-driven rule of arXiv:1905.13082, continued
  until it fits the model of the column. *most RAM*: the largest RAM inside the
  budget that any policy reaches in the *paper* model, by enumeration.
- *widest*: from the smallest policy that fits, tensors are widened step by
  step, small ones first, as long as they fit; the share is how much of the
  budget it uses. Neither it nor the rule looks at an image.
- *least noise*: what a search in the *paper* model finds whose reward needs no
  data: the least sum of 4^-bits over all tensors, as noise falls with bits;
  proven optima of an integer program (`--searcher=least_noise`). *same in
  arena*: what that policy needs in the *arena* model, whether it fits or not.
- *Best network of 8 bits*: by enumeration of the published widths and
  resolutions, with the Top-1 of its float network as published
  (`tfmpq/published_accuracy.py`); 8 bits cost about a point of that. Networks
  without a figure that we know, such as 0.25@192, are left out.
- A policy is certified by the model of its column. `-`: no policy fits.
"""
_TARGETS = (kernel_targets.Target.DSP,)
_MODELS = ('paper', 'arena')


@dataclasses.dataclass(frozen=True)
class _Memories:
  """A network and its memory models, by name."""

  network: paper_study.StudyNetwork
  spec: specs.NetworkSpec
  models: dict[str, memory_model.MemoryModel]


def main(argv: list[str]) -> None:
  """Writes the tables."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, received {argv[1:]}')
  with program_errors.in_one_line('memory_tables'):
    path = user_paths.resolve(_OUTPUT.value)
    path.write_text(document(), encoding='utf-8')
    print(path)


def document() -> str:
  """Returns the content of the file."""
  memories = [_memories(network) for network in paper_study.NETWORKS]
  parts = [_INTRODUCTION, *_section('Uniform widths', _uniform(memories))]
  for budget in (*paper_study.DEVICE_BUDGETS, *paper_study.WEIGHT_BUDGETS):
    limit = budget.budget()
    title = f'FLASH {limit.flash_bytes:,}, ' + (
        'any RAM; weights alone are searched'
        if limit.ram_bytes is None
        else f'RAM {limit.ram_bytes:,}'
    )
    parts += _section(title, _policies(memories, budget))
  parts += _section('Best network of 8 bits', _best_of_8_bits())
  return '\n'.join(parts) + '\n'


def _best_of_8_bits() -> Iterator[Sequence[str]]:
  """Yields, per budget and family, the best one that fits without a search."""
  yield ('budget, FLASH / RAM', 'family', *_MODELS)
  known = {
      family: [
          (top_1, _memories(network))
          for network, top_1 in published_accuracy.top_1(family).items()
      ]
      for family in published_accuracy.families()
  }
  for budget in (*paper_study.DEVICE_BUDGETS, *paper_study.WEIGHT_BUDGETS):
    for family, networks in known.items():
      yield (
          budget.name,
          family,
          *(_best(networks, name, budget) for name in _MODELS),
      )


def _best(
    networks: Sequence[tuple[float, _Memories]],
    model: str,
    budget: paper_study.StudyBudget,
) -> str:
  """Returns the network with the highest Top-1 that fits at 8 bits, or '-'."""
  fitting = []
  for top_1, item in networks:
    policy = specs.QuantizationPolicy.uniform(item.spec, 8, 8)
    if item.models[model].fits(policy, budget.budget()):
      fitting.append((top_1, item))
  if not fitting:
    return '-'
  top_1, item = max(fitting, key=lambda pair: pair[0])
  policy = specs.QuantizationPolicy.uniform(item.spec, 8, 8)
  needed = _bytes(item.models[model].footprint(policy))
  network = item.network
  return f'{network.width}@{network.size}, {top_1} % ({needed})'


def _memories(network: paper_study.StudyNetwork) -> _Memories:
  spec = network.spec()
  models = {
      name: backends.build_memory_model(spec, name, 'c', False, _TARGETS)
      for name in _MODELS
  }
  return _Memories(network, spec, models)


def _section(title: str, rows: Iterator[Sequence[str]]) -> list[str]:
  head, *body = list(rows)
  lines = ['| ' + ' | '.join(row) + ' |' for row in body]
  return [
      f'## {title}\n',
      '| ' + ' | '.join(head) + ' |',
      '|' + '---|' * len(head),
      *lines,
      '',
  ]


def _uniform(memories: Sequence[_Memories]) -> Iterator[Sequence[str]]:
  columns = ['minimum', *(f'{b} bits' for b in reversed(specs.BIT_WIDTHS))]
  yield (
      'network',
      'weights',
      'MACs',
      *(f'{model} {c}' for model in _MODELS for c in columns),
  )
  for item in memories:
    cells = []
    for model in item.models.values():
      cells.append(_bytes(model.minimum()[1]))
      for bits in reversed(specs.BIT_WIDTHS):
        policy = specs.QuantizationPolicy.uniform(item.spec, bits, bits)
        cells.append(_bytes(model.footprint(policy)))
    num_weights = sum(w.num_elements for w in item.spec.weights)
    yield (
        item.network.name,
        f'{num_weights:,}',
        f'{item.spec.num_macs:,}',
        *cells,
    )


def _policies(
    memories: Sequence[_Memories], budget: paper_study.StudyBudget
) -> Iterator[Sequence[str]]:
  has_ram = budget.ram is not None
  yield (
      'network',
      *(['paper most RAM'] if has_ram else []),
      *(f'{m} {policy}' for m in _MODELS for policy in ('rule', 'widest')),
      'paper least noise',
      'same in arena',
  )
  for item in memories:
    cells = []
    if has_ram:
      most = most_ram_bytes(_problem(item.spec, item.models['paper'], budget))
      cells.append('-' if most is None else f'{most:,}')
    for model in item.models.values():
      problem = _problem(item.spec, model, budget)
      cells.append(_certified(problem, rule_based.certified_policy))
      cells.append(_certified(problem, widest_policy, with_share=True))
    cells += _least_noise(item, budget)
    yield item.network.name, *cells


def _least_noise(
    item: _Memories, budget: paper_study.StudyBudget
) -> tuple[str, str]:
  """Returns what the policy of least noise needs in either model."""
  problem = _problem(item.spec, item.models['paper'], budget)
  found: list[specs.QuantizationPolicy] = []

  def search(problem: SearchProblem) -> specs.QuantizationPolicy:
    found.append(least_noise.least_noise_policy(problem))
    return found[0]

  cell = _certified(problem, search, with_share=True)
  if not found:
    return cell, '-'
  return cell, _bytes(item.models['arena'].footprint(found[0]))


def _problem(
    spec: specs.NetworkSpec,
    model: memory_model.MemoryModel,
    budget: paper_study.StudyBudget,
) -> SearchProblem:
  return SearchProblem(
      spec,
      model,
      budget.budget(),
      evaluate=_never,
      search_tensors='weights' if budget.ram is None else 'both',
  )


def _never(policy: specs.QuantizationPolicy):
  raise AssertionError(f'a table of bytes evaluates nothing: {policy}')


def widest_policy(problem: SearchProblem) -> specs.QuantizationPolicy:
  """Returns a policy that fits and that no single tensor can be widened in.

  From the smallest policy, each tensor in turn is widened a step, small ones
  first, so that as many tensors as possible get as many bits as possible.

  Raises:
    BudgetError: nothing fits.
  """
  smallest = problem.require_feasible()
  order = sorted(problem.searched_tensors, key=lambda t: t.num_elements)
  return budget_growth.grow(problem, smallest, [t.name for t in order])


def most_ram_bytes(problem: SearchProblem) -> int | None:
  """Returns the largest RAM inside the budget that a policy reaches.

  Of the 'paper' model, whose RAM is that of one layer: for every layer and all
  widths of its tensors, the others are as small as they can be.

  Returns:
    bytes, or None if nothing fits.
  """
  model, budget = problem.memory_model, problem.budget
  smallest = problem.complete({})
  if smallest is None:
    return None
  candidates = set()
  for position, moment in enumerate(model.moments(smallest)):
    names = [problem.network.bits_owner(name) for name, _ in moment.alive]
    searched = {t.name for t in problem.searched_tensors} & set(names)
    for widths in itertools.product(problem.bit_widths, repeat=len(searched)):
      decided = tuple(zip(sorted(searched), widths, strict=True))
      policy = smallest.with_bits(dict(decided))
      ram_bytes = model.moments(policy)[position].ram_bytes
      if budget.ram_bytes is None or ram_bytes <= budget.ram_bytes:
        candidates.add((ram_bytes, decided))
  for _, decided in sorted(candidates, reverse=True):
    policy = problem.complete(dict(decided))
    if policy is not None:
      return problem.footprint(policy).ram_bytes
  return None


def _certified(
    problem: SearchProblem,
    search: Callable[[SearchProblem], specs.QuantizationPolicy],
    with_share: bool = False,
) -> str:
  """Returns the bytes of the policy that a search gives, or '-'."""
  try:
    policy = search(problem)
  except BudgetError:
    return '-'
  if not problem.fits(policy):
    raise AssertionError(f'{problem.network.name}: {policy} does not fit')
  needed, budget = problem.footprint(policy), problem.budget
  if not with_share:
    return _bytes(needed)
  assert budget.flash_bytes is not None
  shares = [needed.flash_bytes / budget.flash_bytes]
  if budget.ram_bytes is not None:
    shares.insert(0, needed.ram_bytes / budget.ram_bytes)
  return f'{_bytes(needed)} ({" / ".join(f"{s:.1%}" for s in shares)})'


def _bytes(footprint: MemoryFootprint) -> str:
  return f'{footprint.ram_bytes:,} / {footprint.flash_bytes:,}'


if __name__ == '__main__':
  app.run(main)
