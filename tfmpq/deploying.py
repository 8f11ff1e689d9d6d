"""Runs a network on the cores under the backend of an experiment."""

import pathlib

from absl import logging
import numpy as np

from tfmpq import config as config_lib
from tfmpq import deployment
from tfmpq import quantized_network
from tfmpq import tflm_deployment


def deploy(
    config: config_lib.ExperimentConfig,
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
    folder: pathlib.Path,
) -> list[deployment.DeployResult]:
  """Exports a network, builds it, and runs it on each core.

  Args:
    config: names the backend, its ops and the cores.
    network: what to deploy.
    codes: int8 [N, H, W, C] network inputs, at least one.
    folder: run directory, which receives the files.

  Raises:
    ValueError: the backend is TFLite Micro, which is not at hand, or as
      deployment.deploy and tflm_deployment.deploy.
    bazel_build.BuildError: no program.
    firmware.FirmwareError: a program did not run to its end.
  """
  cores = config.deploy.core_names()
  if config.budget.backend == 'c':
    return deployment.deploy(network, codes, cores, folder)
  missing = tflm_deployment.missing_sdk(cores)
  if missing:
    raise ValueError(f'--backend=tflm: {missing}')
  return tflm_deployment.deploy(
      network, codes, cores, folder, tflite_ops=config.budget.tflite_ops
  )


def deploy_what_can_run(
    config: config_lib.ExperimentConfig,
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
    folder: pathlib.Path,
) -> list[deployment.DeployResult]:
  """As `deploy`, for a run, which is to end with a report.

  Where there is no TFLite Micro, the C export is run; a log line says so. A
  network of builtin ops is run with custom ops, too, to be compared.
  """
  cores = config.deploy.core_names()
  missing = tflm_deployment.missing_sdk(cores)
  if config.budget.backend == 'tflm' and missing:
    logging.warning('%s. The C export is run instead.', missing)
    return deployment.deploy(network, codes, cores, folder)
  results = deploy(config, network, codes, folder)
  if config.budget.backend == 'tflm' and config.budget.tflite_ops == 'builtin':
    results += tflm_deployment.deploy(
        network, codes, cores, folder, tflite_ops='custom'
    )
  return results
