"""A search problem that is evaluated in microseconds.

`problem` has the shape of the default network (14 layers with weights, 28
decisions), `larger_problem` that of MobileNetV1 (28 layers, 56 decisions). The
evaluator is a formula with the traits of the real reward: sensitivities that
spread over orders of magnitude, noise that adds up over layers with
interactions between neighbours, a loss that saturates at chance, and a
deterministic error of the size that 2,000 images leave.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math

import numpy as np

from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.evaluation import Evaluation
from tfmpq.ram_model import Moment
from tfmpq.searchers.searcher import SearchProblem
from tfmpq.specs import LayerSpec
from tfmpq.specs import NetworkSpec
from tfmpq.specs import Op
from tfmpq.specs import QuantizationPolicy
from tfmpq.specs import TensorKind
from tfmpq.specs import TensorSpec

BUDGET = MemoryBudget(ram_bytes=12_000, flash_bytes=32_000)
_BLOCKS = ((48, 1), (64, 1), (96, 2), (96, 1), (128, 1), (128, 1))
_LARGER_BUDGET = MemoryBudget(ram_bytes=25_000, flash_bytes=110_000)
_LARGER_BLOCKS = (
    ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2))
    + ((128, 1),) * 5
    + ((256, 2), (256, 1))
)
_CHANCE_LOSS = math.log(10)
_FLOAT_LOSS = 0.24
# Growth of a tensor's noise from 8 to 4 and to 2 bits: a factor of about 4
# per bit in theory; below that where the quantizer minimizes the error.
_NOISE = {8: 0.004, 4: 0.12, 2: 1.0}


def default_network(blocks=_BLOCKS, size: int = 28) -> NetworkSpec:
  """A MobileNetV1-like network: stem, separable blocks, pool, classifier."""
  tensors = [_activation('input', size, 1, fixed_bits=8)]
  layers = []
  side, channels, name = size, 1, 'input'

  def add(layer, op, out_side, out_channels, weight_shape, **window):
    nonlocal side, channels, name
    last = op is Op.FULLY_CONNECTED
    tensors.append(
        _activation(layer + '_out', out_side, out_channels, 8 if last else None)
    )
    if weight_shape:
      tensors.append(
          TensorSpec(layer + '_weight', TensorKind.WEIGHT, weight_shape)
      )
    weight = layer + '_weight' if weight_shape else None
    layers.append(
        LayerSpec(layer, op, (name,), layer + '_out', weight, **window)
    )
    side, channels, name = out_side, out_channels, layer + '_out'

  add('stem', Op.CONV_2D, size // 2, 24, (24, 3, 3, 1), **_window(2))
  for index, (width, stride) in enumerate(blocks, start=1):
    dw_side = (side + stride - 1) // stride
    add(
        f'dw{index}',
        Op.DEPTHWISE_CONV_2D,
        dw_side,
        channels,
        (3, 3, channels),
        **_window(stride, side),
    )
    add(f'pw{index}', Op.CONV_2D, side, width, (width, 1, 1, channels))
  add('pool', Op.AVERAGE_POOL_2D, 1, channels, None, kernel_size=(side, side))
  add('fc', Op.FULLY_CONNECTED, 1, 10, (10, channels))
  return NetworkSpec('synthetic', tuple(tensors), tuple(layers), 'input', name)


def _activation(name, side, channels, fixed_bits=None):
  return TensorSpec(
      name,
      TensorKind.ACTIVATION,
      (side, side, channels),
      fixed_bits=fixed_bits,
  )


def _window(stride, side=28):
  before = 1 if stride == 1 or side % 2 else 0
  return {
      'kernel_size': (3, 3),
      'stride': (stride, stride),
      'padding': (before, before, 1, 1),
  }


@dataclasses.dataclass(frozen=True)
class LayerwiseMemory:
  """RAM: largest input + output of a layer; FLASH: packed weights."""

  network: NetworkSpec
  name: str = 'layerwise'
  _footprints: dict[QuantizationPolicy, MemoryFootprint] = dataclasses.field(
      default_factory=dict, repr=False
  )

  def footprint(self, policy: QuantizationPolicy) -> MemoryFootprint:
    if policy not in self._footprints:
      self._footprints[policy] = self._compute(policy)
    return self._footprints[policy]

  def _compute(self, policy: QuantizationPolicy) -> MemoryFootprint:
    ram_bytes = max(moment.ram_bytes for moment in self.moments(policy))
    bits = policy.as_dict()
    flash_bytes = sum(
        math.ceil(t.num_elements * bits[t.name] / 8) + 8 * _num_channels(t)
        for t in self.network.weights
    )
    return MemoryFootprint(ram_bytes, flash_bytes)

  def moments(self, policy: QuantizationPolicy) -> list[Moment]:
    bits = policy.as_dict()
    size = {
        t.name: math.ceil(t.num_elements * bits[t.name] / 8)
        for t in self.network.activations
    }
    return [
        Moment(
            layer.name,
            size[layer.output] + sum(size[n] for n in layer.inputs),
            (),
        )
        for layer in self.network.layers
    ]

  def fits(self, policy: QuantizationPolicy, budget: MemoryBudget) -> bool:
    return self.footprint(policy).fits(budget)

  def complete(self, decided, budget: MemoryBudget):
    smallest = QuantizationPolicy.uniform(self.network, 2, 2)
    policy = smallest.with_bits(decided)
    return policy if self.fits(policy, budget) else None

  def require_feasible(self, budget: MemoryBudget) -> None:
    smallest = QuantizationPolicy.uniform(self.network, 2, 2)
    if not self.fits(smallest, budget):
      raise BudgetError(f'the minimum is {self.footprint(smallest)}')


def _num_channels(weight: TensorSpec) -> int:
  return weight.shape[-1] if len(weight.shape) == 3 else weight.shape[0]


class SyntheticEvaluator:
  """Policy -> Evaluation by a formula; counts how often it is asked."""

  def __init__(
      self,
      network: NetworkSpec,
      seed: int = 0,
      error: float = 0.002,
      scale: float = 0.006,
  ):
    rng = np.random.default_rng(seed)
    names = [t.name for t in network.policy_tensors if t.fixed_bits is None]
    self._names = names
    self._sensitivity = dict(
        zip(names, scale * np.exp(rng.normal(0, 1.2, len(names))), strict=True)
    )
    self._correlation = rng.uniform(0, 0.9, len(names))
    self._error = error
    self._seed = seed
    self.calls: list[QuantizationPolicy] = []

  def __call__(self, policy: QuantizationPolicy) -> Evaluation:
    self.calls.append(policy)
    bits = policy.as_dict()
    noise = np.array(
        [self._sensitivity[name] * _NOISE[bits[name]] for name in self._names]
    )
    # Neighbours' noise adds up coherently in part.
    total = noise.sum() + np.sum(
        self._correlation[1:] * np.sqrt(noise[1:] * noise[:-1])
    )
    saturated = 1 - math.exp(-total)
    loss = _FLOAT_LOSS + (_CHANCE_LOSS - _FLOAT_LOSS) * saturated
    loss += self._error * _hash_normal(policy, self._seed)
    return Evaluation(
        accuracy=0.91 - 0.81 * saturated, cross_entropy=loss, num_images=2000
    )


def _hash_normal(policy: QuantizationPolicy, seed: int) -> float:
  """A standard normal number that depends only on the policy and the seed."""
  text = f'{seed} {policy.entries}'.encode()
  digest = hashlib.sha256(text).digest()
  return float(np.random.default_rng(np.frombuffer(digest, np.uint32)).normal())


def problem(
    seed: int = 0,
    budget: MemoryBudget = BUDGET,
    error: float = 0.002,
    scale: float = 0.006,
    **fields,
) -> SearchProblem:
  """Returns the default problem with its own evaluator."""
  network = fields.pop('network', None) or default_network()
  return SearchProblem(
      network=network,
      memory_model=LayerwiseMemory(network),
      budget=budget,
      evaluate=SyntheticEvaluator(network, seed, error, scale),
      **fields,
  )


def larger_problem(seed: int = 0) -> SearchProblem:
  """Returns a problem on a MobileNetV1 of width 0.25 for 64x64 images."""
  network = default_network(_LARGER_BLOCKS, size=64)
  return problem(seed, _LARGER_BUDGET, scale=0.003, network=network)


def best_by_enumeration(problem: SearchProblem) -> float:
  """Returns the best reward of all policies that fit."""
  names = [tensor.name for tensor in problem.searched_tensors]
  best = -math.inf
  for widths in itertools.product(problem.bit_widths, repeat=len(names)):
    policy = problem.policy(
        dict(zip(names, widths, strict=True)), problem.bit_widths[0]
    )
    if problem.fits(policy):
      best = max(best, problem.reward(problem.evaluate(policy)))
  return best
