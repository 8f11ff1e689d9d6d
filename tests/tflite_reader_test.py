"""What the reader of .tflite files says about files that are wrong."""

import dataclasses

from flatbuffers import flexbuffers
import numpy as np
import pytest

from tests import mixed_network
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflite_options
from tfmpq import tflite_reader
from tfmpq import tflite_writer

# Positions in mixed_network.network_spec().
_DEPTHWISE, _ADD, _MAX_POOL = 1, 4, 5


def _data() -> bytes:
  network = mixed_network.mixed_network(2, per_channel_zero_points=False)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  return tflite_writer.write(network, plan)


@pytest.fixture(name='model')
def _model() -> tflite_file.Model:
  return tflite_file.parse(_data())


def _read(model: tflite_file.Model) -> quantized_network.QuantizedNetwork:
  return tflite_reader.read(tflite_layout.serialize(model))


def _with_operator(model, index, **changes) -> tflite_file.Model:
  operators = list(model.operators)
  operators[index] = dataclasses.replace(operators[index], **changes)
  return dataclasses.replace(model, operators=tuple(operators))


def _with_options(model, index, **changes) -> tflite_file.Model:
  operator = model.operators[index]
  op = tflite_options.op_of(operator.custom_code)
  options = tflite_options.decode(op, operator.options) | changes
  return _with_operator(
      model, index, options=tflite_options.encode(op, options)
  )


def _with_tensor(model, index, **changes) -> tflite_file.Model:
  tensors = list(model.tensors)
  tensors[index] = dataclasses.replace(tensors[index], **changes)
  return dataclasses.replace(model, tensors=tuple(tensors))


def test_other_files_are_refused():
  for data in (b'', b'PK\x03\x04 something else'):
    with pytest.raises(ValueError, match='not a .tflite file'):
      tflite_reader.read(data)


def test_builtin_ops_are_refused(model):
  builtin = tflite_file.Operator('', (0, 1), (2,), builtin='ADD')
  operators = (*model.operators[:_ADD], builtin)
  with pytest.raises(ValueError, match="there is no op 'ADD'"):
    _read(dataclasses.replace(model, operators=operators))


def test_unknown_ops_are_refused(model):
  wrong = _with_operator(model, _ADD, custom_code='TfmpqAddd')
  with pytest.raises(
      ValueError, match=r"operator 4 \('TfmpqAddd'\).*did you mean 'TfmpqAdd'"
  ):
    _read(wrong)


def test_errors_name_the_operator_and_the_key(model):
  network = _read(model)
  z_in = network.params['a1'].zero_point
  a_bits = network.params['a1'].bits
  other_bits = 4 if a_bits == 8 else 8
  for changes, message in (
      ({'a_bits': 3}, "option 'a_bits': expected bits in"),
      (
          {'a_bits': other_bits},
          f"option 'a_bits' is {other_bits}, but 'a1' has",
      ),
      ({'c_in': 6}, "option 'c_in' is 6, but 'a1' has 5"),
      ({'z_in': z_in + 1}, f"option 'z_in' is {z_in + 1}, but 'a1' has {z_in}"),
      ({'z_out': 99999}, "'a2': zero point 99999 is outside"),
      ({'w_bits': 7}, "option 'w_bits': expected bits in"),
      ({'layout': 9}, "'layout': depthwise_conv2d has no weight layout 9"),
      ({'shift': 0}, 'expected shift in 1..31'),
      ({'pre_shift': 40}, 'pre_shift in 0..31'),
      ({'k_h': 2}, 'tensor 13: expected a constant int8'),
      ({'k_h': 0}, 'kernel size and stride must be at least 1'),
      ({'p_t': 3}, 'must be smaller than the kernel'),
  ):
    place = r"operator 1 \('TfmpqDepthwiseConv2D'\): .*"
    with pytest.raises(ValueError, match=place + message):
      _read(_with_options(model, _DEPTHWISE, **changes))
  with pytest.raises(
      ValueError, match=r"operator 4.*'shift' must lie in 1..31"
  ):
    _read(_with_options(model, _ADD, shift=0))


def test_geometry_that_does_not_fit_is_refused(model):
  with pytest.raises(ValueError, match="layer 'a6' .*must have shape"):
    _read(_with_options(model, _MAX_POOL, s_h=3))


def test_missing_and_unknown_options_are_refused(model):
  for entries, message in (
      ({'a_bits': 8}, r"options \['c_in'\] are missing"),
      ({'a_bits': 8, 'c_in': 7, 'kh': 2}, "unknown option 'kh'.* 'k_h'"),
      ({'a_bits': 8, 'c_in': 7.0}, "option 'c_in' must be an integer"),
      ([8, 7], 'must be a FlexBuffer map'),
  ):
    options = bytes(flexbuffers.Dumps(entries))
    with pytest.raises(ValueError, match='operator 5 .*' + message):
      _read(_with_operator(model, _MAX_POOL, options=options))
  for options in (b'', b'\x01', b'\x05\x04\x01'):
    with pytest.raises(ValueError, match='operator 5 .*FlexBuffer'):
      _read(_with_operator(model, _MAX_POOL, options=options))


def test_wrong_wiring_is_refused(model):
  add = model.operators[_ADD]
  for changes, message in (
      ({'inputs': add.inputs[:2]}, 'expected 3 inputs and one output'),
      ({'outputs': ()}, 'expected 3 inputs and one output'),
      ({'inputs': (9, *add.inputs[1:])}, 'no earlier operator writes'),
      ({'inputs': (*add.inputs[:2], 999)}, 'tensor 999 does not exist'),
      ({'outputs': (1,)}, "'a1' is written a second time"),
  ):
    with pytest.raises(ValueError, match='operator 4 .*' + message):
      _read(_with_operator(model, _ADD, **changes))
  with pytest.raises(ValueError, match='one network input, received 0'):
    _read(dataclasses.replace(model, inputs=()))
  with pytest.raises(ValueError, match='no operator writes the network output'):
    _read(dataclasses.replace(model, outputs=(12,)))


def test_tensors_of_the_wrong_shape_are_refused(model):
  wrong = _with_tensor(model, 1, shape=(1, 6, 5, 99))
  with pytest.raises(ValueError, match=r"'a1': expected an int8 activation"):
    _read(wrong)
  weight = model.tensors[11]
  wrong = _with_tensor(model, 11, shape=(*weight.shape, 2))
  with pytest.raises(ValueError, match='tensor 11: shape .* its buffer holds'):
    _read(wrong)


def test_padding_bits_of_weights_must_be_zero(model):
  for operator in model.operators:
    op = tflite_options.op_of(operator.custom_code)
    options = tflite_options.decode(op, operator.options)
    if options.get('w_bits') == 2 and op is specs.Op.FULLY_CONNECTED:
      index = operator.inputs[1]
      ones = b'\xff' * len(model.tensors[index].data)  # 9 codes in 3 bytes
      with pytest.raises(ValueError, match='padding bits'):
        _read(_with_tensor(model, index, data=ones))
      return
  pytest.fail('the seed gives no dense layer with 2-bit weights')


def test_scales_must_be_complete(model):
  for scales in (b'', model.metadata[tflite_options.SCALES][:-4]):
    metadata = dict(model.metadata) | {tflite_options.SCALES: scales}
    with pytest.raises(ValueError, match="'TfmpqScales': expected 9 float32"):
      _read(dataclasses.replace(model, metadata=metadata))


def test_zero_points_must_be_stored_in_one_way(model):
  network = _read(model)
  bits = network.policy.bits(network.spec, 'w2')
  assert bits != 8, 'the seed gives an 8-bit depthwise weight'
  index = model.operators[_DEPTHWISE].inputs[2]
  zero_points = np.full(8, 2 ** (bits - 1), np.int8).tobytes()  # 5, padded
  data = model.tensors[index].data + zero_points
  wrong = _with_options(model, _DEPTHWISE, z_w=None)
  wrong = _with_tensor(wrong, index, shape=(len(data) // 4,), data=data)
  with pytest.raises(ValueError, match="'z_w' must be there for all weights"):
    _read(wrong)


def test_damaged_files_raise_nothing_but_value_errors():
  data = _data()
  seed = 11
  print(f'seed {seed}')
  rng = np.random.default_rng(seed)
  refused = 0
  for _ in range(1500):
    damaged = bytearray(data)
    for position in rng.integers(0, len(data), rng.integers(1, 4)):
      damaged[position] = rng.integers(256)
    if rng.random() < 0.2:
      del damaged[rng.integers(len(data)) :]
    try:
      tflite_reader.read(bytes(damaged))
    except ValueError:
      refused += 1
  assert refused > 500
