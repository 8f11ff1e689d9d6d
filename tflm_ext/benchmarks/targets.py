"""What the kernels are meant to reach: instructions per MAC of a whole call."""

from collections.abc import Mapping
import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
  """The most instructions per MAC, by the widths of weight and input.

  Attributes:
    w8: weights of 8 bits.
    w4: weights of 4 bits.
    w2: weights of 2 bits, input of 8 or 4.
    a2_w2: weights and input of 2 bits; None: as w2.
  """

  w8: float
  w4: float
  w2: float
  a2_w2: float | None = None

  def of(self, a: int, w: int) -> float:
    """Returns the limit for an input of a bits and weights of w bits."""
    if (a, w) == (2, 2) and self.a2_w2 is not None:
      return self.a2_w2
    return {8: self.w8, 4: self.w4, 2: self.w2}[w]


_DSP_LIMITS = {
    'pointwise_28x28_128_128': Limits(1.00, 1.10, 1.05, 0.70),
    'pointwise_7x7_512_512': Limits(0.98, 1.05, 1.00, 0.60),
    'depthwise_3x3_28x28_128': Limits(2.2, 2.3, 2.3),
    'conv_3x3_14x14_32_32': Limits(1.20, 1.25, 1.20, 0.90),
    'depthwise_3x3_7x7_64': Limits(3.3, 3.4, 3.4, 3.5),
    'first_conv_3x3_64x64_3_32': Limits(1.55, 1.6, 1.6),
    'fully_connected_1024_1000': Limits(1.32, 1.30, 1.20, 0.9),
}

# With vector instructions.
_M55_LIMITS = {
    'pointwise_28x28_128_128': Limits(0.17, 0.18, 0.18),
    'pointwise_7x7_512_512': Limits(0.15, 0.155, 0.155),
    'depthwise_3x3_28x28_128': Limits(0.65, 0.70, 0.70),
    'conv_3x3_14x14_32_32': Limits(0.20, 0.21, 0.21),
    'depthwise_3x3_7x7_64': Limits(1.2, 1.35, 1.35),
    'first_conv_3x3_64x64_3_32': Limits(0.42, 0.44, 0.44),
    'fully_connected_1024_1000': Limits(0.18, 0.18, 0.18),
}


def limits(core: str) -> Mapping[str, Limits]:
  """Returns layer -> limits of a core."""
  return _M55_LIMITS if core == 'cortex_m55' else _DSP_LIMITS
