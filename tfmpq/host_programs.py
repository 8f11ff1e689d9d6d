"""Programs that run a network on this machine, built once and kept.

They read int8 codes of images from standard input and write those of the
logits to standard output (tflm_ext/runners/model_stream.c, tflm_stream.cc).
A program is found again by a hash of all that it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent import futures
import hashlib
import os
import pathlib
import shlex
import subprocess
import tempfile

from tfmpq import firmware_package
from tfmpq import kernel_targets
from tfmpq import quantized_network
from tfmpq import source_closure

_RUNNERS = 'tflm_ext/runners'
_C_MAIN = f'{_RUNNERS}/model_stream.c'
_TFLM_MAIN = f'{_RUNNERS}/tflm_stream.cc'
_TFLM_SOURCES = (
    _TFLM_MAIN,
    f'{_RUNNERS}/tflm_all_ops.cc',
    'tflm_ext/ops/all_kernels.cc',
)
_TFLM_HEADER = 'tensorflow/lite/micro/micro_interpreter.h'
_TFLM_LIBRARY = 'lib/host/libtensorflow-microlite.a'
_C_OPTIONS = ('-std=c99', '-O2')
_CXX_OPTIONS = (
    '-std=c++17',
    '-O1',
    '-fno-exceptions',
    '-fno-rtti',
    '-fno-threadsafe-statics',
    '-DTF_LITE_STATIC_MEMORY',
)
_TAIL_LINES = 20


class BuildError(RuntimeError):
  """No program: the message says what is missing, or what a compiler said."""


def cache_folder() -> pathlib.Path:
  """Returns where programs are kept: $TFMPQ_CACHE, or ~/.cache/tfmpq."""
  named = os.environ.get('TFMPQ_CACHE')
  return pathlib.Path(named or pathlib.Path.home() / '.cache/tfmpq')


def tflm_root() -> pathlib.Path | None:
  """Returns the SDK of TFLite Micro: $TFLM_ROOT, or that in ~/.cache/tfmpq.

  None if it is not there, or has no library for this machine.
  """
  named = os.environ.get('TFLM_ROOT')
  root = pathlib.Path(named or pathlib.Path.home() / '.cache/tfmpq/tflm')
  found = (root / 'include' / _TFLM_HEADER, root / _TFLM_LIBRARY)
  return root if all(path.is_file() for path in found) else None


def c_program(network: quantized_network.QuantizedNetwork) -> pathlib.Path:
  """Returns a program that runs the network as plain C.

  Raises:
    BuildError: there is no C compiler, or it failed.
  """
  files = firmware_package.c_package(network, 'host')
  files[_C_MAIN] = (source_closure.ROOT / _C_MAIN).read_text()
  sources = {
      path: text for path, text in files.items() if path.endswith(('.c', '.h'))
  }
  del sources['example.c']
  return _program('c', sources, ('-Imodel',), ())


def tflm_program() -> pathlib.Path:
  """Returns a program that runs any .tflite of this project under TFLM.

  Raises:
    FileNotFoundError: there is no SDK.
    BuildError: there is no C++ compiler, or it failed.
  """
  root = tflm_root()
  if root is None:
    raise FileNotFoundError(
        'TFLite Micro was not found: TFLM_ROOT (default ~/.cache/tfmpq/tflm) '
        f'must hold include/{_TFLM_HEADER} and {_TFLM_LIBRARY}. Backend '
        "'c' needs none"
    )
  texts = [(source_closure.ROOT / path).read_text() for path in _TFLM_SOURCES]
  paths = {
      *_TFLM_SOURCES,
      *source_closure.needed(
          '\n'.join(texts), target=kernel_targets.Target.PORTABLE
      ),
  }
  sources = {
      path: (source_closure.ROOT / path).read_text() for path in sorted(paths)
  }
  include = root / 'include'
  library = root / _TFLM_LIBRARY
  stat = library.stat()
  return _program(
      'tflm',
      sources,
      (f'-isystem{include}', f'-isystem{include / "gemmlowp"}'),
      (str(library), '-lm'),
      salt=f'{library} {stat.st_size} {stat.st_mtime_ns}',
  )


def _program(
    name: str,
    files: Mapping[str, str],
    includes: Sequence[str],
    libraries: Sequence[str],
    salt: str = '',
) -> pathlib.Path:
  """Builds a program unless it is in the cache.

  Args:
    name: beginning of the name of its file.
    files: path -> content of sources and headers.
    includes: options of both compilers.
    libraries: for the linker.
    salt: what else the program depends on.
  """
  digest = hashlib.sha256(salt.encode())
  for path, text in sorted(files.items()):
    digest.update(f'{path}\0{text}\0'.encode())
  program = cache_folder() / 'programs' / f'{name}_{digest.hexdigest()[:24]}'
  if program.is_file():
    return program
  program.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=program.parent) as folder:
    for path, text in files.items():
      target = pathlib.Path(folder, path)
      target.parent.mkdir(parents=True, exist_ok=True)
      target.write_text(text)
    built = _build(pathlib.Path(folder), sorted(files), includes, libraries)
    os.replace(built, program)
  return program


def _build(
    folder: pathlib.Path,
    paths: Sequence[str],
    includes: Sequence[str],
    libraries: Sequence[str],
) -> pathlib.Path:
  """Compiles and links in a folder; returns the program."""
  has_cxx = any(path.endswith('.cc') for path in paths)
  c, cxx = (
      shlex.split(os.environ.get(variable) or default)
      for variable, default in (('CC', 'cc'), ('CXX', 'c++'))
  )

  def compile_source(path: str) -> str:
    is_cxx = path.endswith('.cc')
    options = [*cxx, *_CXX_OPTIONS] if is_cxx else [*c, *_C_OPTIONS]
    output = f'{path}.o'
    _call([*options, '-I.', *includes, '-c', path, '-o', output], folder)
    return output

  sources = [path for path in paths if path.endswith(('.c', '.cc'))]
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    objects = list(pool.map(compile_source, sources))
  link = cxx if has_cxx else c
  _call([*link, *objects, *libraries, '-o', 'program'], folder)
  return folder / 'program'


def _call(command: Sequence[str], folder: pathlib.Path) -> None:
  try:
    result = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
  except FileNotFoundError as error:
    raise BuildError(
        f'{command[0]} was not found: install a C and C++ compiler, or name '
        'them in CC and CXX'
    ) from error
  if result.returncode:
    lines = result.stdout.strip().splitlines()[-_TAIL_LINES:]
    raise BuildError(f'{shlex.join(command)} failed:\n' + '\n'.join(lines))
