"""The C++ sources of a .tflite: its bytes, and the ops that it registers."""

import re

import pytest

from tests import tflm_networks
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflm_sources


@pytest.fixture(name='custom', scope='module')
def _custom():
  network = tflm_networks.network(1, 'portable')
  return tflm_networks.tflite(network, 'portable')


def _calls(tflite):
  text = tflm_sources.model_ops(tflite)
  calls = re.findall(r'^    status = (.*?);', text, re.S | re.M)
  return [re.sub(r'\s+', ' ', call) for call in calls]


def test_the_array_holds_every_byte_of_the_model(custom):
  text = tflm_sources.model_data(custom)
  count, body = re.findall(r'kModel\[(\d+)\] = \{(.*?)\};', text, re.S)[0]
  assert int(count) == len(custom)
  numbers = re.findall(r'\d+', body)
  assert bytes(map(int, numbers)) == custom
  assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize('target', ['portable', 'dsp', 'mve'])
def test_every_kernel_of_a_model_is_registered_once(target):
  network = tflm_networks.network(1, target)
  tflite = tflm_networks.tflite(network, target)
  calls = _calls(tflite)
  assert [call.split('<')[0] for call in calls] == [
      'RegisterAdd',
      'RegisterAveragePool2D',
      'RegisterConv2D',
      'RegisterDepthwiseConv2D',
      'RegisterFullyConnected',
      'RegisterMaxPool2D',
  ]
  spec, policy = network.spec, network.policy
  expected = set()
  for layer in spec.layers:
    if layer.op is specs.Op.CONV_2D:
      bits = [
          policy.bits(spec, name)
          for name in (layer.inputs[0], layer.weight, layer.output)
      ]
      kernel = 'PortableKernel' if target == 'portable' else 'Kernel'
      expected.add(f'{kernel}<{", ".join(map(str, bits))}>')
  convolution = calls[2].removeprefix('RegisterConv2D< ')
  assert convolution == ', '.join(sorted(expected)) + '>(resolver)'
  # Depthwise convolutions and pools have one layout, and kernels for it.
  assert 'Portable' not in calls[1] + calls[3]
  assert 'tflm_ext/ops/register_ops.h' in tflm_sources.model_ops(tflite)


def test_builtin_ops_need_no_ops_of_ours():
  network = tflm_networks.network(1, tflm_networks.BUILTIN)
  tflite = tflm_networks.tflite(network, tflm_networks.BUILTIN)
  calls = _calls(tflite)
  assert 'resolver.AddConv2D()' in calls
  assert all(call.startswith('resolver.Add') for call in calls)
  assert 'register_ops.h' not in tflm_sources.model_ops(tflite)


def test_an_unknown_op_is_named():
  tflite = tflite_layout.serialize(
      tflite_file.Model(
          name='foreign',
          tensors=(
              tflite_file.Tensor((1, 4), 'int8', 'input'),
              tflite_file.Tensor((1, 4), 'int8', 'output'),
          ),
          operators=(tflite_file.Operator('TheirConv', (0,), (1,)),),
          inputs=(0,),
          outputs=(1,),
          metadata={},
      )
  )
  with pytest.raises(ValueError, match="no op 'TheirConv'"):
    tflm_sources.model_ops(tflite)
