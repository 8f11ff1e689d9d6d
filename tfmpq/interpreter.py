"""Runs an exported network from Python, as it runs on a device.

    from tfmpq import interpreter

    network = interpreter.Interpreter('runs/fashion_mnist')
    print(network.backend, network.input_details)
    logits = network.run(images)      # uint8 pixels [N, H, W, C]

A process on this machine computes: TensorFlow Lite Micro with this project's
ops where its SDK is present (backend 'tflm'), otherwise the network as plain C
('c'). Both give the integer network's logits to the bit. The programs are built
once, with the machine's C and C++ compilers, and kept in ~/.cache/tfmpq.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
import subprocess
import tempfile

import numpy as np

from tfmpq import exporting
from tfmpq import host_programs
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import run_dir
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_reader
from tfmpq import tflite_writer

BACKENDS = ('auto', 'c', 'tflm')


@dataclasses.dataclass(frozen=True)
class TensorDetails:
  """A network input or output.

  Attributes:
    name: of the tensor.
    shape: (height, width, channels).
    scale: real value of one step of a code.
    zero_point: code of the real value 0.
  """

  name: str
  shape: tuple[int, int, int]
  scale: float
  zero_point: int


class InterpreterError(RuntimeError):
  """The process failed; the message holds what it printed."""


class Interpreter:
  """A network that computes in a process on this machine.

  Attributes:
    backend: 'c' or 'tflm': what computes.
    input_details: of the network input.
    output_details: of the network output.
  """

  def __init__(
      self, path: str | pathlib.Path, backend: str = 'auto', core: str = 'host'
  ):
    """Prepares the process; the first time, builds it.

    Args:
      path: a run directory, or a .tflite that this project has written.
      backend: 'c', 'tflm', or 'auto': TFLM where its SDK is present.
      core: 'host'; emulated cores are the matter of //tfmpq:deploy.

    Raises:
      ValueError: an unknown backend or core, or a .tflite with builtin ops for
        backend 'c'.
      FileNotFoundError: no such network, or no SDK of TFLM for 'tflm'.
      host_programs.BuildError: there is no compiler, or it failed.
    """
    _check_choice('backend', backend, BACKENDS)
    _check_choice('core', core, ('host',))
    path = pathlib.Path(path)
    tflite, network = _load(path)
    if backend == 'auto':
      has_sdk = host_programs.tflm_root() is not None
      backend = 'tflm' if has_sdk or network is None else 'c'
    self.backend = backend
    self._tflite: bytes | None = None
    if backend == 'c':
      if network is None:
        raise ValueError(
            f"{path} has builtin ops, which only backend 'tflm' runs"
        )
      self._program = host_programs.c_program(network)
    else:
      self._tflite = tflite
      self._program = host_programs.tflm_program()
    self.input_details, self.output_details = _details(tflite)

  def run(self, images: np.ndarray) -> np.ndarray:
    """Returns float64 logits [N, classes], in real units.

    Args:
      images: uint8 pixels [N, H, W, C], or int8 codes of that shape, as
        `run_codes` takes them.

    Raises:
      ValueError: another shape or type.
      InterpreterError: the process failed.
    """
    if images.dtype == np.uint8:
      images = (images.astype(np.int16) - 128).astype(np.int8)
    codes = self.run_codes(images).reshape(len(images), -1)
    details = self.output_details
    return details.scale * (codes.astype(np.float64) - details.zero_point)

  def run_codes(self, codes: np.ndarray) -> np.ndarray:
    """Returns int8 codes [N, H, W, C] of the output for int8 codes."""
    expected = self.input_details.shape
    if codes.dtype != np.int8 or codes.shape[1:] != expected:
      raise ValueError(
          f'expected uint8 pixels or int8 codes [N, {expected}], received '
          f'{codes.dtype}{list(codes.shape)}'
      )
    shape = (len(codes), *self.output_details.shape)
    with tempfile.TemporaryDirectory() as folder:
      arguments: Sequence[str] = ()
      if self._tflite is not None:
        model = pathlib.Path(folder, run_dir.TFLITE)
        model.write_bytes(self._tflite)
        arguments = [str(model)]
      result = subprocess.run(
          [str(self._program), *arguments],
          check=False,
          capture_output=True,
          input=codes.tobytes(),
      )
    logits = np.frombuffer(result.stdout, np.int8)
    if result.returncode or logits.size != np.prod(shape):
      raise InterpreterError(
          f'{self._program} ended with status {result.returncode} after '
          f'{logits.size} codes of {int(np.prod(shape))}:\n'
          f'{result.stderr.decode(errors="replace").strip()}'
      )
    return logits.reshape(shape)


def _load(
    path: pathlib.Path,
) -> tuple[bytes, quantized_network.QuantizedNetwork | None]:
  """Returns (.tflite, network); None for a network of builtin ops."""
  if path.is_dir():
    network = exporting.load_network(path)
    plan = memory_planner.arena_plan(network.spec, network.policy)
    return tflite_writer.write(network, plan), network
  data = path.read_bytes()
  if any(o.builtin for o in tflite_file.parse(data).operators):
    return data, None
  return data, tflite_reader.read(data)


def _details(tflite: bytes) -> tuple[TensorDetails, TensorDetails]:
  """Returns details of input and output."""
  model = tflite_file.parse(tflite)
  details = []
  for (index,) in (model.inputs, model.outputs):
    tensor = model.tensors[index]
    _, height, width, channels = tensor.shape
    details.append(
        TensorDetails(
            tensor.name,
            (height, width, channels),
            tensor.quantization.scale,
            tensor.quantization.zero_point,
        )
    )
  return details[0], details[1]


def _check_choice(what: str, received: str, choices: Sequence[str]) -> None:
  if received not in choices:
    raise ValueError(
        f'{what}: expected one of {list(choices)}, received {received!r}'
        + specs.did_you_mean(received, choices)
    )
