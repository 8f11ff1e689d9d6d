"""run_firmware.sh: exit statuses, output, arguments, and the FVP's command."""

import os
import pathlib
import subprocess

import pytest

_RUNNER = "tools/arm/run_firmware.sh"
_CORES = ("cortex_m4", "cortex_m7", "cortex_m33", "cortex_m55")

# Speaks the FVP's language: one argument per line, then the firmware's last
# line. Like the FVP it ends with status 0 whatever the firmware returned.
_FVP_STAND_IN = """#!/bin/sh
for argument in "$@"; do
  echo "argument=$argument"
done
echo "working directory=$PWD"
printf 'TFMPQ_EXIT %s\\r\\n' "$FVP_STAND_IN_STATUS"
"""


def _run(core, *arguments, environ=None, elf=None):
  return subprocess.run(
      [_RUNNER, core, elf or _elf(core), *arguments],
      check=False,
      env={**os.environ, **(environ or {})},
      stderr=subprocess.STDOUT,
      stdout=subprocess.PIPE,
      text=True,
      timeout=50,
  )


def _elf(core):
  return f"tflm_ext/runners/selftest_mcu_{core}.elf"


@pytest.fixture(name="fvp")
def fixture_fvp(tmp_path):
  path = tmp_path / "FVP_Corstone_SSE-300_Ethos-U55"
  path.write_text(_FVP_STAND_IN, encoding="utf-8")
  path.chmod(0o755)
  return path


@pytest.fixture(autouse=True)
def fixture_no_fvp_of_this_machine(monkeypatch):
  monkeypatch.delenv("TFMPQ_FVP", raising=False)


@pytest.mark.parametrize("core", _CORES)
@pytest.mark.parametrize("status", [0, 1, 37, 255])
def test_status_of_main_is_the_exit_status(core, status):
  result = _run(core, "exit", str(status))
  assert result.returncode == status
  assert result.stdout.splitlines()[-1] == f"TFMPQ_EXIT {status}"


@pytest.mark.parametrize("status", [256, -1])
def test_status_that_does_not_fit_a_byte_is_no_success(status):
  assert _run("cortex_m4", "exit", str(status)).returncode == 255


@pytest.mark.parametrize("core", _CORES)
def test_fault_is_reported(core):
  result = _run(core, "fault")
  assert result.returncode == 125
  assert "fault: exception 0000000" in result.stdout


def test_instruction_counts_repeat():
  first = _run("cortex_m7", "check", "all")
  assert first.returncode == 0
  assert "loop(12345): 24692 24692 instructions" in first.stdout
  assert _run("cortex_m7", "check", "all").stdout == first.stdout


def test_firmware_without_exit_line_fails():
  # An image of another core locks up before it prints anything.
  result = _run("cortex_m4", "exit", "0", elf=_elf("cortex_m33"))
  assert result.returncode != 0
  assert "ended without a TFMPQ_EXIT line" in result.stdout


@pytest.mark.parametrize("argument", ["a,b", "a b"])
def test_argument_that_emulators_cannot_pass_is_refused(argument):
  result = _run("cortex_m4", argument)
  assert result.returncode == 2
  assert "comma or a space" in result.stdout


def test_unknown_core_is_refused():
  result = _run("cortex_m3", elf=_elf("cortex_m4"))
  assert result.returncode == 2
  assert "known are cortex_m4" in result.stdout


@pytest.mark.parametrize("status", [0, 3])
def test_fvp_is_used_and_its_last_line_trusted(fvp, status):
  environ = {"TFMPQ_FVP": str(fvp), "FVP_STAND_IN_STATUS": str(status)}
  result = _run("cortex_m55", "one", "two", environ=environ)
  assert result.returncode == status
  lines = result.stdout.splitlines()
  arguments = [
      line.removeprefix("argument=")
      for line in lines
      if line.startswith("argument=")
  ]
  pairs = dict(
      arguments[index + 1].split("=", 1)
      for index, argument in enumerate(arguments)
      if argument == "-C"
  )
  elf = _elf("cortex_m55")
  name = pathlib.Path(elf).name
  assert pairs == {
      "cpu0.CFGITCMSZ": "15",
      "cpu0.CFGDTCMSZ": "15",
      "cpu0.semihosting-enable": "1",
      "cpu0.semihosting-cmd_line": f"{name} one two",
      "cpu0.semihosting-cwd": lines[-2].removeprefix("working directory="),
      "mps3_board.visualisation.disable-visualisation": "1",
      "mps3_board.telnetterminal0.start_telnet": "0",
      "mps3_board.telnetterminal1.start_telnet": "0",
      "mps3_board.telnetterminal2.start_telnet": "0",
      "mps3_board.uart0.out_file": "-",
      "mps3_board.uart0.unbuffered_output": "1",
  }
  assert arguments[-4:-1] == ["-a", elf, "--timelimit"]


def test_fvp_on_path_is_found(fvp):
  environ = {
      "FVP_STAND_IN_STATUS": "0",
      "PATH": f"{fvp.parent}:{os.environ['PATH']}",
  }
  result = _run("cortex_m55", environ=environ)
  assert result.returncode == 0
  assert "argument=-a" in result.stdout


def test_fvp_is_for_the_cortex_m55_only(fvp):
  environ = {"TFMPQ_FVP": str(fvp), "FVP_STAND_IN_STATUS": "9"}
  assert _run("cortex_m4", "exit", "0", environ=environ).returncode == 0
