"""Helpers of the tests that build firmware packages without Bazel."""

from collections.abc import Iterable, Sequence
import pathlib
import re
import subprocess

import numpy as np

from tests import mixed_network

ROOT = pathlib.Path(__file__).absolute().parents[1]
_RUNNERS = ROOT / 'tflm_ext' / 'runners'
_WARNINGS = ('-Wall', '-Wextra', '-Werror')
_C_OPTIONS = ('-std=c99', '-O2')
_ARM_OPTIONS = {
    'cortex_m4': (
        '-mcpu=cortex-m4',
        '-mfpu=fpv4-sp-d16',
        '-mfloat-abi=hard',
    ),
    'cortex_m55': ('-mcpu=cortex-m55', '-mfloat-abi=hard'),
}
_BOARDS = {'cortex_m4': 'mps2_an386', 'cortex_m55': 'mps3_an547'}
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


def compiler(core: str, language: str = 'c') -> tuple[str, ...]:
  """Returns the compiler of a language ('c' or 'c++') for a core."""
  if core == 'host':
    return ({'c': 'cc', 'c++': 'c++'}[language],)
  name = {'c': 'gcc', 'c++': 'g++'}[language]
  return f'arm-none-eabi-{name}', *_ARM_OPTIONS[core]


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


def compiled(
    folder: pathlib.Path,
    paths: Iterable[str],
    core: str,
    cxx_options: Sequence[str] = (),
) -> list[pathlib.Path]:
  """Compiles files of a package, with nothing else to include; returns objects.

  Args:
    folder: of the package.
    paths: of C and C++ sources in it.
    core: for which.
    cxx_options: for C++.
  """
  objects = []
  for i, path in enumerate(paths):
    command = (*compiler(core), *_C_OPTIONS)
    if path.endswith('.cc'):
      command = (*compiler(core, 'c++'), '-std=c++17', *cxx_options)
    objects.append(folder / f'{i}.o')
    options = ('-ffunction-sections', '-fdata-sections', *_WARNINGS)
    includes = ('-Imodel', '-I.', '-c', path, '-o', objects[-1])
    call(*command, *options, *includes, cwd=folder)
  return objects


def run_firmware(objects, folder, core: str, language: str = 'c') -> None:
  """Links folder/firmware.elf and boots it on the emulated board of a core.

  The board belongs to the firmware, not to the package.
  """
  board = []
  for name in ('startup', 'syscalls', 'semihost'):
    board.append(folder / f'{name}.o')
    command = (*compiler(core), '-std=gnu99', '-O2', f'-I{ROOT}', '-c')
    call(*command, _RUNNERS / f'{name}.c', '-o', board[-1])
  options = (
      *('-nostartfiles', '--specs=nano.specs', '-Wl,--gc-sections'),
      *('-Wl,--no-warn-rwx-segments', f'-L{ROOT}'),
      *(f'-Ttflm_ext/runners/{_BOARDS[core]}.ld', '-lm'),
  )
  elf = folder / 'firmware.elf'
  link = compiler(core, language)
  call(*link, *board, *objects, *options, '-o', elf, cwd=ROOT)
  call(ROOT / 'tools' / 'arm' / 'run_firmware.sh', core, elf, cwd=folder)
