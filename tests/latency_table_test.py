"""Tests of the table of instructions and of the sum over a network."""

import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tfmpq import kernel_targets
from tfmpq import latency_model
from tfmpq import latency_table
from tfmpq import specs

_CONV = kernel_targets.Geometry(
    specs.Op.CONV_2D, (8, 6, 3), (4, 3, 5), (3, 3), (2, 2), (0, 1, 1, 1)
)


def _call(a=8, w=4, o=2, per_channel=False):
  return latency_table.LayerCall(_CONV, a, w, o, per_channel)


def _table_for(network, per_channel=False, **changes):
  """A table with a count of its own for everything that a network needs."""
  calls = latency_model.calls(
      network, latency_model.allowed_widths(network), per_channel
  )
  counts = {call: 1000 + 7 * i for i, call in enumerate(calls)} | changes
  return latency_table.InstructionTable('cortex_m4', 'ab' * 32, counts)


def test_a_table_survives_its_file(tmp_path):
  table = latency_table.InstructionTable('cortex_m7', 'f0').with_counts(
      {_call(): 123, _call(per_channel=True): 125, _call(2, 2, 2): 99}
  )
  path = latency_table.path(tmp_path, 'cortex_m7')
  path.write_text(table.to_text())
  assert latency_table.load(tmp_path, 'cortex_m7') == table
  assert '8x6x3,4x3x5,3x3,2x2,0x1x1x1,8,4,2,shared,0,123\n' in table.to_text()


def test_no_file_is_an_empty_table(tmp_path):
  table = latency_table.load(tmp_path, 'cortex_m4')
  assert table == latency_table.InstructionTable('cortex_m4')
  assert table.missing([_call(), _call(), _call(w=8)]) == [_call(), _call(w=8)]


def test_another_file_is_refused(tmp_path):
  latency_table.path(tmp_path, 'cortex_m4').write_text('a,b\n1,2\n')
  with pytest.raises(ValueError, match='cortex_m4.csv: expected a table'):
    latency_table.load(tmp_path, 'cortex_m4')


def test_calls_of_a_network_are_each_there_once():
  network = mobilenet_specs.mobilenet_v1(0.25, 96)
  calls = latency_model.calls(
      network, latency_model.allowed_widths(network), False
  )
  assert len(calls) == len(set(calls))
  # 28 layers with weights of which five are equal to the one before, twice;
  # stem and logits have a fixed end.
  assert len(calls) == 2 * (27 * 18 + 9 + 9) + 9
  eight_bits = latency_model.calls(
      network, latency_model.allowed_widths(network, (4, 8), ()), False
  )
  assert {(c.a, c.w, c.o) for c in eight_bits} == {(8, 8, 8)}


def test_instructions_are_the_sum_over_the_layers():
  network = mixed_network.network_spec()
  table = _table_for(network, per_channel=True)
  model = latency_model.LatencyModel(network, table, True)
  policy = specs.QuantizationPolicy.uniform(network, 4, 2)
  # The counts of a shifted layer come after those without, and are larger.
  shifted = [
      layer.name
      for layer in network.layers
      if layer.weight
      and latency_model.may_have_pre_shift(
          *(
              policy.bits(network, name)
              for name in (layer.inputs[0], layer.weight, layer.output)
          )
      )
  ]
  assert shifted
  assert model.instructions(policy) == model.instructions_with(policy, shifted)
  assert model.instructions(policy) > model.instructions_with(policy, ())
  costs = model.layer_costs(latency_model.allowed_widths(network))
  bits = policy.as_dict()
  chosen = [c.counts[tuple(bits[n] for n in c.tensors)] for c in costs]
  # 10: what a network takes besides its layers.
  assert model.instructions(policy) == sum(chosen) + 10
  assert [c.layer for c in costs] == [x.name for x in network.layers]


def test_a_shift_is_possible_where_products_are_coarse():
  may = latency_model.may_have_pre_shift
  assert not may(8, 8, 8) and not may(8, 8, 2) and not may(4, 8, 4)
  assert may(2, 2, 8) and may(8, 4, 8) and may(4, 4, 4) and may(2, 8, 8)


def test_zero_points_count_for_narrow_weights_only():
  network = mixed_network.network_spec()
  shared = set(
      latency_model.calls(network, latency_model.allowed_widths(network), False)
  )
  per_channel = set(
      latency_model.calls(network, latency_model.allowed_widths(network), True)
  )
  assert not any(call.per_channel_zero_points for call in shared)
  assert {c for c in per_channel if not c.per_channel_zero_points} == {
      c
      for c in shared
      if c.w == 8
      or c.geometry.op
      in (specs.Op.ADD, specs.Op.AVERAGE_POOL_2D, specs.Op.MAX_POOL_2D)
  }


def test_what_was_not_counted_names_layer_widths_and_command():
  network = mobilenet_specs.mobilenet_v1(0.25, 96)
  table = latency_table.InstructionTable('cortex_m55')
  model = latency_model.LatencyModel(network, table, False, 'the command')
  policy = specs.QuantizationPolicy.uniform(network, 4, 8)
  with pytest.raises(
      ValueError,
      match=r"'conv_stem' \(conv2d, input \(96, 96, 3\) of 8 bits, .* of 4 bits"
      '.*on cortex_m55 were not counted yet; this does it: the command',
  ):
    model.instructions(policy)
