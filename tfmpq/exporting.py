"""Writes the files of a deployment and checks each against its prediction.

What a search was promised must be what a device gets: the bytes that the
memory models predicted are compared with those that were written, and
model.tflite is opened again, alone, and must give the same logits.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
import re

import numpy as np

from tfmpq import backends
from tfmpq import budgets
from tfmpq import c_writer
from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import tflite_builtin
from tfmpq import tflite_builtin_reference
from tfmpq import tflite_file
from tfmpq import tflite_reader
from tfmpq import tflite_writer

_PORTABLE = kernel_targets.Target.PORTABLE
_INTEGER_BYTES = {'int8_t': 1, 'uint8_t': 1, 'int32_t': 4}


@dataclasses.dataclass(frozen=True)
class Export:
  """One deployment as it was written.

  Attributes:
    backend: 'c' or 'tflm'.
    target: instruction set whose kernels it calls.
    paths: the files.
    predicted: what the arena memory model says of the policy.
    arena_bytes: activations under the exported memory plan; equals the
      predicted RAM of backend 'c', whereas TFLM adds structures of its own.
    flash_bytes: written constants; equals the predicted FLASH.
    tflite_ops: of 'tflm', 'custom' or 'builtin'.
  """

  backend: str
  target: kernel_targets.Target
  paths: tuple[pathlib.Path, ...]
  predicted: budgets.MemoryFootprint
  arena_bytes: int
  flash_bytes: int
  tflite_ops: str = 'custom'

  @property
  def name(self) -> str:
    """Key of the export in files, such as tflm_builtin or c_dsp."""
    if self.backend == 'c':
      return c_export_name(self.target)
    if self.tflite_ops == 'builtin':
      return 'tflm_builtin'
    return tflite_export_name(self.target)


def tflite_export_name(target: kernel_targets.Target) -> str:
  """Returns the name of the .tflite with custom ops for a target."""
  return 'tflm' if target is _PORTABLE else f'tflm_{target.value}'


def c_export_name(target: kernel_targets.Target) -> str:
  """Returns the name of the C export for a target."""
  return f'c_{target.value}'


def c_folder(
    folder: pathlib.Path, target: kernel_targets.Target
) -> pathlib.Path:
  """Returns where the export for a target lies in a run directory.

  Those for any machine lie in the run directory itself, others in a folder
  that is called like their target.
  """
  return folder if target is _PORTABLE else folder / target.value


def load_network(folder: pathlib.Path) -> quantized_network.QuantizedNetwork:
  """Returns the fine-tuned integer network of a run directory."""
  path = folder / run_dir.QUANTIZED_NETWORK
  if not path.exists():
    raise FileNotFoundError(
        f'{path} does not exist: it is what //tfmpq:search and '
        '//tfmpq:finetune write; run one of them with this --run_dir first'
    )
  return quantized_network.load(path)


def export_tflite(
    network: quantized_network.QuantizedNetwork,
    folder: pathlib.Path,
    codes: np.ndarray,
    target: kernel_targets.Target = _PORTABLE,
) -> Export:
  """Writes model.tflite.

  Args:
    network: what to write.
    folder: the run directory; see `c_folder`.
    codes: int8 [N, H, W, C] codes of images on which the file must give the
      network's logits.
    target: instruction set for whose kernels weights and memory are laid out;
      the others compute the same from it, slowly.

  Raises:
    ValueError: size or logits are not those of the network.
  """
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  data = tflite_writer.write(network, plan, target)
  export = Export(
      backend='tflm',
      target=target,
      paths=(c_folder(folder, target) / run_dir.TFLITE,),
      predicted=_predicted(network, 'tflm', [target]),
      arena_bytes=plan.size_bytes,
      flash_bytes=len(data),
  )
  _check_sizes(export)
  different = count_different_logits(data, network, codes)
  if different:
    raise ValueError(
        f'{different} of {len(codes)} images have other logits when '
        f'{run_dir.TFLITE} is read back: a mistake in writer or reader'
    )
  run_dir.atomic_write(export.paths[0], data)
  return export


def export_builtin(
    network: quantized_network.QuantizedNetwork,
    folder: pathlib.Path,
    codes: np.ndarray,
    targets: Sequence[kernel_targets.Target] = (kernel_targets.Target.DSP,),
) -> Export:
  """Writes model_builtin.tflite, for a TFLM without this project's ops.

  Args:
    network: what to write.
    folder: the run directory.
    codes: int8 [N, H, W, C] codes of images on which each layer of the file
      may differ from the network's by one code, where both get equal inputs.
    targets: of the machines; the file is the same, but TFLM's kernels need
      more or less scratch memory, and the predicted RAM is the most.

  Raises:
    ValueError: builtin ops cannot compute the network, or size or codes are
      not what they should be.
  """
  data = tflite_builtin.write(network)
  predicted = _predicted(network, 'tflm', targets, 'builtin')
  buffers = memory_planner.activation_buffers(
      network.spec, network.policy, in_place=False
  )
  export = Export(
      backend='tflm',
      target=_PORTABLE,
      paths=(folder / run_dir.TFLITE_BUILTIN,),
      predicted=predicted,
      arena_bytes=memory_planner.tflm_greedy_plan(buffers).size_bytes,
      flash_bytes=len(data),
      tflite_ops='builtin',
  )
  _check_sizes(export)
  _check_builtin_layers(data, network, codes)
  run_dir.atomic_write(export.paths[0], data)
  return export


def _check_builtin_layers(
    data: bytes,
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
) -> None:
  """Raises ValueError if a layer is further than rounding from the network."""
  model = tflite_file.parse(data)
  outputs = {
      model.tensors[index].name: values
      for index, values in tflite_builtin_reference.run_operators(model, codes)
  }
  for layer in network.spec.layers:
    inputs = tuple(outputs[name] for name in layer.inputs)
    expected = reference_ops.run_layer(network, layer, inputs)
    apart = np.abs(expected.astype(np.int64) - outputs[layer.output]).max()
    if apart > 1:
      raise ValueError(
          f"layer '{layer.name}' of {run_dir.TFLITE_BUILTIN} is {apart} codes "
          'from the integer network, 1 is allowed: a mistake in the writer'
      )


def export_c(
    network: quantized_network.QuantizedNetwork,
    folder: pathlib.Path,
    target: kernel_targets.Target,
) -> Export:
  """Writes model.c and model.h.

  Args:
    network: what to write.
    folder: the run directory; see `c_folder`.
    target: instruction set.

  Raises:
    ValueError: a size is not as predicted.
  """
  plan = memory_planner.arena_plan(network.spec, network.policy, target)
  text = c_writer.write(network, plan.offsets, plan.size_bytes, target=target)
  place = c_folder(folder, target)
  export = Export(
      backend='c',
      target=target,
      paths=(place / run_dir.C_SOURCE, place / run_dir.C_HEADER),
      predicted=_predicted(network, 'c', [target]),
      arena_bytes=plan.size_bytes,
      flash_bytes=c_constant_bytes(text.source),
  )
  _check_sizes(export)
  if export.arena_bytes != export.predicted.ram_bytes:
    raise ValueError(
        f'{export.paths[0]} needs an arena of {export.arena_bytes} bytes, '
        f'predicted were {export.predicted.ram_bytes}: a mistake in the memory '
        'model'
    )
  for path, content in zip(
      export.paths, (text.source, text.header), strict=True
  ):
    run_dir.atomic_write(path, content)
  return export


def count_different_logits(
    tflite: bytes,
    network: quantized_network.QuantizedNetwork,
    codes: np.ndarray,
) -> int:
  """Returns how many images have other logits when a .tflite is opened alone.

  Args:
    tflite: content of a .tflite.
    network: what it should compute.
    codes: int8 [N, H, W, C] codes of images.
  """
  read = tflite_reader.read(tflite)
  differs = reference_ops.run(read, codes) != reference_ops.run(network, codes)
  return int(differs.reshape(len(codes), -1).any(axis=1).sum())


def c_constant_bytes(source: str) -> int:
  """Returns the bytes of all constants in a model.c, by reading its text.

  Each is padded to a multiple of 4. Sizes of structs are those that the file
  itself asserts when it is compiled.
  """
  structs = {
      name: int(num_bytes)
      for name, num_bytes in re.findall(
          r'sizeof\((\w+)\) \+ 3\) / 4 \* 4 == (\d+)', source
      )
  }
  total = 0
  for c_type, count, body in re.findall(
      r'static const (\w+) \w+(?:\[(\d+)\])? = \{(.*?)\};', source, re.DOTALL
  ):
    size = _INTEGER_BYTES.get(c_type) or structs[c_type]
    if count:
      # Integers stand in a row, structs each in braces.
      found = body.count('{' if c_type in structs else ',')
      if found != int(count):
        raise ValueError(
            f'an array of {count} {c_type} has {found} initializers'
        )
      size *= found
    total += -(-size // 4) * 4
  return total


def random_codes(
    network: quantized_network.QuantizedNetwork, num_images: int, seed: int
) -> np.ndarray:
  """Returns int8 [num_images, H, W, C] codes over the whole input range."""
  shape = network.spec.tensor(network.spec.input).shape
  rng = np.random.default_rng(seed)
  return rng.integers(-128, 128, (num_images, *shape)).astype(np.int8)


def _predicted(
    network: quantized_network.QuantizedNetwork,
    backend: str,
    targets: Sequence[kernel_targets.Target],
    tflite_ops: str = 'custom',
) -> budgets.MemoryFootprint:
  model = backends.build_memory_model(
      network.spec,
      'arena',
      backend,
      network.per_channel_zero_points,
      targets,
      tflite_ops,
  )
  return model.footprint(network.policy)


def _check_sizes(export: Export) -> None:
  if export.flash_bytes != export.predicted.flash_bytes:
    raise ValueError(
        f'{export.paths[0].name} has {export.flash_bytes} bytes, predicted '
        f'were {export.predicted.flash_bytes}: a mistake in the writer'
    )
