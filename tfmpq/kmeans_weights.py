"""Non-uniform quantization of weights: a codebook per tensor, by k-means.

The baseline of the paper for weights alone (Deep Compression, Han et al.,
arXiv:1510.00149; HAQ's k-means mode): each weight is replaced by the nearest of
2^b real numbers of its tensor. Activations stay real numbers. A microcontroller
has to look each weight up; here only bytes and accuracy count.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np

from tfmpq.budgets import BudgetError
from tfmpq.float_network import FloatNetwork

# HAQ's range.
BIT_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
_MAX_ITERATIONS = 100
_REAL_BYTES = 4  # A codebook entry or a bias, float32.


@dataclasses.dataclass(frozen=True)
class Clusters:
  """What k-means makes of a tensor.

  Attributes:
    codebook: float64 [k], ascending, k at most what was asked for.
    codes: integers, the shape of the tensor: positions in the codebook.
  """

  codebook: np.ndarray
  codes: np.ndarray

  @property
  def values(self) -> np.ndarray:
    """Returns float32, the shape of the tensor."""
    return self.codebook[self.codes].astype(np.float32)


def cluster(values: np.ndarray, bits: int) -> Clusters:
  """Returns at most 2^bits clusters with a locally least squared error.

  Starts from centres at equal distances, as Deep Compression does: large
  weights are few and matter much. In one dimension a cluster is an interval of
  the sorted values, so that an iteration takes logarithmic time per centre.

  Args:
    values: any shape.
    bits: at least 1.
  """
  ordered = np.sort(values.astype(np.float64), axis=None)
  sums = np.concatenate([[0.0], np.cumsum(ordered)])
  centres = np.unique(np.linspace(ordered[0], ordered[-1], 2**bits))
  for _ in range(_MAX_ITERATIONS):
    middles = (centres[1:] + centres[:-1]) / 2
    ends = np.searchsorted(ordered, middles, side='right')
    ends = np.concatenate([[0], ends, [len(ordered)]])
    counts = np.diff(ends)
    totals = sums[ends[1:]] - sums[ends[:-1]]
    means = np.where(counts > 0, totals / np.maximum(counts, 1), centres)
    if np.array_equal(means, centres):
      break
    centres = np.sort(means)
  middles = (centres[1:] + centres[:-1]) / 2
  codes = np.searchsorted(middles, values.astype(np.float64), side='left')
  return Clusters(centres, codes)


def model_bytes(network: FloatNetwork, bits: Mapping[str, int]) -> int:
  """Returns the bytes of codes, codebooks and biases.

  Args:
    network: whose weights are quantized.
    bits: weight -> width of its codes.
  """
  total = sum(_REAL_BYTES * len(bias) for bias in network.biases.values())
  for name, width in bits.items():
    total += weight_bytes(network.weights[name].size, width)
  return total


def weight_bytes(num_elements: int, bits: int) -> int:
  """Returns the bytes of the codes of a tensor and of its codebook."""
  return -(-num_elements * bits // 8) + _REAL_BYTES * 2**bits


def allocate(network: FloatNetwork, flash_bytes: int) -> dict[str, int]:
  """Returns weight -> bits, so that everything fits into `flash_bytes`.

  From 8 bits everywhere, the tensor is narrowed by a bit that adds the least
  noise per byte; noise of a tensor is its squared error as a share of its
  squares. No image is looked at.

  Raises:
    BudgetError: 1 bit everywhere is too much.
  """
  noises = {
      name: {bits: _noise(weight, bits) for bits in BIT_WIDTHS}
      for name, weight in network.weights.items()
  }
  found = dict.fromkeys(network.weights, BIT_WIDTHS[-1])
  while model_bytes(network, found) > flash_bytes:
    costs = {}
    for name, bits in found.items():
      if bits == BIT_WIDTHS[0]:
        continue
      size = network.weights[name].size
      saved = weight_bytes(size, bits) - weight_bytes(size, bits - 1)
      costs[name] = (noises[name][bits - 1] - noises[name][bits]) / saved
    if not costs:
      raise BudgetError(
          f"network '{network.spec.name}' needs "
          f'{model_bytes(network, found)} bytes with a codebook of 1 bit for '
          f'every weight, the budget is {flash_bytes}'
      )
    found[min(costs, key=costs.__getitem__)] -= 1
  return found


def quantize(network: FloatNetwork, bits: Mapping[str, int]) -> FloatNetwork:
  """Returns the network with every weight replaced by its cluster's centre."""
  weights = {
      name: cluster(weight, bits[name]).values
      for name, weight in network.weights.items()
  }
  return dataclasses.replace(network, weights=weights)


def _noise(weight: np.ndarray, bits: int) -> float:
  error = cluster(weight, bits).values.astype(np.float64) - weight
  return float(np.sum(error**2) / np.maximum(np.sum(weight**2), 1e-30))
