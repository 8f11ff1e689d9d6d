"""Counts repeat, outputs are right, and no kernel has become slower."""

import dataclasses
import pathlib

import pytest

from tflm_ext.benchmarks import counts
from tflm_ext.benchmarks import layers
from tflm_ext.benchmarks import linked_code
from tflm_ext.benchmarks import networks
from tflm_ext.benchmarks import table
from tflm_ext.benchmarks import targets
from tfmpq import elf_sections
from tfmpq import firmware

_ROOT = pathlib.Path('.')
_COMMITTED = pathlib.Path('tflm_ext/benchmarks/instructions.csv')
# Compilers differ a little; a kernel that has become slower differs more.
_TOLERANCE = 0.01
_HOW_TO_UPDATE = (
    'if it is meant so: ./bazelw run //tflm_ext/benchmarks:report -- '
    '--csv=tflm_ext/benchmarks/instructions.csv'
)

_ROW = counts.Row(
    core='cortex_m4',
    layer='fully_connected_1024_1000',
    op='fully_connected',
    a=8,
    w=4,
    o=2,
    macs=1_024_000,
    instructions=1_126_400,
    instructions_weighted=None,
    equal=True,
    code_bytes=400,
)


def _check(rows):
  wrong = [row.key for row in rows if not row.equal]
  assert not wrong, 'outputs differ from the reference'
  slower = counts.slower(rows, counts.read_csv(_COMMITTED), _TOLERANCE)
  assert not slower, _HOW_TO_UPDATE


@pytest.mark.parametrize('core', firmware.CORES)
def test_layers_are_right_and_as_fast_as_committed(core):
  rows = counts.count_layers(core, _ROOT)
  assert len(rows) == len(layers.LAYERS) * 27
  assert len({row.key for row in rows}) == len(rows)
  _check(rows)


@pytest.mark.parametrize('core', counts.NETWORK_CORES)
def test_networks_are_right_and_as_fast_as_committed(core):
  rows = counts.count_networks(core, _ROOT)
  assert [row.layer for row in rows] == networks.names()
  _check(rows)


def test_every_run_counts_the_same():
  first = counts.count_layers('cortex_m4', _ROOT)
  assert counts.count_layers('cortex_m4', _ROOT) == first


def test_code_of_a_kernel_is_all_that_it_calls():
  elf = (_COMMITTED.parent / 'benchmark_cortex_m4.elf').read_bytes()
  code = linked_code.LinkedCode(elf)
  own = elf_sections.function_sizes(elf)
  # A leaf, a function that calls it, and an exported function on top of both.
  leaf, middle, top = (
      'tfmpq_expand_a4',
      'tfmpq_expand_run',
      'tfmpq_conv2d_a4_w4_o8__dsp',
  )
  assert code.num_bytes(leaf) == own[leaf]
  assert own[middle] < code.num_bytes(middle) < code.num_bytes(top)
  assert not code.has('tfmpq_conv2d_a8_w4_o8__mve')


def test_code_needs_the_relocations():
  elf = _COMMITTED.parent / f'{networks.names()[0]}_cortex_m4.elf'
  with pytest.raises(ValueError, match='--emit-relocs'):
    linked_code.LinkedCode(elf.read_bytes())


def test_macs_are_those_of_the_shapes():
  assert {layer.spec.name: layer.macs for layer in layers.LAYERS} == {
      'pointwise_28x28_128_128': 12_845_056,
      'pointwise_7x7_512_512': 12_845_056,
      'depthwise_3x3_28x28_128': 903_168,
      'conv_3x3_14x14_32_32': 1_806_336,
      'depthwise_3x3_7x7_64': 28_224,
      'first_conv_3x3_64x64_3_32': 884_736,
      'fully_connected_1024_1000': 1_024_000,
  }


def test_committed_networks_have_their_macs():
  macs = {
      row.layer: row.macs
      for row in counts.read_csv(_COMMITTED)
      if row.op == 'network'
  }
  assert macs[f'{networks.PERSON}_a8_w8'] == 7_157_888
  assert set(macs) == set(networks.names())


def test_a_row_survives_the_file(tmp_path):
  rows = [
      _ROW,
      dataclasses.replace(_ROW, a=None, w=None, o=None, equal=False),
      dataclasses.replace(_ROW, instructions_weighted=1_200_000),
  ]
  counts.write_csv(rows, tmp_path / 'rows.csv')
  assert counts.read_csv(tmp_path / 'rows.csv') == rows
  assert rows[0].as_dict()['instructions_per_mac'] == 1.1


def test_committed_table_is_that_of_the_committed_rows():
  text = table.text(counts.read_csv(_COMMITTED)) + '\n'
  assert _COMMITTED.with_suffix('.txt').read_text() == text, _HOW_TO_UPDATE


def test_every_layer_has_a_target():
  names = [layer.spec.name for layer in layers.LAYERS]
  for core in ('cortex_m4', 'cortex_m7', 'cortex_m33', 'cortex_m55'):
    assert list(targets.limits(core)) == names
  limits = targets.limits('cortex_m4')[names[0]]
  assert [limits.of(*bits) for bits in ((8, 8), (4, 4), (4, 2), (2, 2))] == [
      1.0,
      1.1,
      1.05,
      0.7,
  ]


def test_a_slower_kernel_is_found():
  committed = [dataclasses.replace(_ROW, instructions_weighted=2_000_000)]

  def found(**changes):
    row = dataclasses.replace(committed[0], **changes)
    return counts.slower([row], committed, 0.01)

  assert not found(instructions=1_137_000)
  assert not found(instructions=1, instructions_weighted=None)
  (problem,) = found(instructions=1_138_000)
  assert 'instructions 1126400 -> 1138000' in problem
  (problem,) = found(instructions_weighted=2_021_000)
  assert 'instructions_weighted' in problem
  (problem,) = found(layer='new')
  assert 'not in the committed table' in problem


def test_table_shows_the_worst_of_all_widths_of_the_output():
  rows = [
      dataclasses.replace(
          _ROW, a=a, w=w, o=o, instructions=1_024_000 + 10_240 * o
      )
      for a, w, o in layers.WIDTHS
  ]
  text = table.text(rows)
  assert text.count('1.080') == 9
  # Above the target where input and weight have 2 bits.
  assert text.count('1.080*') == 1
  assert '1.020' not in text
  weighted = [
      dataclasses.replace(row, instructions_weighted=2_048_000) for row in rows
  ]
  assert '1.080 (2.000)' in table.text(weighted)
  assert '1.080* (2.000)' in table.text(weighted)
