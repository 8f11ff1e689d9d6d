"""The texts of a firmware package that are no model and no kernel."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

_CORE_FLAGS = {
    'host': '',
    'cortex_m4': '-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard',
    'cortex_m7': '-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard',
    'cortex_m33': '-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard',
    'cortex_m55': '-mcpu=cortex-m55 -mfloat-abi=hard',
}
_CORE_NAMES = {
    'host': 'any machine (portable C99)',
    'cortex_m4': 'Arm Cortex-M4',
    'cortex_m7': 'Arm Cortex-M7',
    'cortex_m33': 'Arm Cortex-M33 with the DSP extension',
    'cortex_m55': 'Arm Cortex-M55',
}
_BYTES_PER_LINE = 12

C_EXAMPLE = """\
/* How to run the model once; copy what you need. */
#include <stdint.h>
#include <string.h>

#include "model.h"

/* Returns the class of an image: MODEL_INPUT_BYTES codes, pixel - 128, in the
 * order [height][width][channels]. */
int classify(const int8_t* image);

int classify(const int8_t* image) {
  int best = 0;
  int i;
  const int8_t* logits;
  memcpy(model_input(), image, MODEL_INPUT_BYTES);
  model_invoke();
  logits = model_output();
  for (i = 1; i < MODEL_OUTPUT_BYTES; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}
"""

TFLM_EXAMPLE = """\
// How to run the model once; copy what you need.
#include <cstdint>
#include <cstring>

#include "model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) uint8_t arena[MODEL_ARENA_BYTES];

}  // namespace

// Returns the class of an image: codes, pixel - 128, in the order
// [height][width][channels]; -1 if the model cannot be set up.
int classify(const int8_t* image) {
  tfmpq::ModelOpResolver resolver;
  if (tfmpq::RegisterModelOps(resolver) != kTfLiteOk) return -1;
  tfmpq::tflm::MicroInterpreter interpreter(
      tfmpq::tflm::GetModel(model_data), resolver, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return -1;
  std::memcpy(interpreter.input(0)->data.int8, image,
              interpreter.input(0)->bytes);
  if (interpreter.Invoke() != kTfLiteOk) return -1;
  const TfLiteTensor* const logits = interpreter.output(0);
  int best = 0;
  for (size_t i = 1; i < logits->bytes; ++i) {
    if (logits->data.int8[i] > logits->data.int8[best]) {
      best = static_cast<int>(i);
    }
  }
  return best;
}
"""


@dataclasses.dataclass(frozen=True)
class Facts:
  """What the texts say about a package.

  Attributes:
    name: of the network.
    backend: 'c' or 'tflm'.
    core: for which it was made.
    sources: paths of everything that has to be compiled.
    ram_bytes: of the arena.
    flash_bytes: of the model's constants.
  """

  name: str
  backend: str
  core: str
  sources: tuple[str, ...]
  ram_bytes: int
  flash_bytes: int


def model_data_header(facts: Facts) -> str:
  """Returns the content of model_data.h."""
  return f"""\
/* {facts.name.replace('*/', '')}: model.tflite as a constant. */
#ifndef TFMPQ_MODEL_DATA_H_
#define TFMPQ_MODEL_DATA_H_

/* What TFLite Micro needs on {_tflm_machine(facts.core)}, at a 16-byte
 * boundary. */
#define MODEL_ARENA_BYTES {facts.ram_bytes}

extern const unsigned int model_data_bytes;
/* 16-byte aligned */
extern const unsigned char model_data[{facts.flash_bytes}];

#endif /* TFMPQ_MODEL_DATA_H_ */
"""


def _tflm_machine(core: str) -> str:
  """Returns the machine whose pointers determine how much TFLM needs."""
  return 'a 64-bit machine' if core == 'host' else _CORE_NAMES[core]


def model_data(tflite: bytes) -> str:
  """Returns the content of model_data.cc."""
  rows = (
      tflite[start : start + _BYTES_PER_LINE]
      for start in range(0, len(tflite), _BYTES_PER_LINE)
  )
  lines = '\n'.join('    ' + ', '.join(map(str, row)) + ',' for row in rows)
  return f"""\
#include "model_data.h"

// TFLite Micro reads it in place, and wants this alignment.
alignas(16) const unsigned char model_data[{len(tflite)}] = {{
{lines}
}};
const unsigned int model_data_bytes = sizeof(model_data);
"""


def model_ops(calls: Sequence[str], include: str) -> str:
  """Returns the content of model_ops.h.

  Args:
    calls: C++ expressions that register an op with `resolver` (tflm_sources).
    include: header that declares them.
  """
  lines = '\n'.join(
      f'  if (status == kTfLiteOk) {{\n    status = {call};\n  }}'
      for call in calls
  )
  return f"""\
// The ops of the model: everything else the linker leaves out.
#ifndef TFMPQ_MODEL_OPS_H_
#define TFMPQ_MODEL_OPS_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "{include}"

namespace tfmpq {{

using ModelOpResolver = tflm::MicroMutableOpResolver<{len(calls)}>;

inline TfLiteStatus RegisterModelOps(ModelOpResolver& resolver) {{
  TfLiteStatus status = kTfLiteOk;
{lines}
  return status;
}}

}}  // namespace tfmpq

#endif  // TFMPQ_MODEL_OPS_H_
"""


def cmake(facts: Facts) -> str:
  """Returns the content of CMakeLists.txt."""
  sources = '\n'.join(f'  {path}' for path in facts.sources)
  is_tflm = facts.backend == 'tflm'
  return f"""\
# {facts.name} for {_CORE_NAMES[facts.core]}. In your own CMakeLists.txt:
#
#   add_subdirectory(path/to/this/folder)
#   target_link_libraries(your_firmware PRIVATE tfmpq_model)
#
# Each kernel is a function of its own section: link with -Wl,--gc-sections.
cmake_minimum_required(VERSION 3.13)
project(tfmpq_model {'C CXX' if is_tflm else 'C'})

add_library(tfmpq_model STATIC
{sources}
)
target_include_directories(tfmpq_model
  PUBLIC ${{CMAKE_CURRENT_LIST_DIR}}/model
  {'PUBLIC' if is_tflm else 'PRIVATE'} ${{CMAKE_CURRENT_LIST_DIR}}
)
set_target_properties(tfmpq_model PROPERTIES C_STANDARD 99 CXX_STANDARD 17)
target_compile_options(tfmpq_model PRIVATE
  -O3 -ffunction-sections -fdata-sections
)
{_TFLM_CMAKE if is_tflm else ''}"""


_TFLM_CMAKE = """
# TFLite Micro: headers in ${TFLM_ROOT}/include, and TFLM_LIBRARY for the core.
if(NOT DEFINED TFLM_ROOT OR NOT DEFINED TFLM_LIBRARY)
  message(FATAL_ERROR "set TFLM_ROOT (its include/ holds tensorflow, "
    "flatbuffers, gemmlowp, ruy) and TFLM_LIBRARY (libtensorflow-microlite.a)")
endif()
target_compile_definitions(tfmpq_model PUBLIC TF_LITE_STATIC_MEMORY)
target_include_directories(tfmpq_model SYSTEM PUBLIC
  ${TFLM_ROOT}/include ${TFLM_ROOT}/include/gemmlowp
)
target_compile_options(tfmpq_model PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
)
target_link_libraries(tfmpq_model PUBLIC ${TFLM_LIBRARY} m)
"""


def readme(facts: Facts) -> str:
  """Returns the content of README.md."""
  return (_TFLM_README if facts.backend == 'tflm' else _C_README).format(
      name=facts.name,
      core=(
          _tflm_machine(facts.core)
          if facts.backend == 'tflm'
          else _CORE_NAMES[facts.core]
      ),
      flags=_CORE_FLAGS[facts.core],
      command=_command(facts.core),
      ram_bytes=facts.ram_bytes,
      flash_bytes=facts.flash_bytes,
  )


def _command(core: str) -> str:
  compiler = 'gcc' if core == 'host' else 'arm-none-eabi-gcc'
  options = f'{compiler} {_CORE_FLAGS[core]} -std=c99 -O3'
  return ' '.join(options.split())


_C_README = """\
# {name}

An integer network in plain C99 for {core}, exported by
tfmpq. No interpreter, no heap, no floating point.

| | bytes |
|---|---|
| RAM: one static arena, which holds input, output and scratch memory, too | \
{ram_bytes:,} |
| FLASH: constants of the model | {flash_bytes:,} |

Code comes on top: the linker keeps the kernels that the model calls and no
others, if all is compiled with `-ffunction-sections -fdata-sections` and linked
with `-Wl,--gc-sections`.

## Use

    memcpy(model_input(), image, MODEL_INPUT_BYTES);
    model_invoke();
    const int8_t* logits = model_output();

Input and output are int8 codes, [height][width][channels]; `model/model.h` says
what a code stands for. Of an image of bytes, a code is `pixel - 128`.
`example.c` is a whole function. The model keeps no state between calls; input
and output lie in the arena, which every call overwrites.

## Build

With CMake: `add_subdirectory` this folder and link `tfmpq_model`. By hand, in
this folder:

    for source in model/model.c tflm_ext/kernels/*.c; do
      {command} \\
        -ffunction-sections -fdata-sections -Imodel -I. -c "$source"
    done

To give constants or the arena a section of their own, define `TFMPQ_CONST` or
`TFMPQ_ARENA`, such as

    -D'TFMPQ_ARENA=__attribute__((section(".sram2"), aligned(16)))'

Constants must be 4-byte aligned, the arena 16-byte aligned.

## Licence

Apache-2.0: see `LICENSE`.
"""

_TFLM_README = """\
# {name}

An integer network for TensorFlow Lite Micro on {core}, exported
by tfmpq.

| | bytes |
|---|---|
| RAM: the arena (`MODEL_ARENA_BYTES`), the smallest that TFLM accepts | \
{ram_bytes:,} |
| FLASH: `model_data`, the .tflite | {flash_bytes:,} |

Code comes on top: TFLM and the kernels that `model/model_ops.h` registers, if
the linker gets `-Wl,--gc-sections`.

## Use

    tfmpq::ModelOpResolver resolver;
    tfmpq::RegisterModelOps(resolver);
    tfmpq::tflm::MicroInterpreter interpreter(
        tfmpq::tflm::GetModel(model_data), resolver, arena, MODEL_ARENA_BYTES);

`example.cc` is a whole function. Input and output are int8 codes,
[1][height][width][channels]; of an image of bytes, a code is `pixel - 128`.
Weights and parameters stay in `model_data`, which must be 16-byte aligned.

## Build

With CMake, where TFLM_ROOT holds TFLM's headers in `include/`:

    cmake -DTFLM_ROOT=... -DTFLM_LIBRARY=.../libtensorflow-microlite.a ...

and `add_subdirectory` this folder and link `tfmpq_model`. Both must be compiled
for the core ({flags}) and with
`TF_LITE_STATIC_MEMORY`, as TFLM's Makefile does.

## Licence

Apache-2.0: see `LICENSE`. TFLM is not part of this folder.
"""
