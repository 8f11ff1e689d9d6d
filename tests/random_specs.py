"""Random small NetworkSpecs with every op, named as keras_graph names them."""

import numpy as np

from tfmpq import specs

_MAX_CHANNELS = 9
_OPS = (
    specs.Op.CONV_2D,
    specs.Op.DEPTHWISE_CONV_2D,
    specs.Op.AVERAGE_POOL_2D,
    specs.Op.MAX_POOL_2D,
    specs.Op.ADD,
)


def random_spec(rng: np.random.Generator) -> specs.NetworkSpec:
  """Returns a network of three to eight layers that ends in 8-bit logits.

  Kernels of 1 to 3, strides of 1 to 3 and padding differ per axis and side;
  an add reads two earlier activations of one shape, or one twice.
  """
  builder = _Builder(rng)
  for _ in range(rng.integers(1, 7)):
    builder.append(_OPS[rng.integers(len(_OPS))])
  return builder.finish()


def random_window(rng: np.random.Generator, shape: tuple[int, ...]):
  """Returns random geometry that fits, and (height, width) of the output."""
  kernels, strides, pads, sizes = [], [], [], []
  for size in shape[:2]:
    kernel = int(rng.integers(1, min(3, size) + 1))
    stride = int(rng.integers(1, 4))
    before, after = rng.integers(0, kernel, 2).tolist()
    kernels.append(kernel)
    strides.append(stride)
    pads.append((before, after))
    sizes.append(specs.output_size(size, kernel, stride, before, after))
  geometry = {
      'kernel_size': tuple(kernels),
      'stride': tuple(strides),
      'padding': (pads[0][0], pads[1][0], pads[0][1], pads[1][1]),
  }
  return geometry, tuple(sizes)


class _Builder:
  """Appends layers that read any earlier activation."""

  def __init__(self, rng: np.random.Generator):
    self._rng = rng
    shape = (*rng.integers(3, 10, 2).tolist(), int(rng.integers(1, 5)))
    self._activations = [self._activation('input', shape, True, fixed_bits=8)]
    self._tensors = list(self._activations)
    self._layers = []

  def _activation(self, name, shape, signed, **kwargs):
    kind = specs.TensorKind.ACTIVATION
    return specs.TensorSpec(name, kind, shape, signed, **kwargs)

  def _channels(self) -> int:
    return int(self._rng.integers(1, _MAX_CHANNELS + 1))

  def append(self, op: specs.Op) -> None:
    """Appends a layer of that op."""
    rng = self._rng
    # Mostly the newest activation, so that networks get deep.
    back = int(rng.integers(1, min(3, len(self._activations)) + 1))
    source = self._activations[-1 if rng.random() < 0.7 else -back]
    if op is specs.Op.ADD:
      same = [a for a in self._activations if a.shape == source.shape]
      other = same[rng.integers(len(same))]
      self._add_layer(
          op, (source, other), source.shape, bool(rng.random() < 0.5)
      )
      return
    geometry, size = random_window(rng, source.shape)
    channels = source.shape[2]
    if op is specs.Op.CONV_2D:
      channels = self._channels()
    weight = {
        specs.Op.CONV_2D: (channels, *geometry['kernel_size'], source.shape[2]),
        specs.Op.DEPTHWISE_CONV_2D: (*geometry['kernel_size'], channels),
    }.get(op)
    shares = op is specs.Op.MAX_POOL_2D
    signed = source.signed if shares else bool(rng.random() < 0.5)
    self._add_layer(
        op,
        (source,),
        (*size, channels),
        signed,
        weight,
        bits_of=source.name if shares else None,
        **geometry,
    )

  def _add_layer(
      self,
      op,
      sources,
      shape,
      signed,
      weight=None,
      bits_of=None,
      fixed_bits=None,
      **geometry,
  ):
    name = f'{op.value}_{len(self._layers)}'
    if weight is not None:
      self._tensors.append(
          specs.TensorSpec(f'{name}/weight', specs.TensorKind.WEIGHT, weight)
      )
    output = self._activation(
        name, shape, signed, bits_of=bits_of, fixed_bits=fixed_bits
    )
    self._tensors.append(output)
    self._activations.append(output)
    self._layers.append(
        specs.LayerSpec(
            name=name,
            op=op,
            inputs=tuple(s.name for s in sources),
            output=name,
            weight=None if weight is None else f'{name}/weight',
            **geometry,
        )
    )

  def finish(self) -> specs.NetworkSpec:
    """Appends a global average pool and a dense layer; returns the network."""
    height, width, channels = self._activations[-1].shape
    self._add_layer(
        specs.Op.AVERAGE_POOL_2D,
        (self._activations[-1],),
        (1, 1, channels),
        self._activations[-1].signed,
        kernel_size=(height, width),
    )
    classes = self._channels() + 1
    self._add_layer(
        specs.Op.FULLY_CONNECTED,
        (self._activations[-1],),
        (1, 1, classes),
        True,
        (classes, channels),
        fixed_bits=8,
    )
    return specs.NetworkSpec(
        name='random',
        tensors=tuple(self._tensors),
        layers=tuple(self._layers),
        input='input',
        output=self._layers[-1].output,
    )
