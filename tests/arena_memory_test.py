"""The arena as our exports need it, in C and under TFLite Micro."""

import pytest

from tests import mobilenet_specs
from tfmpq import arena_memory
from tfmpq import kernel_targets
from tfmpq import memory_model
from tfmpq import specs
from tfmpq import tflm_custom_memory
from tfmpq.arena_memory import Backend
from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget


def _residual():
  """a = conv(input), b = conv(a), sum = a + b, and a last convolution."""
  builder = mobilenet_specs.SpecBuilder((4, 4, 8))
  builder.conv('a', 8)
  builder.conv('b', 8, signed=True)
  builder.add('sum', 'a_out')
  builder.conv('head', 8, signed=True, bits=8)
  return builder.build('residual')


def _arena(network, backend):
  return arena_memory.arena_model(network, backend, lambda policy: 0)


def test_the_arena_of_tflm_is_what_allocate_tensors_needs():
  network = _residual()
  policy = specs.QuantizationPolicy.uniform(network, 8, 8)
  target = kernel_targets.Target.PORTABLE
  need = tflm_custom_memory.arena_need(network, policy, target)
  model = _arena(network, Backend.TFLM)
  assert (
      _arena(network, Backend.C).footprint(policy).ram_bytes
      == need.head_bytes
      == 256
  )
  assert model.footprint(policy).ram_bytes == need.arena_bytes
  peak = model.peak(policy)
  assert peak.ram_bytes == need.arena_bytes
  assert peak.other_bytes == need.arena_bytes - need.head_bytes


def test_widths_that_no_kernel_knows_are_not_used():
  network = _residual()
  model = memory_model.MemoryModel(
      network,
      'wide',
      arena_memory.ArenaRam(network, Backend.C),
      lambda policy: sum(
          {4: 4, 8: 8}[policy.bits(network, w.name)] * w.num_elements
          for w in network.weights
      ),
      {
          specs.TensorKind.ACTIVATION: (8,),
          specs.TensorKind.WEIGHT: (4, 8),
      },
  )
  policy, footprint = model.minimum()
  assert policy == specs.QuantizationPolicy.uniform(network, 4, 8)
  assert (
      model.repair(
          specs.QuantizationPolicy.uniform(network, 8, 8),
          MemoryBudget(flash_bytes=footprint.flash_bytes),
      )
      == policy
  )
  with pytest.raises(BudgetError):
    model.require_feasible(MemoryBudget(ram_bytes=footprint.ram_bytes - 1))
