"""QuantizedNetwork: files, and everything that it refuses."""

import dataclasses

import numpy as np
import pytest

from tests import mixed_network
from tfmpq import quantized_network
from tfmpq import specs


@pytest.mark.parametrize('per_channel', [False, True])
def test_saved_network_is_read_back(tmp_path, per_channel):
  network = mixed_network.mixed_network(5, per_channel)
  quantized_network.save(network, tmp_path / 'a.npz')
  back = quantized_network.load(tmp_path / 'a.npz')
  assert back.spec == network.spec and back.policy == network.policy
  assert dict(back.params) == dict(network.params)
  quantized_network.save(back, tmp_path / 'b.npz')
  assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


def test_file_of_something_else_is_refused(tmp_path):
  np.savez(tmp_path / 'x.npz', a=np.zeros(3))
  with pytest.raises(ValueError, match='is not a quantized network'):
    quantized_network.load(tmp_path / 'x.npz')


def _weighted_layer(network) -> specs.LayerSpec:
  """Returns a layer with weights below 8 bits."""
  for layer in network.spec.layers:
    if layer.weight and network.policy.bits(network.spec, layer.weight) < 8:
      return layer
  raise AssertionError('the mixed network has no such layer')


def _with_constants(network, layer, **changes):
  constants = dataclasses.replace(network.constants[layer.name], **changes)
  return dataclasses.replace(
      network, constants={**network.constants, layer.name: constants}
  )


def test_codes_beyond_the_width_are_refused():
  network = mixed_network.mixed_network(1, True)
  layer = _weighted_layer(network)
  codes = network.constants[layer.name].weight_codes.copy()
  codes.flat[0] = 16
  with pytest.raises(ValueError, match='weight codes must lie in'):
    _with_constants(network, layer, weight_codes=codes)


def test_shared_zero_points_must_be_symmetric():
  network = mixed_network.mixed_network(1, True)
  with pytest.raises(ValueError, match='zero points must all be'):
    dataclasses.replace(network, per_channel_zero_points=False)


def test_accumulators_that_overflow_are_refused():
  network = mixed_network.mixed_network(1, True)
  layer = _weighted_layer(network)
  bias = np.full_like(network.constants[layer.name].bias, 2**31 - 1)
  with pytest.raises(ValueError, match=f"layer '{layer.name}'.*overflows"):
    _with_constants(network, layer, bias=bias)


def test_negative_multipliers_are_refused():
  network = mixed_network.mixed_network(1, True)
  layer = _weighted_layer(network)
  multipliers = -network.constants[layer.name].multipliers
  with pytest.raises(ValueError, match='must not be negative'):
    _with_constants(network, layer, multipliers=multipliers)


def _layer_of(network, op) -> specs.LayerSpec:
  return next(layer for layer in network.spec.layers if layer.op is op)


def test_negative_multipliers_of_a_pool_are_refused():
  network = mixed_network.mixed_network(1, True)
  layer = _layer_of(network, specs.Op.AVERAGE_POOL_2D)
  multipliers = -network.constants[layer.name].multipliers
  with pytest.raises(ValueError, match='must not be negative'):
    _with_constants(network, layer, multipliers=multipliers)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'shift': 0}, 'a shift in 1..31'),
        ({'shift': 32}, 'a shift in 1..31'),
        ({'multipliers': (1, -1)}, 'not negative'),
        ({'multipliers': (2**31 - 1, 1)}, 'overflows int32'),
    ],
)
def test_adds_that_overflow_are_refused(changes, message):
  network = mixed_network.mixed_network(1, True)
  layer = _layer_of(network, specs.Op.ADD)
  with pytest.raises(ValueError, match=f"layer '{layer.name}'.*{message}"):
    _with_constants(network, layer, **changes)


def test_a_max_pool_must_keep_the_parameters_of_its_input():
  spec = mixed_network.network_spec()
  own = tuple(
      dataclasses.replace(t, bits_of=None) if t.name == 'a6' else t
      for t in spec.tensors
  )
  network = mixed_network.mixed_network(1, True)
  layer = _layer_of(network, specs.Op.MAX_POOL_2D)
  params = network.params['a6']
  with pytest.raises(ValueError, match="must have the parameters of 'a5'"):
    quantized_network.QuantizedNetwork(
        dataclasses.replace(spec, tensors=own),
        specs.QuantizationPolicy.of(
            network.policy.as_dict() | {layer.output: params.bits}
        ),
        network.params
        | {'a6': dataclasses.replace(params, scale=params.scale * 2)},
        network.constants,
        True,
    )


def test_arrays_of_another_shape_are_refused():
  network = mixed_network.mixed_network(1, True)
  layer = _weighted_layer(network)
  with pytest.raises(ValueError, match='bias must be int32'):
    _with_constants(network, layer, bias=np.zeros(1, np.int32))


def test_parameters_must_have_the_widths_of_the_policy():
  network = mixed_network.mixed_network(1, True)
  name = network.spec.layers[0].output
  other = 2 if network.params[name].bits != 2 else 4
  params = dataclasses.replace(network.params[name], bits=other, zero_point=0)
  with pytest.raises(ValueError, match='the policy says'):
    dataclasses.replace(network, params={**network.params, name: params})
