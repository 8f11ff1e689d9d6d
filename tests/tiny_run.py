"""A run that takes seconds: its images, its flags, and how to start it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np

RAM_BYTES, FLASH_BYTES = 2000, 2500
NUM_TEST_IMAGES = 60
# Data and network; no weights, no budget.
NETWORK_FLAGS = (
    '--dataset=npz:images.npz',
    '--model=ds_cnn',
    '--width=0.25',
    '--pretrain',
    '--pretrain_epochs=30',
)
FLAGS = (
    *NETWORK_FLAGS,
    '--num_reward_images=40',
    '--num_calibration_images=64',
    '--episodes=24',
    # Its agent trains between evaluations: they are spread over some time.
    '--ddpg_start=none',
    '--finetune_epochs=3',
    '--batch_size=16',
    f'--ram={RAM_BYTES}',
    f'--flash={FLASH_BYTES}',
)


def write_images(folder: pathlib.Path) -> None:
  """Writes images.npz: three classes, 12x12, that differ in where they shine.

  Args:
    folder: where the programs are started.
  """
  rng = np.random.default_rng(7)
  arrays = {}
  for split, count in (('train', 540), ('test', NUM_TEST_IMAGES)):
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 12, 12, 1))
    for label in range(3):
      images[labels == label, 4 * label : 4 * label + 4] += 100
    arrays[f'x_{split}'] = images.astype(np.uint8)
    arrays[f'y_{split}'] = labels
  np.savez(folder / 'images.npz', **arrays)


def start(folder, program: str, *arguments: str) -> subprocess.Popen:
  """Starts a program as a user in `folder` would, in a process group."""
  environment = dict(
      os.environ,
      BUILD_WORKING_DIRECTORY=str(folder),
      PYTHONPATH=os.pathsep.join(p for p in sys.path if p),
  )
  return subprocess.Popen(
      [sys.executable, '-m', f'tfmpq.{program}', *arguments],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      start_new_session=True,
  )


def run(folder, program: str, *arguments: str) -> str:
  """Returns what a program prints; it must end well."""
  process = start(folder, program, *arguments)
  output, _ = process.communicate(timeout=600)
  assert process.returncode == 0, output
  return output


def refusal(folder, program: str, *arguments: str) -> str:
  """Returns the last line of a program, which must refuse to go on."""
  process = start(folder, program, *arguments)
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 1, output
  assert 'Traceback' not in output, output
  return output.splitlines()[-1]
