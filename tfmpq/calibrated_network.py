"""CalibratedNetwork: real-valued quantization parameters of a whole network.

Post-training calibration and quantization-aware training both end here;
lowering turns it into integers. Nothing in it is rounded except the weight
codes themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np

from tfmpq import quantization
from tfmpq import specs


@dataclasses.dataclass(frozen=True, eq=False)
class CalibratedWeight:
  """One layer's weights as codes, with what turns them back to reals.

  `w = scale_c * (code - zero_point_c)` per output channel c. A gain per
  channel that re-estimated statistics ask for is already inside `scales` and
  `bias`.

  Attributes:
    codes: int8 (8 bits) or uint8 (4, 2 bits), the weight tensor's shape.
    scales: float64 [C_out], positive.
    zero_points: int8 [C_out]; 0 at 8 bits. Float, 0.5, at 1 bit, which is
      only emulated.
    bias: float64 [C_out], real units of the layer's pre-activation.
  """

  codes: np.ndarray
  scales: np.ndarray
  zero_points: np.ndarray
  bias: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class CalibratedNetwork:
  """A network under a policy, in real numbers.

  Attributes:
    spec: tensors and layers.
    policy: bits of every tensor.
    weights: weight tensor name -> CalibratedWeight.
    clips: activation name -> positive real clip (see
      `quantization.activation_params`), for every activation with a policy
      entry except the network input.
    per_channel_zero_points: see QuantizedNetwork.
  """

  spec: specs.NetworkSpec
  policy: specs.QuantizationPolicy
  weights: Mapping[str, CalibratedWeight]
  clips: Mapping[str, float]
  per_channel_zero_points: bool


def activation_params(
    network: CalibratedNetwork,
) -> dict[str, quantization.QuantParams]:
  """Returns name -> parameters, for every activation of the network.

  Raises:
    ValueError: an activation that needs a clip has none.
  """
  spec = network.spec
  params = {}
  for tensor in spec.activations:
    owner = spec.tensor(spec.bits_owner(tensor.name))
    if owner.name == spec.input:
      params[tensor.name] = quantization.INPUT_PARAMS
      continue
    if owner.name not in network.clips:
      raise ValueError(
          f"activation '{owner.name}' has no clip; calibrate every activation "
          "but the network input"
      )
    params[tensor.name] = quantization.activation_params(
        network.policy.bits(spec, owner.name),
        owner.signed,
        network.clips[owner.name],
    )
  return params
