"""Rules that the sources of the kernels keep.

GCC 12.2 compiles a constant `mve_pred16_t` into all lanes: 0x0F0F, say, becomes
0xFFFF, and a predicated instruction acts on every lane (seen with
arm-none-eabi-gcc 12.2.1 at -O1 to -O3). Predicates have to come from an
instruction, vctp or a comparison.
"""

import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]

_NUMBER = re.compile(
    r'\(*\s*(\(\s*mve_pred16_t\s*\)\s*)?\(?(0[xXbB][0-9a-fA-F]+|[0-9]+)[uU]?[\s)]*'
)
_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
_DEFINITION = re.compile(r'#\s*define\s+(\w+)\s+(\S+)\s*$', re.MULTILINE)
# A variable and its first value; a predicated intrinsic up to its arguments.
_VARIABLE = re.compile(r'mve_pred16_t\s+\w+\s*=\s*([^;,]+)')
_PREDICATED = re.compile(r'\bv\w+?_[mxzp](?:_\w+)?\s*\(')


def _last_argument(code, start):
  """Returns the last argument of a call whose arguments begin at `start`."""
  depth, last = 1, start
  for position in range(start, len(code)):
    depth += {'(': 1, ')': -1}.get(code[position], 0)
    if depth == 0:
      return code[last:position]
    if depth == 1 and code[position] == ',':
      last = position + 1
  return ''


def _constant_predicates(text):
  """Returns the predicates in C source that are constants."""
  code = _COMMENT.sub(' ', text)
  for name, value in _DEFINITION.findall(code):
    if _NUMBER.fullmatch(value):
      code = re.sub(rf'\b{name}\b', value, code)
  predicates = _VARIABLE.findall(code)
  predicates += [
      _last_argument(code, call.end()) for call in _PREDICATED.finditer(code)
  ]
  return [p for p in predicates if _NUMBER.fullmatch(p.strip())]


def _sources():
  folder = _ROOT / 'tflm_ext/kernels'
  return sorted(
      path for path in folder.iterdir() if path.suffix in ('.c', '.h')
  )


def test_no_predicate_is_a_constant():
  sources = _sources()
  assert len(sources) > 10
  found = {
      path.name: places
      for path in sources
      if (places := _constant_predicates(path.read_text(encoding='utf-8')))
  }
  assert not found


@pytest.mark.parametrize(
    'text',
    [
        'mve_pred16_t mask = 0x0F0F;',
        'const mve_pred16_t p = (mve_pred16_t)0xf0f0;',
        'x = vaddq_m(x, a, b, 0x0F0F);',
        'x = vldrbq_z_u8(from, 15);',
        'sum = vmladavaq_p_s8(sum, a, b, (mve_pred16_t)0x00FF);',
        'x = vaddq_x_u8(\n    a,\n    b, 0x000f);',
        '#define LOW 0x00ff\nx = vaddq_x_u8(a, b, LOW);',
        'x = vaddq_m(x, f(a, 1), b, 3);',
    ],
)
def test_constant_predicates_are_found(text):
  assert len(_constant_predicates(text)) == 1


@pytest.mark.parametrize(
    'text',
    [
        'const mve_pred16_t p = vctp8q(count);',
        'x = vldrbq_z_u8(from, vctp8q(15));',
        'x = vaddq_m(x, a, b, vcmpneq(a, 0));',
        'x = vshrq_n_u8(a, 4);',
        'x = vldrhq_gather_shifted_offset_s16(from, offsets);',
        '/* mve_pred16_t mask = 0x0F0F; */',
    ],
)
def test_other_predicates_are_allowed(text):
  assert not _constant_predicates(text)
