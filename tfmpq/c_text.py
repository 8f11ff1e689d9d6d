"""The C text of an exported model: definitions, calls, comments, files.

Knows how C looks, not what a layer needs (that is c_writer).
"""

from collections.abc import Iterable, Mapping
import dataclasses
import textwrap

import numpy as np

from tfmpq import kernel_targets
from tfmpq import memory_planner
from tfmpq import packing
from tfmpq import quantized_network
from tfmpq import specs

_COLUMNS = 80

_TARGET_TEXTS = {
    kernel_targets.Target.PORTABLE: 'For any machine: portable kernels.',
    kernel_targets.Target.DSP: (
        'For cores with DSP instructions: Cortex-M4, M7, M33, M55.'
    ),
}


@dataclasses.dataclass(frozen=True)
class Model:
  """What is written, and where its activations lie.

  Attributes:
    network: the network.
    offsets: activation or scratch memory (memory_planner.scratch_name) -> byte
      in the arena.
    arena_bytes: size of the arena.
    prefix: of all external names.
    identifiers: layer name -> C identifier.
    target: instruction set.
    kernels: layer name -> kernel.
  """

  network: quantized_network.QuantizedNetwork
  offsets: Mapping[str, int]
  arena_bytes: int
  prefix: str
  identifiers: Mapping[str, str]
  target: kernel_targets.Target
  kernels: Mapping[str, kernel_targets.Kernel]

  def layer(self, name: str) -> specs.LayerSpec:
    """Returns the layer of that name."""
    return next(x for x in self.network.spec.layers if x.name == name)

  def address(self, buffer: str) -> str:
    """Returns the C expression for the first byte of a buffer."""
    return f'{self.prefix}_arena + {self.offsets[buffer]}'

  def scratch(self, layer: str) -> str:
    """Returns the C expression for the scratch memory of a layer."""
    if not self.kernels[layer].scratch_bytes:
      return 'NULL'
    return self.address(memory_planner.scratch_name(layer))

  @property
  def headers(self) -> tuple[str, ...]:
    """Names of the kernels' headers."""
    kernels = self.kernels
    names = (
        (layer.op.value + kernels[layer.name].suffix).replace('__', '_')
        for layer in self.network.spec.layers
    )
    return tuple(f'{name}.h' for name in sorted(set(names)))


def _wrapped(words: Iterable[str], indent: str) -> str:
  """Returns words in lines of at most 80 columns."""
  return textwrap.fill(
      ' '.join(words),
      _COLUMNS,
      initial_indent=indent,
      subsequent_indent=indent,
      break_long_words=False,
      break_on_hyphens=False,
  )


def array_definition(name: str, c_type: str, values: np.ndarray) -> str:
  """Returns the definition of a constant array of integers."""
  shown = (f'{v:#04x},' if c_type == 'uint8_t' else f'{v},' for v in values)
  return (
      f'TFMPQ_CONST static const {c_type} {name}[{len(values)}] = {{\n'
      f'{_wrapped(shown, "    ")}\n}};\n'
  )


def pairs_definition(name: str, c_type: str, pairs: np.ndarray) -> str:
  """Returns the definition of a constant array of structs of two integers."""
  # A non-breaking space keeps each pair on one line.
  shown = (f'{{{first},\xa0{second}}},' for first, second in pairs)
  body = _wrapped(shown, '    ').replace('\xa0', ' ')
  return (
      f'TFMPQ_CONST static const {c_type} {name}[{len(pairs)}] = {{\n'
      f'{body}\n}};\n'
  )


# Types of the fields of kernels/types.h; the others are uint8_t.
_FIELD_BITS = {
    'num_pixels': (0, 32),
    'multiplier_a': (-1, 31),
    'multiplier_b': (-1, 31),
    'channels': (0, 16),
    'input_channels': (0, 16),
    'output_channels': (0, 16),
    'input_height': (0, 16),
    'input_width': (0, 16),
    'output_height': (0, 16),
    'output_width': (0, 16),
    'num_multipliers': (0, 16),
    'zero_point_a': (-1, 7),
    'zero_point_b': (-1, 7),
    'input_zero_point': (-1, 7),
    'output_zero_point': (-1, 7),
    'weight_zero_point': (-1, 7),
}


def struct_definition(
    name: str, struct: str, fields: Mapping[str, int], layer: str
) -> str:
  """Returns the definition of a parameter struct.

  Raises:
    ValueError: a value does not fit its field.
  """
  for field, value in fields.items():
    sign, bits = _FIELD_BITS.get(field, (0, 8))
    if not sign * 2**bits <= value < 2**bits:
      raise ValueError(
          f"layer '{layer}': {field} must lie in {sign * 2**bits}.."
          f'{2**bits - 1} to be exported as C, received {value}'
      )
  lines = ''.join(
      f'    .{field} = {value},\n' for field, value in fields.items()
  )
  return f'TFMPQ_CONST static const {struct} {name} = {{\n{lines}}};\n'


def call(function: str, arguments: list[str]) -> str:
  """Returns one call as a statement, one argument per word."""
  # A non-breaking space keeps each argument on one line.
  words = [a.replace(' ', '\xa0') + ',' for a in arguments]
  words[-1] = words[-1][:-1] + ');'
  body = _wrapped(words, '      ').replace('\xa0', ' ')
  return f'  {function}(\n{body}\n'


def layer_comment(model: Model, layer: specs.LayerSpec) -> str:
  """Returns what a reader wants to know about a layer, as a C comment."""
  network = model.network
  title = f'{layer.name}: {layer.op.value}'
  k_h, k_w = layer.kernel_size
  if layer.op in (
      specs.Op.CONV_2D,
      specs.Op.DEPTHWISE_CONV_2D,
      specs.Op.AVERAGE_POOL_2D,
      specs.Op.MAX_POOL_2D,
  ):
    title += f' {k_h}x{k_w}, stride {layer.stride[0]}x{layer.stride[1]}'
  lines = [title]
  if any(layer.padding):
    top, left, bottom, right = layer.padding
    lines.append(
        f'  padding top {top}, left {left}, bottom {bottom}, right {right}'
    )
  for role, names in (('input', layer.inputs), ('output', (layer.output,))):
    lines += [f'  {role:<7}{_activation_text(model, n)}' for n in names]
  if layer.weight is not None:
    tensor = network.spec.tensor(layer.weight)
    bits = network.policy.bits(network.spec, layer.weight)
    shape = 'x'.join(map(str, tensor.shape))
    kernel = model.kernels[layer.name]
    lines.append(
        f'  weight {layer.weight} {shape}, {bits} bits, layout {kernel.layout}'
    )
    if kernel.scratch_bytes:
      offset = model.offsets[memory_planner.scratch_name(layer.name)]
      lines.append(f'  scratch {kernel.scratch_bytes} bytes at {offset}')
  # A name must not be able to end the comment.
  body = '\n * '.join(lines).replace('*/', '* /')
  return f'/* {body} */\n'


def _activation_text(model: Model, name: str) -> str:
  tensor = model.network.spec.tensor(name)
  params = model.network.params[name]
  height, width, channels = tensor.shape
  num_bytes = packing.activation_bytes((height, width, channels), params.bits)
  shape = f'{height}x{width}x{channels}'
  return (
      f'{name} {shape}, {params.bits} bits, {num_bytes} bytes at '
      f'{model.offsets[name]}, {params.scale:.6g} * (code - '
      f'{params.zero_point})'
  ).replace('- -', '+ ')


def _end_macros(model: Model, role: str, name: str) -> str:
  tensor = model.network.spec.tensor(name)
  params = model.network.params[name]
  height, width, channels = tensor.shape
  macro = f'{model.prefix.upper()}_{role}'
  return (
      f'#define {macro}_HEIGHT {height}\n'
      f'#define {macro}_WIDTH {width}\n'
      f'#define {macro}_CHANNELS {channels}\n'
      f'#define {macro}_BYTES {tensor.num_elements}\n'
      f'#define {macro}_SCALE {params.scale:.9e}f\n'
      f'#define {macro}_ZERO_POINT ({params.zero_point})\n'
  )


def header(model: Model, const_bytes: int) -> str:
  """Returns the text of <prefix>.h."""
  prefix, macro = model.prefix, model.prefix.upper()
  spec = model.network.spec
  return f"""\
/* {spec.name.replace('*/', '')}: an integer network, exported by tfmpq.
 *
 *   memcpy({prefix}_input(), image, {macro}_INPUT_BYTES);
 *   {prefix}_invoke();
 *   const int8_t* logits = {prefix}_output();
 *
 * Input and output are int8 codes, [height][width][channels]; a code stands
 * for SCALE * (code - ZERO_POINT). Both lie in the arena, whose bytes are used
 * again and again: write the whole input before each invoke, read the output
 * before the next one. Nothing here allocates memory or keeps any other state.
 */
#ifndef TFMPQ_{macro}_H_
#define TFMPQ_{macro}_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{_end_macros(model, 'INPUT', spec.input)}
{_end_macros(model, 'OUTPUT', spec.output)}
/* RAM: the arena is all that the model needs besides the stack. */
#define {macro}_ARENA_BYTES {model.arena_bytes}
/* FLASH: constants, without code. */
#define {macro}_CONST_BYTES {const_bytes}

extern uint8_t {prefix}_arena[{macro}_ARENA_BYTES];

int8_t* {prefix}_input(void);
void {prefix}_invoke(void);
const int8_t* {prefix}_output(void);

#ifdef __cplusplus
}} /* extern "C" */
#endif

#endif /* TFMPQ_{macro}_H_ */
"""


def source(
    model: Model,
    const_bytes: int,
    struct_bytes: Mapping[str, int],
    layers: str,
    calls: str,
) -> str:
  """Returns the text of <prefix>.c.

  Args:
    model: what is written.
    const_bytes: sum over all constants.
    struct_bytes: name of a parameter struct -> its size rounded up to 4.
    layers: definitions of the constants.
    calls: statements of the invoke function.
  """
  # C99 has no static_assert: an array of -1 elements is an error.
  size_checks = ''.join(
      f'typedef char {model.prefix}_{struct}_size\n'
      f'    [(sizeof({struct}) + 3) / 4 * 4 == {num_bytes} ? 1 : -1];\n'
      for struct, num_bytes in struct_bytes.items()
  )
  prefix, macro = model.prefix, model.prefix.upper()
  spec = model.network.spec
  includes = ''.join(
      f'#include "tflm_ext/kernels/{name}"\n' for name in model.headers
  )
  return f"""\
/* {spec.name.replace('*/', '')}: an integer network, exported by tfmpq.
 *
 * {len(spec.layers)} layers, {const_bytes} bytes of constants, \
{model.arena_bytes} bytes of arena.
 * {_TARGET_TEXTS[model.target]}
 * Byte layouts and arithmetic: tflm_ext/README.md. */
#include "{prefix}.h"

#include <stddef.h>
#include <stdint.h>

{includes}#include "tflm_ext/kernels/types.h"

/* Where constants and the arena lie can be set from outside, for instance to
 * give them sections of their own. */
#ifndef TFMPQ_CONST
#define TFMPQ_CONST __attribute__((aligned(4)))
#endif
#ifndef TFMPQ_ARENA
#define TFMPQ_ARENA __attribute__((aligned(16)))
#endif

/* {macro}_CONST_BYTES counts on these sizes, rounded up to 4. */
{size_checks}
TFMPQ_ARENA uint8_t {prefix}_arena[{macro}_ARENA_BYTES];

{layers}
int8_t* {prefix}_input(void) {{
  return (int8_t*)({model.address(spec.input)});
}}

const int8_t* {prefix}_output(void) {{
  return (const int8_t*)({model.address(spec.output)});
}}

void {prefix}_invoke(void) {{
{calls}}}
"""
