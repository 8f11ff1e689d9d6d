"""Formatting, lint, types and file lengths of the whole source tree.

`bazel test //:presubmit` checks and never writes; `bazel run //:format` runs
the formatters. Both read pyproject.toml and .clang-format.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

_SOURCE_DIRS = ("configs", "platforms", "tests", "tflm_ext", "tfmpq", "tools")
_PYTHON = (".py",)
_C = (".c", ".cc", ".h")
_STARLARK = (".bzl", "BUILD", "WORKSPACE")
_MAX_LINES = 400


def source_files(root, endings):
  """Returns the files of the project, relative to root, with these endings.

  Only the source folders are searched: run directories and Bazel's links lie
  beside them.
  """
  files = [path for path in root.iterdir() if path.is_file()]
  for name in _SOURCE_DIRS:
    files += [path for path in (root / name).rglob("*") if path.is_file()]
  return sorted(
      str(path.relative_to(root))
      for path in files
      if path.name.endswith(endings)
  )


def too_long(root, files):
  """Returns a line for each file of _MAX_LINES lines or more."""
  lengths = {
      name: len((root / name).read_text(encoding="utf-8").splitlines())
      for name in files
  }
  return [
      f"{name}: {length} lines, should be fewer than {_MAX_LINES}"
      for name, length in lengths.items()
      if length >= _MAX_LINES
  ]


def _tool(name):
  """Returns the path of a tool installed beside this Python."""
  path = pathlib.Path(sys.executable).parent / name
  if not path.exists():
    raise FileNotFoundError(
        f"{path} does not exist: install requirements-dev.txt there"
    )
  return str(path)


def _commands(root, write):
  """Returns title -> command line, for checking or for writing."""
  python = source_files(root, _PYTHON)
  c = source_files(root, _C)
  concise = ["--output-format=concise"]
  fix = ["--fix"] if write else []
  check = [] if write else ["--check", "--quiet"]
  commands = {
      "ruff": [
          _tool("ruff"),
          "check",
          "--no-cache",
          "--quiet",
          *concise,
          *fix,
          *python,
      ],
      "pyink": [_tool("pyink"), *check, *python],
      "clang-format": [
          _tool("clang-format"),
          *(["-i"] if write else ["--dry-run", "-Werror"]),
          *c,
      ],
  }
  buildifier = shutil.which("buildifier")
  if buildifier:
    mode = "-mode=fix" if write else "-mode=check"
    starlark = source_files(root, _STARLARK)
    commands["buildifier"] = [buildifier, mode, *starlark]
  if not write:
    commands["mypy"] = [_tool("mypy"), "--no-error-summary"]
  return commands


def _run(root, title, command, environ):
  """Runs a command; returns 1 and prints its output if it fails."""
  result = subprocess.run(
      command,
      check=False,
      cwd=root,
      env=environ,
      stderr=subprocess.STDOUT,
      stdout=subprocess.PIPE,
      text=True,
  )
  if result.returncode == 0:
    print(f"ok: {title}")
    return 0
  print(f"FAILED: {title}\n{result.stdout}")
  return 1


def _source_root():
  """Returns the root of the source tree, from under Bazel or not."""
  workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
  if workspace:
    return pathlib.Path(workspace)
  # In a test this file is a link into the source tree.
  return pathlib.Path(__file__).resolve().parents[1]


def main():
  """Checks or formats; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--write", action="store_true", help="format the files")
  write = parser.parse_args().write
  root = _source_root()
  environ = dict(os.environ)
  scratch = environ.get("TEST_TMPDIR")
  if scratch:
    environ.update(HOME=scratch, MYPY_CACHE_DIR=os.path.join(scratch, "mypy"))
  failures = sum(
      _run(root, title, command, environ)
      for title, command in _commands(root, write).items()
  )
  long_files = too_long(root, source_files(root, _PYTHON + _C + (".bzl",)))
  if long_files:
    print("FAILED: file lengths\n" + "\n".join(long_files))
  if not shutil.which("buildifier"):
    print("not checked: buildifier is not installed")
  if failures and not write:
    print("`./bazelw run //:format` mends what a formatter can mend.")
  return 1 if failures or long_files else 0


if __name__ == "__main__":
  sys.exit(main())
