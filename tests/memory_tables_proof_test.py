"""The memory tables against integer programs that know nothing of our models.

Everything is counted here anew from tensors and layers, by the formulas of
arXiv:1905.13082 (MixPL), and solved by HiGHS; a solution is checked in exact
integers. For the arena, whose plan is no linear function, the program gives
what no plan can undercut.
"""

import collections
import itertools
import pathlib

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from tfmpq import network_specs
from tfmpq import network_tables
from tfmpq import paper_memory
from tfmpq import paper_study
from tfmpq import specs

_WIDTHS = (2, 4, 8)
_RAM, _FLASH = 512_000, 2_048_000
_COMMITTED = pathlib.Path('docs/memory_tables.md')
# What the arena needs beside activations at its peak: scratch memory of a
# kernel, and offsets of 16 bytes.
_MOST_SCRATCH = 144
# Weights in the layouts of the kernels, and structures: share of the whole.
_MOST_PADDING = 0.015
_WITH_MOST_RAM = (
    'mobilenet_v1 0.75@224',
    'mobilenet_v1 1.0@224',
    'mobilenet_v1 1.0@192',
    'mobilenet_v2 1.0@192',
    'efficientnet_lite0 1.0@192',
    'mnasnet_b1 1.0@224',
)


def _touched(layers):
  """Returns the activations that each layer reads or writes."""
  return [
      list(dict.fromkeys((*layer.inputs, layer.output))) for layer in layers
  ]


def _cells(section, network):
  """Returns column -> cell of a row of the committed tables."""
  (part,) = [
      p
      for p in _COMMITTED.read_text(encoding='utf-8').split('## ')
      if p.splitlines()[0] == section
  ]
  rows = [
      [cell.strip() for cell in line.strip('|').split('|')]
      for line in part.splitlines()
      if line.startswith('|')
  ]
  (row,) = [r for r in rows if r[0] == network]
  return dict(zip(rows[0], row, strict=True))


def _integers(cell):
  """Returns the integers of '1,234 / 5,678'."""
  return tuple(int(part.replace(',', '')) for part in cell.split(' / '))


class _Program:
  """Widths of a network's tensors as binary variables, one per width."""

  def __init__(self, network):
    self.network = network
    self.elements = {t.name: int(np.prod(t.shape)) for t in network.tensors}
    self.fixed = {t.name: t.fixed_bits for t in network.tensors}
    self.owner = {
        t.name: t.name if t.bits_of is None else t.bits_of
        for t in network.tensors
    }
    self.tensors = [t.name for t in network.tensors if t.bits_of is None]
    self.columns = {
        (name, width): index
        for index, (name, width) in enumerate(
            itertools.product(self.tensors, _WIDTHS)
        )
    }
    self.weighted = [layer for layer in network.layers if layer.weight]
    # One more column per layer: weight and output both have 8 bits.
    self.both_8 = {
        layer.name: len(self.columns) + index
        for index, layer in enumerate(self.weighted[:-1])
    }
    self.peak = len(self.columns) + len(self.both_8)
    self.num_columns = self.peak + 1

  def ram_rows(self, groups):
    """Returns column -> bits of RAM, for each group of activations."""
    rows = []
    for group in groups:
      row = collections.Counter()
      for name, width in itertools.product(group, _WIDTHS):
        column = self.columns[self.owner[name], width]
        row[column] += width * self.elements[name]
      rows.append(dict(row))
    return rows

  def flash_row(self):
    """Returns column -> bits of FLASH, and the bits that are always there."""
    row, constant = {}, 0
    for layer in self.weighted:
      for width in _WIDTHS:
        column = self.columns[layer.weight, width]
        row[column] = width * self.elements[layer.weight]
      channels = self.network.tensor(layer.output).shape[-1]
      folded, normalized = 4 * channels + 20, 9 * channels + 12
      if layer.name in self.both_8:
        constant += 8 * normalized
        row[self.both_8[layer.name]] = 8 * (folded - normalized)
      else:
        constant += 8 * folded
    return row, constant

  def solve(self, objective, limits, decided=()):
    """Returns tensor -> bits of the least objective, or None.

    Args:
      objective: column -> coefficient.
      limits: (column -> coefficient, upper limit).
      decided: (tensor, width) that the solution must have.
    """
    rows = [
        ({self.columns[n, w]: 1 for w in _WIDTHS}, 1, 1) for n in self.tensors
    ]
    rows += [(row, -np.inf, limit) for row, limit in limits]
    for layer in self.weighted[:-1]:
      for name in (layer.weight, self.owner[layer.output]):
        row = {self.both_8[layer.name]: 1, self.columns[name, 8]: -1}
        rows.append((row, -np.inf, 0))
    for name, width in (*decided, *self.fixed.items()):
      if width and self.owner[name] == name:
        rows.append(({self.columns[name, width]: 1}, 1, 1))
    scale = [max(map(abs, row.values())) for row, _, _ in rows]
    matrix = scipy.sparse.lil_array((len(rows), self.num_columns))
    for index, (row, _, _) in enumerate(rows):
      for column, value in row.items():
        matrix[index, column] = value / scale[index]
    costs = np.zeros(self.num_columns)
    costs[list(objective)] = list(objective.values())
    upper = np.ones(self.num_columns)
    upper[self.peak] = np.inf
    result = scipy.optimize.milp(
        costs / (np.abs(costs).max() or 1),
        integrality=np.arange(self.num_columns) < self.peak,
        bounds=scipy.optimize.Bounds(0, upper),
        constraints=scipy.optimize.LinearConstraint(
            matrix.tocsr(),
            [low / s for (_, low, _), s in zip(rows, scale, strict=True)],
            [high / s for (_, _, high), s in zip(rows, scale, strict=True)],
        ),
        options={'mip_rel_gap': 0},
    )
    if result.status == 2:
      return None
    assert result.status == 0, result.message
    return {n: w for (n, w), c in self.columns.items() if result.x[c] > 0.5}

  def ram_bytes(self, bits, groups):
    """Returns the exact bytes of the largest group of activations."""
    return max(
        -(-sum(self.elements[n] * bits[self.owner[n]] for n in group) // 8)
        for group in groups
    )

  def flash_bytes(self, bits):
    """Returns the exact FLASH."""
    total = 0
    for layer in self.weighted:
      channels = self.network.tensor(layer.output).shape[-1]
      total += 8 * (9 * channels + 12)
      both_8 = bits[layer.weight] == bits[self.owner[layer.output]] == 8
      if both_8 or layer is self.weighted[-1]:
        total -= 8 * (5 * channels - 8)
      total += self.elements[layer.weight] * bits[layer.weight]
    return -(-total // 8)

  def least_ram(self, groups):
    """Returns the least RAM of these groups that any widths have."""
    limits = [({**row, self.peak: -1e6}, 0) for row in self.ram_rows(groups)]
    return self.ram_bytes(self.solve({self.peak: 1}, limits), groups)

  def least_flash(self, limits):
    """Returns the least FLASH that any widths have inside other limits."""
    return self.flash_bytes(self.solve(self.flash_row()[0], limits))


@pytest.mark.parametrize('network', paper_study.NETWORKS, ids=lambda n: n.name)
def test_minimum_of_the_paper_model_is_that_of_an_integer_program(network):
  program = _Program(network.spec())
  ram, flash = _integers(
      _cells('Uniform widths', network.name)['paper minimum']
  )
  # The authors count layers with weights; adds and pools change nothing.
  assert program.least_ram(_touched(program.weighted)) == ram
  groups = _touched(program.network.layers)
  assert program.least_ram(groups) == ram
  rows = program.ram_rows(groups)
  assert program.least_flash([(row, 8 * ram) for row in rows]) == flash
  assert program.least_flash([]) == flash


def _random_network(seed):
  """Returns one of inverted residuals, with blocks of any shape."""
  rng = np.random.default_rng(seed)
  stages = tuple(
      network_tables.Stage(
          expansion=int(rng.integers(1, 7)),
          channels=int(rng.integers(1, 20)) * 8,
          repeats=int(rng.integers(1, 4)),
          stride=int(rng.integers(1, 3)),
          kernel_size=int(rng.choice([3, 5])),
      )
      for _ in range(rng.integers(1, 5))
  )
  table = network_tables.InvertedResiduals(
      'random',
      stages,
      'relu6',
      stem_channels=int(rng.integers(1, 9)) * 8,
      head_channels=int(rng.integers(8, 400)),
  )
  size = int(rng.integers(20, 80))
  return network_specs.inverted_residuals(
      table, float(rng.uniform(0.3, 1.5)), size, int(rng.integers(2, 200))
  )


@pytest.mark.parametrize('seed', range(20))
def test_minimum_of_random_networks_is_that_of_an_integer_program(seed):
  spec = _random_network(seed)
  model = paper_memory.paper_model(spec, paper_memory.ParameterScheme.MIXPL)
  policy, footprint = model.minimum()
  assert model.footprint(policy) == footprint
  program, groups = _Program(spec), _touched(spec.layers)
  assert program.least_ram(groups) == footprint.ram_bytes
  limits = [(row, 8 * footprint.ram_bytes) for row in program.ram_rows(groups)]
  assert program.least_flash(limits) == footprint.flash_bytes


def _alive(network):
  """Returns names of activations alive in each layer."""
  first, last = {network.input: 0}, {network.input: 0}
  for time, layer in enumerate(network.layers):
    first.setdefault(layer.output, time)
    for name in (*layer.inputs, layer.output):
      last[name] = time
  return [
      [name for name in first if first[name] <= time <= last[name]]
      for time in range(len(network.layers))
  ]


@pytest.mark.parametrize('network', paper_study.NETWORKS, ids=lambda n: n.name)
def test_minimum_of_the_arena_is_hardly_above_what_no_plan_undercuts(network):
  program = _Program(network.spec())
  spec = program.network
  ram, flash = _integers(
      _cells('Uniform widths', network.name)['arena minimum']
  )
  groups = []
  for layer, alive in zip(spec.layers, _alive(spec), strict=True):
    # In place, an output takes no room of its own: not to count it at all
    # remains a lower bound.
    in_place = layer.op in (specs.Op.ADD, specs.Op.DEPTHWISE_CONV_2D)
    groups.append([n for n in alive if not (in_place and n == layer.output)])
  bound = program.least_ram(groups)
  assert bound <= ram <= bound + _MOST_SCRATCH
  # Codes, and 8 bytes of bias and multiplier per output channel.
  needed = sum(
      -(-2 * program.elements[layer.weight] // 8)
      + 8 * spec.tensor(layer.output).shape[-1]
      for layer in program.weighted
  )
  assert needed <= flash <= needed * (1 + _MOST_PADDING)


@pytest.mark.parametrize('name', _WITH_MOST_RAM)
def test_no_policy_reaches_more_ram_inside_the_budget(name):
  """Enumerates what any layer can need, from the top, until one is reachable.

  RAM is what some layer needs, and a layer's need depends on two or three
  widths: no policy needs an amount that is not in the list. Whether the rest
  of the network can be inside both limits then is for the integer program.
  """
  (network,) = [n for n in paper_study.NETWORKS if n.name == name]
  program = _Program(network.spec())
  groups = _touched(program.network.layers)
  candidates = set()
  for group in groups:
    owners = sorted({program.owner[n] for n in group})
    for widths in itertools.product(_WIDTHS, repeat=len(owners)):
      bits = dict(zip(owners, widths, strict=True))
      if any(program.fixed[n] not in (None, bits[n]) for n in owners):
        continue
      need = program.ram_bytes(bits, [group])
      if need <= _RAM:
        candidates.add((need, tuple(bits.items())))
  row, constant = program.flash_row()
  limits = [(r, 8 * _RAM) for r in program.ram_rows(groups)]
  limits.append((row, 8 * _FLASH - constant))
  for need, decided in sorted(candidates, reverse=True):
    bits = program.solve({}, limits, decided)
    if bits is not None:
      assert program.flash_bytes(bits) <= _FLASH
      assert program.ram_bytes(bits, groups) == need
      break
  title = f'FLASH {_FLASH:,}, RAM {_RAM:,}'
  assert _integers(_cells(title, name)['paper most RAM']) == (need,)
