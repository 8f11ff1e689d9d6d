"""bazelw: what it installs, what it says, which Bazel it runs."""

import os
import pathlib
import shutil
import subprocess

import pytest

# Real programs that the script may use; everything else is a stand-in.
_REAL = ("cat", "dirname", "env", "flock", "mktemp", "rm", "sh")

# Prints which program it is and its arguments.
_ECHO = '#!/bin/sh\necho "$(basename "$0") $*"\n'

_ARM_GCC = "#!/bin/sh\necho /usr/lib/arm-none-eabi/lib/nano.specs\n"
_GCC = "#!/bin/sh\necho /\n"  # A library that exists.
_OK = "#!/bin/sh\nexit 0\n"

# "Installs" QEMU.
_APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$APT_LOG"
case "$1" in install) cp "$BIN/bazel" "$BIN/qemu-system-arm" ;; esac
"""


class Machine:
  """A folder of programs that is the script's whole PATH."""

  def __init__(self, folder):
    self._bin = folder / "bin"
    self._bin.mkdir()
    self._apt_log = folder / "apt.log"
    self._apt_log.touch()
    for name in _REAL + ("basename", "cp"):
      (self._bin / name).symlink_to(shutil.which(name))
    self.add("arm-none-eabi-gcc", _ARM_GCC)
    self.add("gcc", _GCC)
    for name in ("g++", "python3", "apt-cache"):
      self.add(name, _OK)
    self.add("apt-get", _APT_GET)
    self.add("bazel", _ECHO)
    self.add("qemu-system-arm", _OK)
    self.become_user(1000)

  def add(self, name, text):
    path = self._bin / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)

  def remove(self, name):
    (self._bin / name).unlink()

  def become_user(self, number):
    self.add("id", f"#!/bin/sh\necho {number}\n")

  def run(self, *arguments, **environ):
    return subprocess.run(
        [pathlib.Path("bazelw").resolve(), *arguments],
        capture_output=True,
        check=False,
        env={
            "APT_LOG": str(self._apt_log),
            "BIN": str(self._bin),
            "PATH": str(self._bin),
            "TMPDIR": os.environ.get("TEST_TMPDIR", "/tmp"),
            **environ,
        },
        text=True,
    )

  def apt_calls(self):
    return self._apt_log.read_text(encoding="utf-8").splitlines()


@pytest.fixture(name="machine")
def fixture_machine(tmp_path):
  return Machine(tmp_path)


def test_bazel_gets_the_arguments(machine):
  result = machine.run("test", "//...", "--flag=a b")
  assert result.returncode == 0
  assert result.stdout == "bazel test //... --flag=a b\n"


def test_bazelisk_is_preferred(machine):
  machine.add("bazelisk", _ECHO)
  assert machine.run("info").stdout == "bazelisk info\n"


def test_user_is_told_the_command_and_bazel_runs_all_the_same(machine):
  machine.remove("qemu-system-arm")
  result = machine.run("info")
  assert result.returncode == 0
  assert result.stdout == "bazel info\n"
  assert "QEMU: running firmware" in result.stderr
  assert "sudo apt-get update && sudo apt-get install" in result.stderr
  assert "qemu-system-arm" in result.stderr
  assert not machine.apt_calls()


def test_missing_bazel_stops(machine):
  machine.remove("bazel")
  result = machine.run("info")
  assert result.returncode == 1
  assert "bazel-bootstrap" in result.stderr
  assert not result.stdout


def test_root_installs_what_is_missing(machine):
  machine.become_user(0)
  machine.remove("qemu-system-arm")
  result = machine.run("info")
  assert result.returncode == 0
  assert "installing with apt-get" in result.stderr
  update, install = machine.apt_calls()
  assert update.startswith("apt-get update")
  assert "--no-install-recommends" in install
  assert "qemu-system-arm" in install.split()
  assert "bazel-bootstrap" not in install
  assert "QEMU: running firmware" not in result.stderr


def test_root_installs_nothing_if_told_so(machine):
  machine.become_user(0)
  machine.remove("qemu-system-arm")
  result = machine.run("info", TFMPQ_NO_INSTALL="1")
  assert result.returncode == 0
  assert "QEMU: running firmware" in result.stderr
  assert not machine.apt_calls()


def test_failed_installation_is_shown_and_does_not_stop(machine):
  machine.become_user(0)
  machine.remove("qemu-system-arm")
  machine.add("apt-get", "#!/bin/sh\necho no space left\nexit 100\n")
  result = machine.run("info")
  assert result.stdout == "bazel info\n"
  assert "apt-get failed" in result.stderr
  assert "QEMU: running firmware" in result.stderr


def test_python_without_venv_is_missing(machine):
  machine.add("python3", "#!/bin/sh\nexit 1\n")
  assert "python3-venv" in machine.run("info").stderr
  assert "python3-venv" not in machine.run("info", TFMPQ_VENV="/v").stderr


def test_arm_compiler_without_newlib_is_incomplete(machine):
  machine.add("arm-none-eabi-gcc", "#!/bin/sh\necho nano.specs\n")
  assert "libnewlib-arm-none-eabi" in machine.run("info").stderr


def test_arm_cxx_library_is_needed_where_tflm_is(machine, tmp_path):
  (tmp_path / "tflm" / "include").mkdir(parents=True)
  environ = {"TFLM_ROOT": str(tmp_path / "tflm")}
  assert "libstdc++-arm-none-eabi-newlib" in machine.run("x", **environ).stderr
  absent = {"TFLM_ROOT": str(tmp_path / "absent")}
  assert "libstdc++" not in machine.run("x", **absent).stderr
  machine.add("arm-none-eabi-g++", "#!/bin/sh\necho /lib/libstdc++_nano.a\n")
  assert "libstdc++" not in machine.run("x", **environ).stderr
