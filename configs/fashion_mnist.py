"""The default: Fashion-MNIST in half of what its 8-bit network needs.

Command: ./bazelw run //tfmpq:search
Source: no table row of the paper; a network that trains on any laptop.
"""

from tfmpq import config


def get_config() -> config.ExperimentConfig:
  """Returns the experiment."""
  return config.ExperimentConfig()
