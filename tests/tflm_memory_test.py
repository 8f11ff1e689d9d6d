"""The arena that TFLite Micro really needs is the predicted one, to the byte.

Each core tries arenas until it has the smallest with which AllocateTensors
succeeds (tflm_ext/runners/tflm_smallest_arena.cc).
"""

import numpy as np
import pytest

from tests import tflm_arena_cases
from tests import tflm_arena_checks

_SEED = 20260103
_CORES = tflm_arena_checks.CORES


def _rng(core):
  print(f'seed {_SEED}')
  return np.random.default_rng([_SEED, _CORES.index(core)])


@pytest.mark.parametrize('core', _CORES)
def test_small_random_networks_need_what_is_predicted(core, tmp_path):
  cases = tflm_arena_cases.random_cases(core, 10, _rng(core))
  tflm_arena_checks.check(core, cases, tmp_path)


@pytest.mark.parametrize('core', _CORES)
def test_mobilenets_need_what_is_predicted(core, tmp_path):
  rng = _rng(core)
  cases = [
      make(network, core, rng)
      for network in tflm_arena_cases.spec_networks()
      for make in (tflm_arena_cases.custom_case, tflm_arena_cases.builtin_case)
  ]
  tflm_arena_checks.check(core, cases, tmp_path)
