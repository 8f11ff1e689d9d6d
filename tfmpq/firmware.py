"""Boots firmware on an emulator and reads what it reports.

The emulator, its arguments and the protocol of the last line belong to
tools/arm/run_firmware.sh; the lines `result <name> <value>` to the runners in
tflm_ext/runners.
"""

import dataclasses
import os
import pathlib
import re
import subprocess

CORES = ('cortex_m4', 'cortex_m7', 'cortex_m33', 'cortex_m55')

_SCRIPT = pathlib.Path('tools/arm/run_firmware.sh')
_RESULT = re.compile(r'^result (\w+) (\d+)\r?$', re.MULTILINE)
_TAIL_LINES = 20


class FirmwareError(RuntimeError):
  """A program did not run to its end; the message holds what it printed."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What a runner has printed.

  Attributes:
    status: what its main() returned.
    results: name -> value, of all `result` lines.
    output: everything it printed.
  """

  status: int
  results: dict[str, int]
  output: str

  def __getitem__(self, name: str) -> int:
    if name not in self.results:
      raise FirmwareError(
          f"expected a line 'result {name} <value>', received:\n{self.output}"
      )
    return self.results[name]


def machine(core: str, root: pathlib.Path) -> str:
  """Returns the name of the emulated machine that runs a core's firmware."""
  command = [str((root / _SCRIPT).absolute()), '--machine', core]
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  if result.returncode:
    raise FirmwareError(result.stderr.strip())
  return result.stdout.strip()


def run(
    core: str,
    elf: pathlib.Path,
    arguments: list[str],
    folder: pathlib.Path,
    root: pathlib.Path,
) -> Report:
  """Boots an ELF file on the emulated machine of a core.

  Args:
    core: one of CORES.
    elf: the firmware.
    arguments: for its main(); without spaces and commas.
    folder: where it opens files.
    root: the source tree, or a copy of its tools folder.

  Raises:
    FirmwareError: the emulator is missing, or the firmware did not end.
  """
  script = str((root / _SCRIPT).absolute())
  command = [script, core, str(elf.absolute()), *arguments]
  return run_program(command, folder)


def run_program(command: list[str], folder: pathlib.Path) -> Report:
  """Runs a program that prints `result` lines, on this machine.

  Args:
    command: program and arguments.
    folder: its working directory.

  Raises:
    FirmwareError: it printed no results.
  """
  result = subprocess.run(
      command,
      check=False,
      cwd=folder,
      env=os.environ,
      stderr=subprocess.STDOUT,
      stdout=subprocess.PIPE,
      text=True,
      errors='replace',
  )
  results = {n: int(value) for n, value in _RESULT.findall(result.stdout)}
  if not results:
    lines = result.stdout.strip().splitlines()[-_TAIL_LINES:]
    raise FirmwareError(
        f'{" ".join(command)} ended with status {result.returncode} and '
        'printed no results:\n' + '\n'.join(lines)
    )
  return Report(result.returncode, results, result.stdout)
