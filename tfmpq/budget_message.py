"""The error for a budget that nothing fits: minimum, policy, what binds."""

from tfmpq.budgets import BudgetError
from tfmpq.budgets import MemoryBudget
from tfmpq.budgets import MemoryFootprint
from tfmpq.ram_model import Moment
from tfmpq.specs import NetworkSpec
from tfmpq.specs import QuantizationPolicy

_NUM_LARGEST = 3


def budget_error(
    network: NetworkSpec,
    model_name: str,
    budget: MemoryBudget,
    policy: QuantizationPolicy,
    footprint: MemoryFootprint,
    peak: Moment,
) -> BudgetError:
  """Returns the error for a budget that the smallest policy exceeds.

  Args:
    network: the network.
    model_name: of the memory model.
    budget: what was asked for.
    policy: the smallest one that was possible.
    footprint: its bytes.
    peak: its moment that needs the most RAM.
  """
  problems = []
  if not footprint.fits(MemoryBudget(ram_bytes=budget.ram_bytes)):
    problems.append(_ram_problem(network, budget, policy, footprint, peak))
  if not footprint.fits(MemoryBudget(flash_bytes=budget.flash_bytes)):
    problems.append(_flash_problem(network, budget, policy, footprint))
  widths = ', '.join(f"'{name}': {bits}" for name, bits in policy.entries)
  return BudgetError(
      f"network '{network.name}' cannot fit the budget (memory model "
      f"'{model_name}'): {'; '.join(problems)}. The smallest policy is "
      f'{{{widths}}}'
  )


def _ram_problem(network, budget, policy, footprint, peak: Moment) -> str:
  alive = [
      f"'{name}' {size} bytes at {policy.bits(network, name)} bits"
      for name, size in peak.alive
  ]
  if peak.other_bytes:
    alive.append(f'the runtime {peak.other_bytes} bytes')
  return (
      f"layer '{peak.layer}' needs {footprint.ram_bytes} bytes of RAM "
      f"({', '.join(alive)}), budget is {budget.ram_bytes}; use a smaller "
      'input or fewer channels'
  )


def _flash_problem(network, budget, policy, footprint) -> str:
  sizes = {
      w.name: w.num_elements * policy.bits(network, w.name) // 8
      for w in network.weights
  }
  largest = sorted(sizes, key=sizes.get, reverse=True)[:_NUM_LARGEST]
  listed = ', '.join(
      f"'{name}' {sizes[name]} bytes at {policy.bits(network, name)} bits"
      for name in largest
  )
  return (
      f'the weights and their parameters need {footprint.flash_bytes} bytes of '
      f'FLASH (largest: {listed}), budget is {budget.flash_bytes}; use fewer '
      'channels or layers'
  )
