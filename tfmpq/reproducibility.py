"""Makes TensorFlow compute the same bits on every run of a program."""

import importlib.metadata
import pathlib
import platform

import tensorflow as tf
import tf_keras as keras

# Packages whose version can change a trained weight.
_RELEVANT_PACKAGES = (
    'numpy',
    'tensorflow',
    'tf-keras',
    'tensorflow-datasets',
    'tensorflow-model-optimization',
)


def make_reproducible(seed: int, num_threads: int) -> None:
  """Seeds everything, fixes the thread count, turns op determinism on.

  Call it once, before TensorFlow runs its first op: sums are split between
  threads, so that another number of threads gives other last bits.

  Args:
    seed: For Python, NumPy and TensorFlow, >= 0.
    num_threads: Threads within one op, >= 1; ops run one after the other.
  """
  if num_threads < 1:
    raise ValueError(f'expected num_threads >= 1, got {num_threads}')
  tf.config.threading.set_intra_op_parallelism_threads(num_threads)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  tf.config.experimental.enable_op_determinism()
  # GPUs would round the factors of float32 products to 10 bits: too few for
  # codes of 8 bits times their scales.
  tf.config.experimental.enable_tensor_float_32_execution(False)
  keras.utils.set_random_seed(seed)


def environment() -> dict[str, str]:
  """Returns what results depend on besides the seed: versions and processor."""
  versions = {'python': platform.python_version(), 'processor': _processor()}
  for package in _RELEVANT_PACKAGES:
    versions[package] = importlib.metadata.version(package)
  return versions


def _processor() -> str:
  """Returns the processor's name, or its architecture where Linux hides it."""
  cpuinfo = pathlib.Path('/proc/cpuinfo')
  if cpuinfo.is_file():
    for line in cpuinfo.read_text().splitlines():
      key, _, value = line.partition(':')
      if key.strip() == 'model name':
        return value.strip()
  return platform.machine()
