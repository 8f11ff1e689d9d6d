"""Which devices train side by side: tf.distribute strategies by name."""

from __future__ import annotations

import functools

import tensorflow as tf


def strategy(name: str) -> tf.distribute.Strategy:
  """Returns the strategy; make the model within its scope.

  Args:
    name: 'none': TensorFlow's default, one device. 'mirrored': all GPUs, or
      all logical CPUs on a machine without one; each has a copy of every
      variable and a share of the batch.

  Raises:
    ValueError: no such name, or 'mirrored' on a single device.
  """
  if name == 'none':
    return tf.distribute.get_strategy()
  if name != 'mirrored':
    raise ValueError(f"expected 'none' or 'mirrored', received {name!r}")
  devices = tf.config.list_logical_devices('GPU')
  devices = devices or tf.config.list_logical_devices('CPU')
  if len(devices) < 2:
    raise ValueError(
        "distribution 'mirrored': expected at least two devices, found "
        f"{[device.name for device in devices]}; use 'none'"
    )
  return _mirrored(tuple(device.name for device in devices))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
  """Makes one strategy per process.

  TensorFlow numbers the sums between devices anew in each strategy object, and
  those of two objects in one process would meet.
  """
  return tf.distribute.MirroredStrategy(devices)


def require_even_split(batch_size: int, chosen: tf.distribute.Strategy) -> None:
  """Raises ValueError unless all replicas get equally many images."""
  count = chosen.num_replicas_in_sync
  if batch_size % count:
    raise ValueError(
        f'batch_size: expected a multiple of {count}, the number of devices, '
        f'received {batch_size}'
    )
