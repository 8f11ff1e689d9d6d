"""Everything calibration computes once per network, for every width.

A search asks for thousands of policies, but a tensor has only three widths: its
codes and its clip are computed once for each of them and looked up afterwards.
On disk they make a resumed search start at once, with the very same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from tfmpq import activation_clips
from tfmpq import datasets
from tfmpq import float_network
from tfmpq import float_statistics
from tfmpq import quantized_network
from tfmpq import specs
from tfmpq import weight_rounding

# Part of the key on disk: raise it with every change of what is computed.
_VERSION = 3


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationTables:
  """Look-up tables of one network.

  Attributes:
    clips: (activation name, bits) -> clip, for activations that own their bits,
      without the network input.
    weights: (weight name, bits) -> its codes, channels first.
    means: layer name -> float64 [C_out] of the float network; see
      `float_statistics.FloatStatistics`.
    deviations: layer name -> float64 [C_out].
  """

  clips: Mapping[tuple[str, int], float]
  weights: Mapping[tuple[str, int], weight_rounding.RoundedWeight]
  means: Mapping[str, np.ndarray]
  deviations: Mapping[str, np.ndarray]


def load_or_build(
    network: float_network.FloatNetwork,
    images: np.ndarray,
    per_channel_zero_points: bool,
    cache_dir: pathlib.Path | None,
    bit_widths: tuple[int, ...] = specs.BIT_WIDTHS,
) -> CalibrationTables:
  """Returns the tables of a network, from disk if they were built before.

  Args:
    network: float network.
    images: uint8 [N, H, W, C], without labels.
    per_channel_zero_points: see quantized_network.QuantizedNetwork.
    cache_dir: folder for one file per network, images and setting; None keeps
      nothing.
    bit_widths: of tensors whose bits are free.
  """
  if cache_dir is None:
    return build(network, images, per_channel_zero_points, bit_widths)
  key = _digest(network, images, per_channel_zero_points, bit_widths)
  path = pathlib.Path(cache_dir) / f'calibration_{key}.npz'
  if path.exists():
    return _load(path)
  tables = build(network, images, per_channel_zero_points, bit_widths)
  path.parent.mkdir(parents=True, exist_ok=True)
  # A process that is killed while it writes leaves no half file behind.
  unfinished = path.with_suffix(f'.{os.getpid()}.tmp')
  _save(tables, unfinished)
  unfinished.replace(path)
  return tables


def build(
    network: float_network.FloatNetwork,
    images: np.ndarray,
    per_channel_zero_points: bool,
    bit_widths: tuple[int, ...] = specs.BIT_WIDTHS,
) -> CalibrationTables:
  """Returns the tables of a network; see `load_or_build`."""
  spec = network.spec
  statistics = float_statistics.measure(network, datasets.to_input(images))
  clips, weights = {}, {}
  for name, histogram in statistics.histograms.items():
    tensor = spec.tensor(name)
    if tensor.bits_of is None:
      for bits in _widths(tensor, bit_widths):
        clips[name, bits] = activation_clips.best_clip(
            histogram, bits, tensor.signed
        )
  for layer in spec.layers:
    if layer.weight is None:
      continue
    height, width, channels = spec.tensor(layer.output).shape
    rows = quantized_network.channel_major(
        network.weights[layer.weight], channels
    )
    for bits in _widths(spec.tensor(layer.weight), bit_widths):
      weights[layer.weight, bits] = weight_rounding.round_weight(
          rows,
          statistics.covariances[layer.name],
          bits,
          per_channel_zero_points,
          num_samples=len(images) * height * width,
      )
  return CalibrationTables(
      clips, weights, statistics.means, statistics.deviations
  )


def _widths(
    tensor: specs.TensorSpec, bit_widths: tuple[int, ...]
) -> tuple[int, ...]:
  if tensor.fixed_bits is not None:
    return (tensor.fixed_bits,)
  return bit_widths


def _digest(
    network,
    images: np.ndarray,
    per_channel_zero_points: bool,
    bit_widths: tuple[int, ...],
) -> str:
  digest = hashlib.blake2b(digest_size=12)
  head = (_VERSION, per_channel_zero_points, sorted(network.ceilings.items()))
  digest.update(repr(head).encode())
  if bit_widths != specs.BIT_WIDTHS:
    digest.update(repr(bit_widths).encode())
  digest.update(network.spec.to_json().encode())
  named = [*sorted(network.weights.items()), *sorted(network.biases.items())]
  for name, array in [*named, ('images', images)]:
    digest.update(f'{name} {array.dtype} {array.shape}'.encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


def _save(tables: CalibrationTables, path: pathlib.Path) -> None:
  arrays = {}
  for (name, bits), clip in tables.clips.items():
    arrays[f'clip|{bits}|{name}'] = np.array(clip)
  for (name, bits), rounded in tables.weights.items():
    for field, array in vars(rounded).items():
      arrays[f'{field}|{bits}|{name}'] = array
  arrays |= {f'mean||{name}': array for name, array in tables.means.items()}
  arrays |= {f'dev||{name}': array for name, array in tables.deviations.items()}
  quantized_network.write_npz(arrays, path)


def _load(path: pathlib.Path) -> CalibrationTables:
  groups: dict[str, dict] = {}
  with np.load(path) as data:
    for key in data.files:
      field, bits, name = key.split('|', 2)
      entry = (name, int(bits)) if bits else name
      groups.setdefault(field, {})[entry] = data[key]
  return CalibrationTables(
      clips={entry: float(clip) for entry, clip in groups['clip'].items()},
      weights={
          entry: weight_rounding.RoundedWeight(
              groups['codes'][entry],
              groups['scales'][entry],
              groups['zero_points'][entry],
          )
          for entry in groups['codes']
      },
      means=groups['mean'],
      deviations=groups['dev'],
  )
