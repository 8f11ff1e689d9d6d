"""Runs Bazel from inside a program that Bazel has started.

`bazel run` gives up the server's lock before it starts the program, so that a
build can begin there. The same server takes it only if its startup options are
the same; they are found from where the running program lies.
"""

from collections.abc import Iterator, Mapping, Sequence
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

# What `bazel run` sets for the program that it starts. PYTHONPATH would lead
# the Pythons of repository rules to this program's modules.
_OWN_VARIABLES = (
    'BUILD_WORKING_DIRECTORY',
    'BUILD_WORKSPACE_DIRECTORY',
    'PYTHONPATH',
    'RUNFILES_DIR',
    'RUNFILES_MANIFEST_FILE',
    'RUNFILES_MANIFEST_ONLY',
)
_TAIL_LINES = 25


class BuildError(RuntimeError):
  """Bazel has not built what was asked for; the message holds its output."""


def workspace_root() -> pathlib.Path:
  """Returns the root of the source tree.

  Raises:
    FileNotFoundError: This program was started neither by `bazel run` nor from
      the source tree.
  """
  set_by_bazel = os.environ.get('BUILD_WORKSPACE_DIRECTORY')
  root = pathlib.Path(set_by_bazel or pathlib.Path(__file__).parents[1])
  if not (root / 'bazelw').exists():
    raise FileNotFoundError(
        f'{root} is not the source tree of tfmpq (it holds no bazelw): start '
        'this program with ./bazelw run'
    )
  return root


def startup_options(program: str) -> list[str]:
  """Returns the options that reach the Bazel server that built a program.

  Args:
    program: path of the running program, below <output base>/execroot, or
      anywhere else for a program that Bazel has not started.
  """
  base, found, _ = program.partition('/execroot/')
  if not found:
    return []
  output_base = pathlib.Path(base)
  # Bazel names it after the MD5 sum of the workspace's path, by default.
  if re.fullmatch('[0-9a-f]{32}', output_base.name):
    return [f'--output_user_root={output_base.parent}']
  return [f'--output_base={output_base}']


def build(
    targets: Sequence[str], options: Sequence[str], root: pathlib.Path
) -> dict[str, pathlib.Path]:
  """Builds targets that have one output file each.

  Args:
    targets: labels, in the form `//package:name`.
    options: of `bazel build`.
    root: the source tree.

  Returns:
    label -> the file.

  Raises:
    BuildError: the build failed.
  """
  environ = {k: v for k, v in os.environ.items() if k not in _OWN_VARIABLES}
  with tempfile.TemporaryDirectory() as folder:
    events = pathlib.Path(folder, 'events.json')
    command = [str(root / 'bazelw'), *startup_options(sys.argv[0]), 'build']
    command += [*options, f'--build_event_json_file={events}', '--', *targets]
    result = subprocess.run(
        command,
        check=False,
        cwd=root,
        env=environ,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if result.returncode:
      lines = result.stdout.strip().splitlines()[-_TAIL_LINES:]
      raise BuildError(
          f'{" ".join(command)} failed with status {result.returncode}:\n'
          + '\n'.join(lines)
      )
    return output_files(events.read_text(), targets)


def output_files(
    events: str, targets: Sequence[str]
) -> dict[str, pathlib.Path]:
  """Returns label -> output file, read from Bazel's build events.

  Args:
    events: JSON objects, one per line (--build_event_json_file).
    targets: labels with one output file each.

  Raises:
    BuildError: a target has no output, or several.
  """
  file_sets, roots = {}, {}
  for line in events.splitlines():
    event = json.loads(line)
    identity = event['id']
    if 'namedSet' in identity:
      file_sets[identity['namedSet']['id']] = event['namedSetOfFiles']
    elif 'targetCompleted' in identity and 'completed' in event:
      groups = event['completed'].get('outputGroup', [])
      roots[identity['targetCompleted']['label']] = [
          file_set['id']
          for group in groups
          if group['name'] == 'default'
          for file_set in group.get('fileSets', [])
      ]
  outputs = {}
  for target in targets:
    files = {
        path
        for file_set in roots.get(target, [])
        for path in _files(file_set, file_sets)
    }
    if len(files) != 1:
      raise BuildError(
          f'{target}: expected one output file, Bazel reports {sorted(files)}'
      )
    outputs[target] = files.pop()
  return outputs


def _files(
    file_set: str, file_sets: Mapping[str, dict]
) -> Iterator[pathlib.Path]:
  """Yields the files of a set and of the sets inside it."""
  content = file_sets[file_set]
  for file in content.get('files', []):
    path = urllib.parse.urlparse(file['uri']).path
    yield pathlib.Path(urllib.request.url2pathname(path))
  for inner in content.get('fileSets', []):
    yield from _files(inner['id'], file_sets)
