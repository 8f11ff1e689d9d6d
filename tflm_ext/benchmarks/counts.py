"""Runs the benchmark on the emulated cores and reads what it counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import csv
import dataclasses
import os
import pathlib
import re

from tflm_ext.benchmarks import layers
from tflm_ext.benchmarks import linked_code
from tflm_ext.benchmarks import networks
from tfmpq import elf_sections
from tfmpq import firmware
from tfmpq import kernel_targets

# Where the programs and their files lie, below the folder that Bazel runs in.
_FOLDER = pathlib.Path('tflm_ext/benchmarks')
_PLUGIN = 'libcount_plugin.so'
_PLUGIN_VARIABLE = 'TFMPQ_QEMU_PLUGIN'
_MARK = re.compile(r'^mark (\d+) (\d+) (\d+)\r?$', re.MULTILINE)
_CODE_SECTION = '.tfmpq_code'

# One core of each instruction set; networks take long to build.
NETWORK_CORES = ('cortex_m4', 'cortex_m55')


@dataclasses.dataclass(frozen=True)
class Row:
  """What was counted of one layer or network on one core.

  Attributes:
    core: one of firmware.CORES.
    layer: name of the layer, or of network and policy.
    op: pointwise, depthwise, conv2d, fully_connected or network.
    a: width of the input; None for networks of several widths.
    w: width of the weight.
    o: width of the output.
    macs: multiply-accumulates, padding taps counted.
    instructions: executed by the call. Not cycles.
    instructions_weighted: the same with one more per register that an LDM or
      LDRD loads, and per further element of a gather or scatter; None where
      the emulator could not count them.
    equal: whether the output is that of the reference, to the bit.
    code_bytes: of a network, the code of its kernels and calls; of a layer, of
      its kernel with all that it calls, what kernels share included.
  """

  core: str
  layer: str
  op: str
  a: int | None
  w: int | None
  o: int | None
  macs: int
  instructions: int
  instructions_weighted: int | None
  equal: bool
  code_bytes: int

  @property
  def instructions_per_mac(self) -> float:
    """Instructions per multiply-accumulate."""
    return self.instructions / self.macs

  @property
  def key(self) -> tuple:
    """What is counted, without the counts."""
    return self.core, self.layer, self.a, self.w, self.o

  def as_dict(self) -> dict[str, object]:
    """Returns the row as plain values."""
    ratio = {'instructions_per_mac': round(self.instructions_per_mac, 4)}
    return dataclasses.asdict(self) | ratio


def count_layers(core: str, root: pathlib.Path) -> list[Row]:
  """Returns the rows of every layer with all widths on one core.

  Args:
    core: one of firmware.CORES.
    root: folder that holds tools/ and tflm_ext/benchmarks/ with what Bazel has
      built.

  Raises:
    firmware.FirmwareError: the emulator is missing, or the program failed.
  """
  target = kernel_targets.of_core(core)
  elf = root / _FOLDER / f'benchmark_{core}.elf'
  cases = root / _FOLDER / f'{target.value}_cases.bin'
  report = _run(core, elf, str(cases), root)
  weighted = _additional_weights(report, core)
  code = linked_code.LinkedCode(elf.read_bytes())
  rows = []
  for i, (layer, (a, w, o)) in enumerate(layers.combinations()):
    instructions = report[f'case_{i}_instructions']
    rows.append(
        Row(
            core=core,
            layer=layer.spec.name,
            op=layer.op,
            a=a,
            w=w,
            o=o,
            macs=layer.macs,
            instructions=instructions,
            instructions_weighted=(
                instructions + weighted[i] if weighted else None
            ),
            equal=bool(report[f'case_{i}_equal']),
            code_bytes=_code_bytes(code, layer, (a, w, o), target),
        )
    )
  return rows


def count_networks(core: str, root: pathlib.Path) -> list[Row]:
  """Returns the rows of the whole networks on one core; see count_layers."""
  rows = []
  for name in networks.names():
    target = kernel_targets.of_core(core)
    folder = root / _FOLDER / name / target.value
    elf = root / _FOLDER / f'{name}_{core}.elf'
    report = firmware.run(
        core,
        elf,
        [str(folder / 'images.bin'), str(folder / 'expected.bin')],
        pathlib.Path('.'),
        root,
    )
    sizes = elf_sections.section_sizes(elf.read_bytes())
    widths = networks.widths(name)
    rows.append(
        Row(
            core=core,
            layer=name,
            op='network',
            a=widths[0],
            w=widths[1],
            o=widths[0],
            macs=int((folder / 'macs.txt').read_text(encoding='utf-8')),
            instructions=report['instructions_max'],
            instructions_weighted=None,
            equal=report['images'] == report['equal_images'],
            code_bytes=sizes[_CODE_SECTION],
        )
    )
  return rows


def slower(
    rows: Iterable[Row], committed: Iterable[Row], tolerance: float
) -> list[str]:
  """Returns what takes more instructions than it did; empty if all is well.

  Args:
    rows: what was counted.
    committed: what was counted once; rows of other cores and layers are not
      looked at.
    tolerance: share by which counts may grow.
  """
  before = {row.key: row for row in committed}
  found = []
  for row in rows:
    if row.key not in before:
      found.append(f'{row.key} is not in the committed table')
      continue
    known = before[row.key]
    for name in ('instructions', 'instructions_weighted'):
      now, then = getattr(row, name), getattr(known, name)
      if now is not None and then is not None and now > then * (1 + tolerance):
        found.append(f'{row.key}: {name} {then} -> {now}')
  return found


def write_csv(rows: Sequence[Row], path: pathlib.Path) -> None:
  """Writes rows as the committed table."""
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(field.name for field in dataclasses.fields(Row))
    writer.writerows(dataclasses.astuple(row) for row in rows)


def read_csv(path: pathlib.Path) -> list[Row]:
  """Returns what `write_csv` wrote."""
  with path.open(newline='', encoding='utf-8') as file:
    return [_parse(row) for row in csv.DictReader(file)]


def _parse(row: Mapping[str, str]) -> Row:
  texts = ('core', 'layer', 'op')
  numbers = {
      name: int(value) if value else None
      for name, value in row.items()
      if name not in (*texts, 'equal')
  }
  return Row(
      **{name: row[name] for name in texts},
      **numbers,
      equal=row['equal'] == 'True',
  )


def _run(core, elf, cases, root) -> firmware.Report:
  """Runs the benchmark, with the plugin if the emulator loads it."""
  plugin = (root / _FOLDER / _PLUGIN).resolve()
  try:
    os.environ[_PLUGIN_VARIABLE] = str(plugin)
    return firmware.run(core, elf, [cases], pathlib.Path('.'), root)
  except firmware.FirmwareError as error:
    # QEMU 9 asks for a newer plugin API.
    if _PLUGIN not in str(error):
      raise
  finally:
    del os.environ[_PLUGIN_VARIABLE]
  return firmware.run(core, elf, [cases], pathlib.Path('.'), root)


def _additional_weights(
    report: firmware.Report, core: str
) -> dict[int, int] | None:
  """Returns case -> what to add to its instructions; None without the plugin.

  Raises:
    firmware.FirmwareError: the emulator's count differs from the board's.
  """
  marks = [tuple(map(int, mark)) for mark in _MARK.findall(report.output)]
  if not marks:
    return None
  spans = [
      tuple(after - before for before, after in zip(*pair, strict=True))
      for pair in zip(marks[::2], marks[1::2], strict=True)
  ]
  # The first span is an empty function: what surrounds every call. Its own
  # return counts as the function's.
  overhead, *cases = spans
  weights = {}
  for i, span in enumerate(cases):
    instructions, doublewords, lanes = (
        a - b for a, b in zip(span, overhead, strict=True)
    )
    counted = report[f'case_{i}_instructions']
    if instructions + 1 != counted:
      raise firmware.FirmwareError(
          f'{core}, case {i}: the board counted {counted} instructions, the '
          f'emulator {instructions + 1}'
      )
    weights[i] = doublewords + lanes
  return weights


def _code_bytes(
    code: linked_code.LinkedCode,
    layer: layers.Layer,
    bits: tuple[int, int, int],
    target: kernel_targets.Target,
) -> int:
  a, w, o = bits
  name = f'tfmpq_{layer.spec.op.value}_a{a}_w{w}_o{o}'
  own = f'{name}__{target.value}'
  return code.num_bytes(own if code.has(own) else name)
