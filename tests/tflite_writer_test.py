"""The .tflite: written and read back, its size, and what stock tools see."""

from collections.abc import Iterator
import dataclasses

from flatbuffers import flexbuffers
import numpy as np
import pytest

from tests import mixed_network
from tests import mobilenet_specs
from tests import random_specs
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflite_reader
from tfmpq import tflite_writer

_SEEDS = range(60)
_CUSTOM = 32  # BuiltinOperator in the schema


def _random_network(seed: int) -> quantized_network.QuantizedNetwork:
  print(f'seed {seed}')
  rng = np.random.default_rng(seed)
  spec = random_specs.random_spec(rng)
  policy = mixed_network.random_policy(spec, rng)
  return mixed_network.random_network(spec, policy, bool(seed % 2), rng)


def _write(network: quantized_network.QuantizedNetwork) -> bytes:
  plan = memory_planner.arena_plan(network.spec, network.policy)
  return tflite_writer.write(network, plan)


def _networks() -> Iterator[quantized_network.QuantizedNetwork]:
  for seed in _SEEDS:
    yield _random_network(seed)
    yield mixed_network.mixed_network(seed, bool(seed % 2))


def _object_api(data: bytes):
  """Returns the file as TensorFlow's own generated classes unpack it."""
  return tflite_file.schema.ModelT.InitFromPackedBuf(data)


def test_read_network_gives_equal_logits():
  for network in _networks():
    read = tflite_reader.read(_write(network))
    codes = mixed_network.random_codes(
        network.spec.tensor(network.spec.input).shape,
        3,
        np.random.default_rng(0),
    )
    np.testing.assert_array_equal(
        reference_ops.run(read, codes), reference_ops.run(network, codes)
    )


def test_read_network_writes_the_same_file():
  for network in _networks():
    data = _write(network)
    assert _write(tflite_reader.read(data)) == data


def test_conventional_names_give_back_the_same_spec_and_policy():
  for seed in _SEEDS:
    network = _random_network(seed)
    read = tflite_reader.read(_write(network))
    assert read.spec == network.spec
    assert read.policy == network.policy


def test_other_names_of_layers_and_weights_are_stored():
  network = mixed_network.mixed_network(1)
  read = tflite_reader.read(_write(network))
  for before, after in zip(network.spec.layers, read.spec.layers, strict=True):
    if before.op is specs.Op.MAX_POOL_2D:  # it has no place for a name
      assert after.name == before.output
      before = dataclasses.replace(before, name=before.output)
    assert after == before
  assert read.policy == network.policy


def test_parameters_come_back_with_scales_as_float32():
  for network in _networks():
    read = tflite_reader.read(_write(network))
    for name, params in network.params.items():
      scale = float(np.float32(params.scale))
      assert read.params[name] == dataclasses.replace(params, scale=scale)


def test_zero_points_per_channel_come_back():
  for per_channel in (True, False):
    network = mixed_network.mixed_network(3, per_channel)
    widths = {
        network.policy.bits(network.spec, t.name) for t in network.spec.weights
    }
    assert widths - {8}, 'the seed gives no sub-byte weight'
    read = tflite_reader.read(_write(network))
    assert read.per_channel_zero_points is per_channel


def test_predicted_size_is_the_written_size():
  for network in _networks():
    predicted = tflite_writer.flash_bytes(
        network.spec, network.policy, network.per_channel_zero_points
    )
    assert predicted == len(_write(network))


def test_predicted_size_holds_for_many_channels():
  # More than 127 channels widen the options to 16 bits.
  spec = mobilenet_specs.mobilenet_v2(0.35, 32)
  rng = np.random.default_rng(7)
  for per_channel in (True, False):
    policy = mixed_network.random_policy(spec, rng)
    network = mixed_network.random_network(spec, policy, per_channel, rng)
    data = _write(network)
    assert len(data) == tflite_writer.flash_bytes(spec, policy, per_channel)
    assert tflite_reader.read(data).policy == policy


@pytest.mark.parametrize('target', kernel_targets.Target)
def test_weights_may_be_laid_out_for_a_target(target):
  for network in _networks():
    plan = memory_planner.arena_plan(network.spec, network.policy)
    data = tflite_writer.write(network, plan, target)
    assert len(data) == tflite_writer.flash_bytes(
        network.spec, network.policy, network.per_channel_zero_points, target
    )
    read = tflite_reader.read(data)
    for name, constants in network.constants.items():
      if isinstance(constants, quantized_network.WeightedLayer):
        np.testing.assert_array_equal(
            read.constants[name].weight_codes, constants.weight_codes
        )
    same_as_portable = data == tflite_writer.write(network, plan)
    assert same_as_portable == (not kernel_targets.ops_of(target))


def test_fewer_bits_of_a_weight_never_need_more_flash():
  spec = mixed_network.network_spec()
  policy = specs.QuantizationPolicy.uniform(spec, 8, 8)
  for tensor in spec.weights:
    sizes = [
        tflite_writer.flash_bytes(
            spec, policy.with_bits({tensor.name: bits}), False
        )
        for bits in specs.BIT_WIDTHS
    ]
    assert sizes == sorted(sizes)


def test_prediction_refuses_a_policy_of_another_network():
  policy = specs.QuantizationPolicy.of({'input': 8})
  with pytest.raises(ValueError, match='missing tensors'):
    tflite_writer.flash_bytes(mixed_network.network_spec(), policy, True)


def test_file_says_what_tflite_readers_ask_for():
  network = mixed_network.mixed_network(2)
  data = _write(network)
  model = _object_api(data)
  assert data[4:8] == b'TFL3'
  assert len(data) % 16 == 0
  assert model.version == 3
  assert len(model.subgraphs) == 1
  assert model.buffers[0].data is None
  codes = [code.customCode.decode() for code in model.operatorCodes]
  assert codes == sorted({f'Tfmpq{name}' for name in (
      'Add', 'AveragePool2D', 'Conv2D', 'DepthwiseConv2D', 'FullyConnected',
      'MaxPool2D',
  )})  # fmt: skip
  for code in model.operatorCodes:
    assert (code.deprecatedBuiltinCode, code.builtinCode) == (_CUSTOM, _CUSTOM)


def test_constants_are_aligned_to_16_bytes():
  data = _write(mixed_network.mixed_network(2))
  model = tflite_file.schema.Model.GetRootAs(data, 0)
  starts = []
  for i in range(1, model.BuffersLength()):
    content = model.Buffers(i).DataAsNumpy()
    start = content.__array_interface__['data'][0]
    starts.append(start - np.frombuffer(data, np.uint8).ctypes.data)
  assert len(starts) == 2 + 6 * 2 + 3  # metadata, weights, other parameters
  assert [start % 16 for start in starts] == [0] * len(starts)


def test_memory_plan_is_in_the_metadata():
  network = mixed_network.mixed_network(2)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  model = _object_api(tflite_writer.write(network, plan))
  tensors = model.subgraphs[0].tensors
  (buffer,) = [
      m.buffer for m in model.metadata if m.name == b'OfflineMemoryAllocation'
  ]
  words = np.asarray(model.buffers[buffer].data, np.uint8).view('<i4').tolist()
  assert words[:3] == [1, 0, len(tensors)]
  assert words[3:] == [
      plan.offsets[t.name.decode()] if t.buffer == 0 else -1 for t in tensors
  ]


def test_tensors_are_packed_bytes_and_the_ends_have_scales():
  network = mixed_network.mixed_network(2)
  subgraph = _object_api(_write(network)).subgraphs[0]
  int8, int32 = 9, 2  # TensorType in the schema
  for tensor in subgraph.tensors:
    if tensor.buffer == 0:
      name = tensor.name.decode()
      height, width, channels = network.spec.tensor(name).shape
      bits = network.params[name].bits
      last = -(-channels * bits // 8)
      assert tensor.shape.tolist() == [1, height, width, last]
      assert tensor.type == int8
      assert (tensor.quantization is not None) == (name in ('input', 'logits'))
    else:
      assert tensor.type == (int32 if len(tensor.shape) == 1 else int8)
  (first,), (last,) = subgraph.inputs, subgraph.outputs
  for index, name in ((first, 'input'), (last, 'logits')):
    quantization = subgraph.tensors[index].quantization
    params = network.params[name]
    assert quantization.scale.tolist() == [np.float32(params.scale)]
    assert quantization.zeroPoint.tolist() == [params.zero_point]


def test_options_are_a_readable_map_without_defaults():
  network = mixed_network.mixed_network(2, per_channel_zero_points=False)
  operators = _object_api(_write(network)).subgraphs[0].operators
  options = flexbuffers.Loads(bytearray(operators[1].customOptions))
  layer = network.spec.layers[1]
  rescale = network.constants[layer.name].rescale
  bits = network.policy.bits(network.spec, layer.weight)
  expected = {
      'a_bits': network.params['a1'].bits,
      'w_bits': bits,
      'o_bits': network.params['a2'].bits,
      'c_in': 5,
      'k_h': 3,
      'k_w': 3,
      'p_t': 1,
      'p_l': 1,
      'p_b': 1,
      'p_r': 1,
      'z_in': network.params['a1'].zero_point,
      'z_out': network.params['a2'].zero_point,
      'shift': rescale.shift,
      'pre_shift': rescale.pre_shift,
  }
  if bits != 8:
    expected['z_w'] = 2 ** (bits - 1)
  assert options == expected


def test_wrong_plans_are_refused():
  network = mixed_network.mixed_network(2)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  offsets = dict(plan.offsets)
  missing = {n: o for n, o in offsets.items() if n != 'a4'}
  for wrong, message in (
      (missing, "'a4' needs an offset"),
      (offsets | {'a4': 8}, "'a4' needs an offset"),
      (offsets | {'a4': plan.size_bytes}, "'a4' ends at"),
      (dict.fromkeys(offsets, 0), 'share bytes'),
  ):
    with pytest.raises(ValueError, match=message):
      tflite_writer.write(network, memory_planner.Plan(wrong, plan.size_bytes))


def test_scales_that_float32_cannot_hold_are_refused():
  network = mixed_network.mixed_network(2)
  params = dict(network.params)
  params['a4'] = dataclasses.replace(params['a4'], scale=1e-50)
  network = dataclasses.replace(network, params=params)
  with pytest.raises(ValueError, match="'a4': scale 1e-50"):
    _write(network)


def test_layers_that_could_overflow_with_other_weights_are_refused():
  network = mixed_network.mixed_network(2)
  old = network.constants['conv/1:a']
  # Without weights and bias no shift overflows; TFLM's ops see no weights.
  layer = dataclasses.replace(
      old,
      weight_codes=np.zeros_like(old.weight_codes),
      weight_zero_points=np.zeros_like(old.weight_zero_points),
      bias=np.zeros_like(old.bias),
      rescale=dataclasses.replace(old.rescale, pre_shift=29),
  )
  network = dataclasses.replace(
      network,
      constants={**network.constants, 'conv/1:a': layer},
  )
  with pytest.raises(ValueError, match="'conv/1:a', whatever its weights are"):
    _write(network)


def test_layers_that_would_share_a_name_are_refused():
  network = mixed_network.mixed_network(2)
  # The max pool's output is called like the layer after it.
  layers = [
      dataclasses.replace(layer, name='a6')
      if layer.name == 'average_pool_7'
      else layer
      for layer in network.spec.layers
  ]
  constants = dict(network.constants)
  constants['a6'] = constants.pop('average_pool_7')
  network = dataclasses.replace(
      network,
      spec=dataclasses.replace(network.spec, layers=tuple(layers)),
      constants=constants,
  )
  with pytest.raises(ValueError, match="'a6' would be called 'a6'"):
    _write(network)


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
def test_stock_interpreter_opens_the_file():
  import tensorflow as tf

  network = mixed_network.mixed_network(2)
  interpreter = tf.lite.Interpreter(model_content=_write(network))
  (source,) = interpreter.get_input_details()
  assert source['shape'].tolist() == [1, *mixed_network.INPUT_SHAPE]
  assert source['quantization'] == (1 / 128, 0)
  with pytest.raises(RuntimeError, match='unresolved custom op: TfmpqConv2D'):
    interpreter.allocate_tensors()


def test_file_layout_is_parsed_back():
  model = tflite_file.parse(_write(mixed_network.mixed_network(2)))
  assert tflite_file.parse(tflite_layout.serialize(model)) == model
