"""Five networks with ten random policies each need the predicted arenas.

Takes minutes, so it runs on demand:
bazel test //tests:tflm_memory_networks_test
"""

import functools

import numpy as np
import pytest

from tests import tflm_arena_cases
from tests import tflm_arena_checks
from tfmpq import keras_graph
from tfmpq import models

_SEED = 20260104
_NUM_POLICIES = 10
# Name -> arguments of models.build_model.
_NETWORKS = {
    'default': ('mobilenet_v1_small',),
    'mobilenet_v1_0.25_96x96x1': ('mobilenet_v1', (96, 96, 1), 2, 0.25),
    'mobilenet_v2_0.35_96x96x3': ('mobilenet_v2', (96, 96, 3), 10, 0.35),
    'resnet8_32x32x3': ('resnet8', (32, 32, 3), 10),
    'ds_cnn_49x10x1': ('ds_cnn', (49, 10, 1), 12),
}


@functools.cache
def _spec(network):
  return keras_graph.fold(models.build_model(*_NETWORKS[network])).spec


@pytest.mark.parametrize('core', tflm_arena_checks.CORES)
@pytest.mark.parametrize('network', _NETWORKS)
def test_arena_is_predicted(network, core, tmp_path):
  print(f'seed {_SEED}')
  rng = np.random.default_rng(
      [_SEED, tflm_arena_checks.CORES.index(core), *map(ord, network)]
  )
  cases = [
      make(_spec(network), core, rng)
      for make in (tflm_arena_cases.custom_case, tflm_arena_cases.builtin_case)
      for _ in range(_NUM_POLICIES)
  ]
  tflm_arena_checks.check(core, cases, tmp_path)
