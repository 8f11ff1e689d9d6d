"""NetworkSpecs of MobileNets and small networks, built without Keras."""

from tfmpq import network_specs
from tfmpq import network_tables
from tfmpq import specs

SpecBuilder = network_specs.SpecBuilder
mobilenet_v1 = network_specs.mobilenet_v1


def mobilenet_v2(
    width: float, size: int, num_classes: int = 1000
) -> specs.NetworkSpec:
  """MobileNetV2 with its residual adds; channels are multiples of 8."""
  return network_specs.inverted_residuals(
      network_tables.MOBILENET_V2, width, size, num_classes
  )
