"""FloatNetwork: a NetworkSpec with real weights, BatchNorm already folded.

This is what `keras_graph` makes of a Keras model, and the only form in which
calibration and quantization-aware training read a float network.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import pathlib

import numpy as np

from tfmpq import quantized_network
from tfmpq import specs


@dataclasses.dataclass(frozen=True, eq=False)
class FloatNetwork:
  """A network in real numbers.

  A layer computes `relu(op(inputs) + bias)` if its output tensor is unsigned,
  and `op(inputs) + bias` if it is signed; adds and pools have no bias.

  Attributes:
    spec: tensors and layers.
    weights: weight tensor name -> float32 of the tensor's shape.
    biases: layer name -> float32 [C_out], for every layer with weights.
    ceilings: activation name -> upper bound of its activation function (6.0
      for ReLU6); tensors without one are absent.
  """

  spec: specs.NetworkSpec
  weights: Mapping[str, np.ndarray]
  biases: Mapping[str, np.ndarray]
  ceilings: Mapping[str, float]

  def __post_init__(self):
    for tensor in self.spec.weights:
      shape = self.weights[tensor.name].shape
      if shape != tensor.shape:
        raise ValueError(
            f"weight '{tensor.name}' must have shape {tensor.shape}, received "
            f'{shape}'
        )
    for layer in self.spec.layers:
      if layer.weight is not None:
        channels = self.spec.tensor(layer.output).shape[2]
        if self.biases[layer.name].shape != (channels,):
          raise ValueError(
              f"bias of layer '{layer.name}' must have shape ({channels},), "
              f'received {self.biases[layer.name].shape}'
          )


def save(network: FloatNetwork, path: pathlib.Path) -> None:
  """Writes the network; equal networks give equal bytes."""
  arrays = {f'weight/{n}': w for n, w in network.weights.items()}
  arrays |= {f'bias/{n}': b for n, b in network.biases.items()}
  meta = {
      'spec': json.loads(network.spec.to_json()),
      'ceilings': dict(network.ceilings),
  }
  text = json.dumps(meta, sort_keys=True).encode()
  arrays['meta'] = np.frombuffer(text, np.uint8)
  quantized_network.write_npz(arrays, path)


def load(path: pathlib.Path) -> FloatNetwork:
  """Reads what `save` wrote."""
  with np.load(path) as data:
    arrays = {name: data[name] for name in data.files}
  meta = json.loads(arrays.pop('meta').tobytes())
  groups: dict[str, dict[str, np.ndarray]] = {'weight': {}, 'bias': {}}
  for name, array in arrays.items():
    group, _, key = name.partition('/')
    groups[group][key] = array
  return FloatNetwork(
      spec=specs.NetworkSpec.from_json(json.dumps(meta['spec'])),
      weights=groups['weight'],
      biases=groups['bias'],
      ceilings=meta['ceilings'],
  )
