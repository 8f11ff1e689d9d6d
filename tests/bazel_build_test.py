"""Nested builds: the server that is asked, and the files that come back."""

import json
import pathlib

import pytest

from tfmpq import bazel_build

_TARGET = '//package:program'
_HASH = '0123456789abcdef0123456789abcdef'


def _events(file_sets, roots):
  """Returns build events as Bazel writes them."""
  lines = [{'id': {'started': {}}, 'started': {'uuid': 'x'}}]
  for name, (files, inner) in file_sets.items():
    lines.append(
        {
            'id': {'namedSet': {'id': name}},
            'namedSetOfFiles': {
                'files': [{'name': f, 'uri': f'file://{f}'} for f in files],
                'fileSets': [{'id': i} for i in inner],
            },
        }
    )
  for label, names in roots.items():
    lines.append(
        {
            'id': {'targetCompleted': {'label': label}},
            'completed': {
                'success': True,
                'outputGroup': [
                    {'name': 'validation', 'fileSets': [{'id': 'none'}]},
                    {'name': 'default', 'fileSets': [{'id': n} for n in names]},
                ],
            },
        }
    )
  return '\n'.join(json.dumps(line) for line in lines) + '\n'


def test_output_files_are_found_in_nested_sets():
  events = _events(
      {'0': (['/out/a%20b/program.elf'], []), '1': ([], ['0'])},
      {_TARGET: ['1'], '//package:other': ['0']},
  )
  files = bazel_build.output_files(events, [_TARGET])
  assert files == {_TARGET: pathlib.Path('/out/a b/program.elf')}


def test_a_target_without_or_with_several_outputs_is_an_error():
  events = _events({'0': (['/a', '/b'], [])}, {_TARGET: ['0']})
  with pytest.raises(bazel_build.BuildError, match='one output file.*/a.*/b'):
    bazel_build.output_files(events, [_TARGET])
  with pytest.raises(bazel_build.BuildError, match=r'//x:y: expected one'):
    bazel_build.output_files(events, ['//x:y'])


def test_the_server_that_started_the_program_is_asked():
  below = 'execroot/tfmpq_ws/bazel-out/bin/tfmpq/deploy.runfiles/deploy.py'
  assert bazel_build.startup_options(f'/cache/root/{_HASH}/{below}') == [
      '--output_user_root=/cache/root'
  ]
  assert bazel_build.startup_options(f'/cache/mine/{below}') == [
      '--output_base=/cache/mine'
  ]
  assert bazel_build.startup_options('/home/me/tfmpq/tfmpq/deploy.py') == []


def _workspace(folder, script):
  """Returns a source tree whose bazelw is a stand-in."""
  bazelw = folder / 'bazelw'
  bazelw.write_text('#!/bin/sh\n' + script)
  bazelw.chmod(0o755)
  return folder


def test_build_passes_options_and_reads_the_events(tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', '/runfiles')
  monkeypatch.setenv('BUILD_WORKSPACE_DIRECTORY', str(tmp_path))
  (tmp_path / 'expected').write_text(
      _events({'0': (['/out/program'], [])}, {_TARGET: ['0']})
  )
  root = _workspace(
      tmp_path,
      """echo "$@" >arguments
env >environment
for argument in "$@"; do
  case $argument in
    --build_event_json_file=*) cp expected "${argument#*=}" ;;
  esac
done
""",
  )
  files = bazel_build.build([_TARGET], ['--repo_env=A=b'], root)
  assert files == {_TARGET: pathlib.Path('/out/program')}
  arguments = (tmp_path / 'arguments').read_text().split()
  assert arguments[arguments.index('build') + 1] == '--repo_env=A=b'
  assert arguments[-2:] == ['--', _TARGET]
  environment = (tmp_path / 'environment').read_text()
  assert 'PYTHONPATH=' not in environment
  assert 'BUILD_WORKSPACE_DIRECTORY=' not in environment


def test_a_failed_build_shows_what_bazel_said(tmp_path):
  root = _workspace(
      tmp_path, 'echo "arm-none-eabi-gcc was not found." >&2\nexit 37\n'
  )
  with pytest.raises(bazel_build.BuildError) as error:
    bazel_build.build([_TARGET], [], root)
  assert 'status 37' in str(error.value)
  assert 'arm-none-eabi-gcc was not found.' in str(error.value)


def test_the_source_tree_must_be_known(tmp_path, monkeypatch):
  monkeypatch.setenv('BUILD_WORKSPACE_DIRECTORY', str(tmp_path))
  with pytest.raises(FileNotFoundError, match='start this program with'):
    bazel_build.workspace_root()
  _workspace(tmp_path, '')
  assert bazel_build.workspace_root() == tmp_path
