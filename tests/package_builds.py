"""Helpers of the tests that build firmware packages without Bazel."""

import pathlib
import re
import subprocess

import numpy as np

from tests import mixed_network

ROOT = pathlib.Path(__file__).absolute().parents[1]
_RUNNERS = ROOT / 'tflm_ext' / 'runners'
WARNINGS = ('-Wall', '-Wextra', '-Werror')
C_OPTIONS = ('-std=c99', '-O2', '-ffunction-sections', '-Imodel', '-I.')
ARM = (
    'arm-none-eabi-gcc',
    '-mcpu=cortex-m4',
    '-mfpu=fpv4-sp-d16',
    '-mfloat-abi=hard',
)
_NUM_IMAGES = 3


def call(*command, cwd=None) -> subprocess.CompletedProcess:
  """Runs a command, which must succeed."""
  result = subprocess.run(
      [str(word) for word in command],
      check=False,
      cwd=cwd,
      stderr=subprocess.STDOUT,
      stdout=subprocess.PIPE,
      text=True,
  )
  assert result.returncode == 0, result.stdout
  return result


def codes(network) -> np.ndarray:
  """Returns the codes of a few images for a network."""
  shape = network.spec.tensor(network.spec.input).shape
  rng = np.random.default_rng(9)
  return mixed_network.random_codes(shape, _NUM_IMAGES, rng)


def sources(folder: pathlib.Path) -> list[str]:
  """Returns what the package's CMakeLists.txt compiles."""
  text = (folder / 'CMakeLists.txt').read_text()
  block = re.search(r'add_library\(tfmpq_model STATIC\n(.*?)\)', text, re.S)
  return block[1].split()


def link_firmware(objects, folder, compiler) -> None:
  """Links folder/firmware.elf for the emulated board of a Cortex-M4.

  The board belongs to the firmware, not to the package.
  """
  board = []
  for name in ('startup', 'syscalls', 'semihost'):
    board.append(folder / f'{name}.o')
    command = (*ARM, '-std=gnu99', '-O2', f'-I{ROOT}', '-c')
    call(*command, _RUNNERS / f'{name}.c', '-o', board[-1])
  options = (
      *('-nostartfiles', '--specs=nano.specs', '-Wl,--gc-sections'),
      *('-Wl,--no-warn-rwx-segments', f'-L{ROOT}'),
      *('-Ttflm_ext/runners/mps2_an386.ld', '-lm'),
  )
  elf = folder / 'firmware.elf'
  call(*compiler, *board, *objects, *options, '-o', elf, cwd=ROOT)
