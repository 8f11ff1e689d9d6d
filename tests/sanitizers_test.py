"""The sanitized variant of a kernel_test catches mistakes in libraries."""

import subprocess

import pytest

_PROGRAM = "tools/sanitizer_proof/mistakes_test_sanitized"


@pytest.mark.parametrize(
    "mistake, message",
    [
        ("bounds", "AddressSanitizer: stack-buffer-overflow"),
        ("overflow", "signed integer overflow"),
    ],
)
def test_mistake_ends_the_program(mistake, message):
  result = subprocess.run(
      [_PROGRAM, mistake], capture_output=True, check=False, text=True
  )
  assert result.returncode != 0
  assert message in result.stderr
