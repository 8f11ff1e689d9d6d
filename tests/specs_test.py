"""Nouns refuse what cannot be, and say what is wrong."""

import dataclasses

import pytest

from tfmpq import specs

_A, _W = specs.TensorKind.ACTIVATION, specs.TensorKind.WEIGHT


def _network(**changes) -> specs.NetworkSpec:
  """A convolution, a max pool that shares its bits, a dense layer."""
  fields = {
      'name': 'n',
      'tensors': (
          specs.TensorSpec('in', _A, (4, 4, 2), fixed_bits=8),
          specs.TensorSpec('conv', _A, (4, 4, 3)),
          specs.TensorSpec('pool', _A, (1, 1, 3), bits_of='conv'),
          specs.TensorSpec('logits', _A, (1, 1, 5), True, 8),
          specs.TensorSpec('conv/w', _W, (3, 3, 3, 2)),
          specs.TensorSpec('fc/w', _W, (5, 3)),
      ),
      'layers': (
          specs.LayerSpec(
              'conv',
              specs.Op.CONV_2D,
              ('in',),
              'conv',
              'conv/w',
              (3, 3),
              padding=(1, 1, 1, 1),
          ),
          specs.LayerSpec(
              'pool', specs.Op.MAX_POOL_2D, ('conv',), 'pool', None, (4, 4)
          ),
          specs.LayerSpec(
              'fc', specs.Op.FULLY_CONNECTED, ('pool',), 'logits', 'fc/w'
          ),
      ),
      'input': 'in',
      'output': 'logits',
  }
  return specs.NetworkSpec(**(fields | changes))


def test_json_round_trip():
  network = _network()
  assert specs.NetworkSpec.from_json(network.to_json()) == network


def test_macs_count_padding_taps():
  # 4 * 4 outputs of 3 channels over 3 * 3 * 2 taps, and 5 * 3.
  assert _network().num_macs == 4 * 4 * 3 * 18 + 15


def test_a_shared_tensor_has_no_entry_of_its_own():
  network = _network()
  policy = specs.QuantizationPolicy.uniform(network, 4, 2)
  assert 'pool' not in policy.as_dict()
  assert policy.bits(network, 'pool') == policy.bits(network, 'conv') == 2
  assert policy.as_dict()['logits'] == policy.as_dict()['in'] == 8


def test_policies_do_not_depend_on_the_order_of_entries():
  one = specs.QuantizationPolicy.of({'a': 2, 'b': 4})
  other = specs.QuantizationPolicy.of({'b': 4, 'a': 2})
  assert one == other and hash(one) == hash(other)
  assert specs.QuantizationPolicy.from_json(one.to_json()) == one


def test_with_bits_changes_entries_that_exist():
  policy = specs.QuantizationPolicy.of({'conv': 2, 'b': 4})
  assert policy.with_bits({'conv': 8}).as_dict() == {'conv': 8, 'b': 4}
  with pytest.raises(ValueError, match="'cnv'; did you mean 'conv'"):
    policy.with_bits({'cnv': 8})


def _tensors(**changes):
  """Returns the tensors with the shape of some replaced."""
  return tuple(
      dataclasses.replace(t, shape=changes.get(t.name, t.shape))
      for t in _network().tensors
  )


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'tensors': _tensors(conv=(4, 5, 3))}, "'conv' must have shape"),
        ({'tensors': _network().tensors[:-1]}, "unknown tensor 'fc/w'"),
        ({'layers': _network().layers[1:]}, "reads 'conv', which no earlier"),
        ({'layers': _network().layers[:2]}, 'produces the network output'),
        ({'layers': _network().layers[:1] * 2}, 'names must be unique'),
        ({'output': 'elsewhere'}, 'no layer produces the network output'),
    ],
)
def test_inconsistent_networks_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    _network(**changes)


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'inputs': ('a', 'b')}, r'expected 1 input'),
        ({'weight': None}, 'a weight tensor belongs to'),
        ({'stride': (0, 1)}, 'must be at least 1'),
        ({'padding': (3, 0, 0, 0)}, 'must be smaller than'),
    ],
)
def test_impossible_layers_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(_network().layers[0], **changes)


@pytest.mark.parametrize('bits', [0, -2, 9, 16])
def test_other_widths_are_refused(bits):
  with pytest.raises(ValueError, match='expected bits in'):
    specs.QuantizationPolicy.of({'a': bits})


@pytest.mark.parametrize('bits', [1, 3, 5, 6, 7])
def test_widths_for_comparison_are_refused_unless_asked_for(bits):
  network = _network()
  policy = specs.QuantizationPolicy.uniform(network, bits, 8)
  policy.check(network, specs.COMPARISON_WIDTHS)
  with pytest.raises(
      ValueError, match=rf"tensor '.*expected bits in \(2, 4, 8\).* {bits};"
  ):
    policy.check(network)


def test_policy_of_another_network_is_refused():
  network = _network()
  policy = specs.QuantizationPolicy.of({'in': 8, 'conv': 4, 'x': 2})
  with pytest.raises(ValueError, match=r"missing tensors .*unknown .*'x'"):
    policy.check(network)
  fixed = specs.QuantizationPolicy.uniform(network, 4, 4)
  with pytest.raises(ValueError, match="'in' is fixed at 8 bits"):
    fixed.with_bits({'in': 4}).check(network)


def test_unknown_tensor_names_the_nearest():
  with pytest.raises(ValueError, match="'conv/v'; did you mean 'conv/w'"):
    _network().tensor('conv/v')
