"""Networks around one op each, for every combination of widths, for tests.

    input (8 bits) -> average pool 1x1 per input of the op -> op -> average pool
    1x1 -> output (8 bits)

The pools bring the op's inputs to their widths and its output to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
import itertools

import numpy as np

from tests import mixed_network
from tests import random_specs
from tfmpq import quantized_network
from tfmpq import specs

_MAX_CHANNELS = 9
_WIDTHS = specs.BIT_WIDTHS
# Op -> how many widths its kernels' names have.
_NUM_WIDTHS = {
    specs.Op.CONV_2D: 3,
    specs.Op.DEPTHWISE_CONV_2D: 3,
    specs.Op.FULLY_CONNECTED: 3,
    specs.Op.ADD: 3,
    specs.Op.AVERAGE_POOL_2D: 2,
    specs.Op.MAX_POOL_2D: 1,
}


def combinations() -> Iterator[tuple[specs.Op, tuple[int, ...]]]:
  """Yields every op with the widths of each of its kernels."""
  for op, count in _NUM_WIDTHS.items():
    for widths in itertools.product(_WIDTHS, repeat=count):
      yield op, widths


def op_network(
    op: specs.Op, widths: tuple[int, ...], rng: np.random.Generator
) -> quantized_network.QuantizedNetwork:
  """Returns a network whose middle layer is that op with those widths.

  Args:
    op: the op.
    widths: in the order of its kernels' names.
    rng: of shapes, weights and whether there are zero points per channel.
  """
  spec, bits = _Builder(op, widths, rng).build()
  policy = specs.QuantizationPolicy.of(
      {t.name: bits.get(t.name, 8) for t in spec.policy_tensors}
  )
  per_channel = bool(rng.integers(2))
  return mixed_network.random_network(spec, policy, per_channel, rng)


def random_network(
    rng: np.random.Generator,
) -> quantized_network.QuantizedNetwork:
  """Returns a network of several random layers with random widths."""
  spec = random_specs.random_spec(rng)
  policy = mixed_network.random_policy(spec, rng)
  per_channel = bool(rng.integers(2))
  return mixed_network.random_network(spec, policy, per_channel, rng)


class _Builder:
  """Draws shapes and puts the layers together."""

  def __init__(self, op, widths, rng: np.random.Generator):
    self._op, self._widths, self._rng = op, widths, rng
    self._tensors: list[specs.TensorSpec] = []
    self._layers: list[specs.LayerSpec] = []
    self._bits: dict[str, int] = {}

  def build(self) -> tuple[specs.NetworkSpec, dict[str, int]]:
    """Returns the network and tensor -> bits."""
    rng = self._rng
    height, width = rng.integers(3, 8, 2).tolist()
    if self._op is specs.Op.FULLY_CONNECTED:
      height = width = 1
    channels = int(rng.integers(1, _MAX_CHANNELS + 1))
    self._activation('input', (height, width, channels), fixed_bits=8)
    sources = ['a']
    self._pool('input', 'a', self._widths[0])
    if self._op is specs.Op.ADD:
      sources.append('b')
      self._pool('input', 'b', self._widths[1])
    self._middle(tuple(sources), (height, width, channels))
    self._pool('middle', 'output', 8, fixed_bits=8)
    spec = specs.NetworkSpec(
        name=self._op.value,
        tensors=tuple(self._tensors),
        layers=tuple(self._layers),
        input='input',
        output='output',
    )
    return spec, self._bits

  def _activation(self, name, shape, signed=True, **kwargs):
    self._tensors.append(
        mixed_network.activation(name, shape, signed=signed, **kwargs)
    )

  def _shape(self, name) -> tuple[int, ...]:
    return next(t.shape for t in self._tensors if t.name == name)

  def _pool(self, source, name, bits, **kwargs):
    self._activation(
        name, self._shape(source), bool(self._rng.integers(2)), **kwargs
    )
    self._bits[name] = bits
    self._layers.append(
        specs.LayerSpec(f'to_{name}', specs.Op.AVERAGE_POOL_2D, (source,), name)
    )

  def _middle(self, sources, shape):
    op, rng = self._op, self._rng
    height, width, channels = shape
    out_channels, window = channels, {}
    weight = None
    if op in (specs.Op.CONV_2D, specs.Op.FULLY_CONNECTED):
      out_channels = int(rng.integers(1, _MAX_CHANNELS + 1))
    if op not in (specs.Op.ADD, specs.Op.FULLY_CONNECTED):
      window, (height, width) = random_specs.random_window(rng, shape)
    if op in specs.WEIGHTED_OPS:
      kernel = window.get('kernel_size')
      weight = {
          specs.Op.CONV_2D: lambda: (out_channels, *kernel, channels),
          specs.Op.DEPTHWISE_CONV_2D: lambda: (*kernel, channels),
          specs.Op.FULLY_CONNECTED: lambda: (out_channels, channels),
      }[op]()
      self._tensors.append(
          specs.TensorSpec('middle/weight', specs.TensorKind.WEIGHT, weight)
      )
      self._bits['middle/weight'] = self._widths[1]
    shares = op is specs.Op.MAX_POOL_2D
    self._activation(
        'middle',
        (height, width, out_channels),
        self._source_signed() if shares else bool(rng.integers(2)),
        bits_of='a' if shares else None,
    )
    self._bits['middle'] = self._widths[-1]
    self._layers.append(
        specs.LayerSpec(
            name='middle',
            op=op,
            inputs=sources,
            output='middle',
            weight='middle/weight' if weight else None,
            **window,
        )
    )

  def _source_signed(self) -> bool:
    return next(t.signed for t in self._tensors if t.name == 'a')
