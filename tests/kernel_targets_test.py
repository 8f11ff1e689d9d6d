"""What Python says of the kernels is what their C headers say."""

import pathlib
import random
import re
import subprocess

import pytest

from tfmpq import kernel_targets
from tfmpq import specs

_ROOT = pathlib.Path(__file__).absolute().parents[1]
_KERNELS = _ROOT / 'tflm_ext/kernels'
_SEED = 20261124
_NUM_CASES = 400
_TARGETS = [t for t in kernel_targets.Target if t.value != 'portable']
# Kernels without weights need nothing, so their headers have no such functions.
_PAIRS = [
    (target, op)
    for target in _TARGETS
    for op in kernel_targets.ops_of(target)
    if op in specs.WEIGHTED_OPS
]

# Prints layout, scratch bytes and whether it may run in place, per case.
_PROGRAM = """\
#include <stdio.h>
#include "tflm_ext/kernels/{op}_{target}.h"

static const struct {{
  tfmpq_conv_params params;
  int a, w, o;
}} cases[] = {{
{cases}
}};

int main(void) {{
  for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {{
    const tfmpq_conv_params* params = &cases[i].params;
    const int a = cases[i].a, w = cases[i].w, o = cases[i].o;
    printf("%d %lu %d\\n", tfmpq_{op}_layout__{target}(params, a, w),
           (unsigned long)tfmpq_{op}_scratch_bytes__{target}(params, a, w, o),
           {in_place});
  }}
  return 0;
}}
"""


def _random_geometry(rng, op):
  """Returns a geometry such as a LayerSpec may have, some of them large."""
  if op is specs.Op.FULLY_CONNECTED:
    sizes = (rng.randint(1, 3000), rng.randint(1, 1000))
    return kernel_targets.Geometry(op, (1, 1, sizes[0]), (1, 1, sizes[1]))
  kernel = (rng.randint(1, 9), rng.randint(1, 9))
  if rng.random() < 0.3:
    kernel = (1, 1)
  stride = (rng.randint(1, 4), rng.randint(1, 4))
  padding = tuple(rng.randrange(kernel[side % 2]) for side in range(4))
  size = [rng.randint(kernel[axis], 40) for axis in range(2)]
  out = [
      specs.output_size(
          size[axis],
          kernel[axis],
          stride[axis],
          padding[axis],
          padding[axis + 2],
      )
      for axis in range(2)
  ]
  channels = rng.choice([rng.randint(1, 40), rng.randint(1, 3000)])
  out_channels = channels
  if op is specs.Op.CONV_2D:
    out_channels = rng.randint(1, 300)
  return kernel_targets.Geometry(
      op, (*size, channels), (*out, out_channels), kernel, stride, padding
  )


def _initializer(shape, bits):
  fields = {
      'input_height': shape.input_shape[0],
      'input_width': shape.input_shape[1],
      'input_channels': shape.input_shape[2],
      'output_height': shape.output_shape[0],
      'output_width': shape.output_shape[1],
      'output_channels': shape.output_shape[2],
      'kernel_height': shape.kernel_size[0],
      'kernel_width': shape.kernel_size[1],
      'stride_height': shape.stride[0],
      'stride_width': shape.stride[1],
      'pad_top': shape.padding[0],
      'pad_left': shape.padding[1],
  }
  text = ', '.join(f'.{name} = {value}' for name, value in fields.items())
  return f'    {{{{{text}}}, {bits[0]}, {bits[1]}, {bits[2]}}},'


def _answers(folder, target, op, cases):
  """Returns (layout, scratch bytes, in place) by the C header, per case."""
  in_place = f'tfmpq_{op.value}_in_place__{target.value}'
  header = _KERNELS / f'{op.value}_{target.value}.h'
  has_in_place = in_place in header.read_text(encoding='utf-8')
  source = folder / 'program.c'
  source.write_text(
      _PROGRAM.format(
          op=op.value,
          target=target.value,
          cases='\n'.join(_initializer(*case) for case in cases),
          in_place=f'{in_place}(params, a, o)' if has_in_place else '0',
      ),
      encoding='utf-8',
  )
  command = ['gcc', '-std=c99', '-Wall', '-Werror', f'-I{_ROOT}', source]
  subprocess.run([*command, '-o', folder / 'program'], check=True)
  output = subprocess.run(
      [folder / 'program'], check=True, capture_output=True, text=True
  ).stdout
  return [tuple(map(int, line.split())) for line in output.splitlines()]


@pytest.mark.parametrize('target, op', _PAIRS)
def test_headers_and_python_agree(target, op, tmp_path):
  print(f'seed {_SEED}')
  rng = random.Random(_SEED)
  cases = [
      (
          _random_geometry(rng, op),
          tuple(rng.choice(specs.BIT_WIDTHS) for _ in range(3)),
      )
      for _ in range(_NUM_CASES)
  ]
  answers = _answers(tmp_path, target, op, cases)
  assert len(answers) == _NUM_CASES
  for (shape, bits), (layout, scratch_bytes, in_place) in zip(
      cases, answers, strict=True
  ):
    kernel = kernel_targets.kernel(target, shape, *bits)
    assert kernel.layout == layout, (shape, bits)
    if kernel.target is kernel_targets.Target.PORTABLE:
      assert (layout, kernel.scratch_bytes) == (0, 0), (shape, bits)
      continue
    assert kernel.scratch_bytes == scratch_bytes, (shape, bits)
    # Of the widths, memory_planner.in_place_input decides.
    channels = shape.input_shape[2]
    fits = -(-channels * bits[2] // 8) <= -(-channels * bits[0] // 8)
    assert (kernel.in_place and fits) == bool(in_place), (shape, bits)


def test_every_kernel_of_a_target_has_a_header():
  headers = {
      tuple(re.fullmatch(r'(\w+)_(dsp)', path.stem).groups())
      for path in _KERNELS.glob('*.h')
      if re.search(r'^#define TFMPQ_DECLARE_', path.read_text(), re.MULTILINE)
      and re.search('_(dsp)$', path.stem)
  }
  assert {(op.value, target.value) for target, op in _PAIRS} <= headers


def test_cores_have_targets():
  assert kernel_targets.of_cores(
      ['cortex_m55', 'cortex_m33', 'cortex_m7', 'cortex_m4']
  ) == (kernel_targets.Target.DSP,)
  assert kernel_targets.of_cores(['host']) == (kernel_targets.Target.PORTABLE,)
  with pytest.raises(ValueError, match="'cortex_m5'; did you mean 'cortex_m"):
    kernel_targets.of_core('cortex_m5')


def test_portable_kernels_need_nothing():
  rng = random.Random(_SEED)
  for op in (specs.Op.CONV_2D, specs.Op.DEPTHWISE_CONV_2D):
    found = kernel_targets.kernel(
        kernel_targets.Target.PORTABLE, _random_geometry(rng, op), 4, 4, 4
    )
    assert found == kernel_targets.Kernel(kernel_targets.Target.PORTABLE, 4)
    assert found.suffix == ''


def test_a_layer_too_large_for_a_target_is_portable():
  shape = kernel_targets.Geometry(
      specs.Op.CONV_2D, (5, 5, 3000), (1, 1, 2), (5, 5)
  )
  found = kernel_targets.kernel(kernel_targets.Target.DSP, shape, 8, 8, 8)
  assert found.target is kernel_targets.Target.PORTABLE
  assert found.layout == 0
