"""Networks have the published sizes; specs and Keras models agree."""

import dataclasses
import math

import numpy as np
import pytest
import tf_keras as keras

from tfmpq import keras_graph
from tfmpq import models
from tfmpq import network_specs
from tfmpq import network_tables
from tfmpq import specs

_V2 = network_tables.MOBILENET_V2
_MNASNET = network_tables.MNASNET_B1
_LITE0 = network_tables.EFFICIENTNET_LITE0


def _num_weights(network):
  return sum(tensor.num_elements for tensor in network.weights)


@pytest.mark.parametrize(
    'width, num_weights, million_macs',
    # arXiv:1704.04861, table 6.
    [
        (1.0, 4_209_088, 569),
        (0.75, 2_568_144, 325),
        (0.5, 1_319_648, 149),
        (0.25, 463_600, 41),
    ],
)
def test_mobilenet_v1_has_its_weights_and_macs(
    width, num_weights, million_macs
):
  network = network_specs.mobilenet_v1(width, 224)
  assert _num_weights(network) == num_weights
  assert network.num_macs / 1e6 == pytest.approx(million_macs, abs=0.8)
  assert len(network.weights) == 28


def test_mobilenet_v1_has_the_macs_of_every_resolution():
  found = [
      network_specs.mobilenet_v1(1.0, size).num_macs
      for size in (224, 192, 160, 128)
  ]
  assert found[0] == 568_740_352
  # arXiv:1704.04861, table 7.
  assert [round(n / 1e6) for n in found] == [569, 418, 291, 186]


@pytest.mark.parametrize(
    'network, width, num_weights, num_macs',
    [
        (_V2, 1.0, 3_469_760, 300_774_272),
        # 59 M in the authors' table of checkpoints.
        (_V2, 0.35, 1_662_048, 59_285_808),
        (_MNASNET, 1.0, 4_344_392, 314_415_872),
        # Its authors say 407 M; see the test of EfficientNet-Lite below.
        (_LITE0, 1.0, 4_608_992, 385_187_552),
    ],
)
def test_inverted_residuals_have_their_weights_and_macs(
    network, width, num_weights, num_macs
):
  found = network_specs.inverted_residuals(network, width, 224)
  assert _num_weights(found) == num_weights
  assert found.num_macs == num_macs


@pytest.mark.parametrize(
    'width, million_macs',
    # tensorflow/models, research/slim/nets/mobilenet/README.md.
    [(1.4, 582), (1.3, 509), (1.0, 300), (0.75, 209), (0.5, 97), (0.35, 59)],
)
def test_mobilenet_v2_has_the_macs_of_every_width(width, million_macs):
  found = network_specs.inverted_residuals(_V2, width, 224)
  assert found.num_macs / 1e6 == pytest.approx(million_macs, rel=0.01)


@pytest.mark.parametrize('width', (0.35, 0.5, 0.75, 1.0, 1.3, 1.4))
def test_mobilenet_v2_has_the_parameters_of_keras(width):
  shape = (96, 96, 3)
  published = keras.applications.MobileNetV2(shape, width, weights=None)
  own = models.build_model('mobilenet_v2', shape, width=width)
  assert own.count_params() == published.count_params()


@pytest.mark.parametrize(
    'width, depth, size, million_macs, by_its_authors',
    # Lite0 to Lite4. The second to last figure: README.md of
    # d-li14/efficientnet-lite.pytorch; the last: its authors' own README.md,
    # tensorflow/tpu, models/official/efficientnet/lite.
    [
        (1.0, 1.0, 224, 385, 407),
        (1.0, 1.1, 240, 600, 631),
        (1.1, 1.2, 260, 860, 899),
        (1.2, 1.4, 280, 1383, 1440),
        (1.4, 1.8, 300, 2553, 2640),
    ],
)
def test_the_authors_of_efficientnet_lite_count_more_than_macs(
    width, depth, size, million_macs, by_its_authors
):
  first, *middle, last = _LITE0.stages
  deeper = [
      dataclasses.replace(stage, repeats=math.ceil(stage.repeats * depth))
      for stage in middle
  ]
  found = network_specs.inverted_residuals(
      dataclasses.replace(_LITE0, stages=(first, *deeper, last)), width, size
  )
  assert round(found.num_macs / 1e6) == million_macs
  # What they count besides fits three operations per output of a convolution,
  # such as BatchNorm's two and the activation: a conclusion from the figures,
  # which are rounded; what they really counted is not known to us.
  num_outputs = sum(
      found.tensor(layer.output).num_elements
      for layer in found.layers
      if layer.weight
  )
  counted = (found.num_macs + 3 * num_outputs) / 1e6
  assert counted == pytest.approx(by_its_authors, rel=0.005)


@pytest.mark.parametrize(
    'name, width, num_trainable',
    [
        # torchvision's mnasnet0_5, 0_75, 1_0 and 1_3.
        ('mnasnet_b1', 0.5, 2_218_512),
        ('mnasnet_b1', 0.75, 3_170_208),
        ('mnasnet_b1', 1.0, 4_383_312),
        ('mnasnet_b1', 1.3, 6_282_256),
        # timm's efficientnet_lite0.
        ('efficientnet_lite0', 1.0, 4_652_008),
    ],
)
def test_trainable_parameters_are_the_published_ones(
    name, width, num_trainable
):
  model = models.build_model(name, width=width)
  trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
  assert trainable == num_trainable


@pytest.mark.parametrize(
    'name, shape, num_weights, num_macs',
    # Weights and MACs of convolutions and dense layers: 12.5 M and 2.7 M MACs
    # in the closed division of MLPerf Tiny.
    [
        ('resnet8', (32, 32, 3), 77_360, 12_501_632),
        ('ds_cnn', (49, 10, 1), 22_016, 2_656_768),
    ],
)
def test_mlperf_tiny_networks_have_their_weights_and_macs(
    name, shape, num_weights, num_macs
):
  spec = keras_graph.fold(models.build_model(name)).spec
  assert spec.tensor(spec.input).shape == shape
  assert _num_weights(spec) == num_weights
  assert spec.num_macs == num_macs


def _structure(network):
  """Everything but names."""
  number = {t.name: i for i, t in enumerate(_in_order(network))}
  return [
      (
          layer.op,
          tuple(number[name] for name in layer.inputs),
          number[layer.output],
          network.tensor(layer.output).shape,
          network.tensor(layer.output).signed,
          network.tensor(layer.output).fixed_bits,
          layer.weight and network.tensor(layer.weight).shape,
          layer.kernel_size,
          layer.stride,
          layer.padding,
      )
      for layer in network.layers
  ]


def _in_order(network) -> list[specs.TensorSpec]:
  names = [network.input] + [layer.output for layer in network.layers]
  return [network.tensor(name) for name in names]


@pytest.mark.parametrize(
    'name, make',
    [
        ('mobilenet_v1', network_specs.mobilenet_v1),
        (
            'mobilenet_v2',
            lambda *a, **k: network_specs.inverted_residuals(_V2, *a, **k),
        ),
        (
            'mnasnet_b1',
            lambda *a, **k: network_specs.inverted_residuals(_MNASNET, *a, **k),
        ),
        (
            'efficientnet_lite0',
            lambda *a, **k: network_specs.inverted_residuals(_LITE0, *a, **k),
        ),
    ],
)
def test_spec_is_that_of_the_keras_model(name, make):
  width, size = 0.5, 75  # Odd, so that padding differs from side to side.
  model = models.build_model(name, (size, size, 3), 10, width)
  folded = keras_graph.fold(model).spec
  spec = make(width, size, num_classes=10)
  assert _structure(spec) == _structure(folded)
