"""Writes the integer network of a run directory as .tflite and as C.

  ./bazelw run //tfmpq:export -- --run_dir=/tmp/my_run

reads <run_dir>/quantized_network.npz, which //tfmpq:search and //tfmpq:finetune
leave there, and writes

  <run_dir>/model.tflite          for TensorFlow Lite Micro: custom ops, packed
                                  weights and activations, memory plan
  <run_dir>/model_builtin.tflite  with --tflite_ops=builtin: the same network in
                                  TFLM's own ops, for firmware without this
                                  project's; all activations must have 8 bits,
                                  weights 8 or 4 bits and shared zero points
  <run_dir>/model.c, model.h      plain C99: constants, one arena, no
                                  interpreter, no heap
  <run_dir>/dsp/, mve/            model.tflite, model.c and model.h for cores
                                  with DSP instructions (Cortex-M4, M7, M33) and
                                  with MVE (M55): faster kernels, which need
                                  scratch memory in the arena and weights in an
                                  order of their own

It prints predicted and written bytes and fails if they differ. model.tflite is
opened again, alone, and must give the network's logits on random images; to
see the accuracy of a network use //tfmpq:evaluate, to run it on emulated cores
//tfmpq:deploy. Formats and byte layouts: tflm_ext/README.md.

A folder that builds on its own, with the model, the kernels that it uses and a
CMakeLists.txt, for plain C or for TFLite Micro (--backend=tflm):

  ./bazelw run //tfmpq:export -- --run_dir=/tmp/my_run \\
      --package=/tmp/firmware --core=cortex_m4

Writing only one of the two:

  ./bazelw run //tfmpq:export -- --run_dir=/tmp/my_run --notflite
"""

from collections.abc import Mapping, Sequence

from absl import app
from absl import flags

from tfmpq import backends
from tfmpq import choice_flags
from tfmpq import config
from tfmpq import deployment
from tfmpq import exporting
from tfmpq import firmware_package
from tfmpq import kernel_targets
from tfmpq import program_errors
from tfmpq import quantized_network
from tfmpq import tflm_deployment
from tfmpq import user_paths

_DEFAULT_RUN_DIR = f'runs/{config.ExperimentConfig().name}'

_RUN_DIR = flags.DEFINE_string(
    'run_dir',
    _DEFAULT_RUN_DIR,
    'Folder that holds quantized_network.npz; the files are written there.',
)
_TFLITE = flags.DEFINE_bool('tflite', True, 'Write model.tflite.')
_TFLITE_OPS = choice_flags.define(
    'tflite_ops',
    'custom',
    ['custom', 'builtin'],
    "'builtin': write model_builtin.tflite, too.",
)
_C = flags.DEFINE_bool('c', True, 'Write model.c and model.h for every target.')
_CHECK_IMAGES = flags.DEFINE_integer(
    'check_images',
    20,
    'Random images on which model.tflite, read back, must give equal logits.',
    lower_bound=1,
)

_PACKAGE = flags.DEFINE_string(
    'package',
    None,
    'Folder that receives all that a firmware needs to run the model.',
)
_BACKEND = choice_flags.define(
    'backend',
    'c',
    backends.BACKENDS,
    "Of --package: 'c' (plain C) or 'tflm' (a .tflite for TFLite Micro).",
)
_CORE = choice_flags.define(
    'core',
    'cortex_m4',
    deployment.CORES,
    'Of --package: where the firmware runs.',
)

_CHECK_SEED = 0


def main(argv: list[str]) -> None:
  """Runs the program; a mistake of the caller ends it with one line."""
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  with program_errors.in_one_line('export'):
    export()


def export() -> None:
  """Exports as the flags say and prints one line per file."""
  if not (_TFLITE.value or _C.value or _TFLITE_OPS.value == 'builtin'):
    raise ValueError('nothing to write: --notflite and --noc exclude both')
  folder = user_paths.resolve(_RUN_DIR.value)
  network = exporting.load_network(folder)
  exports = []
  if _TFLITE.value:
    codes = exporting.random_codes(network, _CHECK_IMAGES.value, _CHECK_SEED)
    exports += [
        exporting.export_tflite(network, folder, codes, target)
        for target in kernel_targets.Target
    ]
    print(f'model.tflite, read back: equal logits on {len(codes)} images')
  if _TFLITE_OPS.value == 'builtin':
    codes = exporting.random_codes(network, _CHECK_IMAGES.value, _CHECK_SEED)
    exports.append(exporting.export_builtin(network, folder, codes))
  if _C.value:
    exports += [
        exporting.export_c(network, folder, target)
        for target in kernel_targets.Target
    ]
  for item in exports:
    print(_summary(item))
  if _PACKAGE.value is not None:
    package = user_paths.resolve(_PACKAGE.value)
    firmware_package.write(_package_files(network, exports), package)
    print(f'{package}: everything for {_CORE.value}, see README.md there')


def _package_files(
    network: quantized_network.QuantizedNetwork,
    exports: Sequence[exporting.Export],
) -> Mapping[str, str | bytes]:
  """Returns path -> content of what --package, --backend and --core ask for."""
  if _BACKEND.value == 'c':
    return firmware_package.c_package(network, _CORE.value)
  target = kernel_targets.of_core(_CORE.value)
  for item in exports:
    if item.backend == 'tflm' and item.tflite_ops == _TFLITE_OPS.value:
      if item.tflite_ops == 'builtin' or item.target is target:
        need = tflm_deployment.arena_need(network, item, _CORE.value)
        return firmware_package.tflm_package(
            item.paths[0].read_bytes(), _CORE.value, need.arena_bytes
        )
  raise ValueError(
      f'--package with --backend=tflm needs a .tflite for {_CORE.value}: leave '
      'out --notflite'
  )


def _summary(item: exporting.Export) -> str:
  names = ' and '.join(str(path) for path in item.paths)
  ram_bytes = item.predicted.ram_bytes
  text = (
      f'{names}: FLASH {item.flash_bytes:,} bytes written, '
      f'{item.predicted.flash_bytes:,} predicted; RAM {item.arena_bytes:,} '
      'bytes for activations'
  )
  if item.backend == 'tflm':
    return f'{text}, {ram_bytes:,} predicted under TFLM'
  return f'{text}, {ram_bytes:,} predicted'


if __name__ == '__main__':
  app.run(main)
