"""Writes the corpus of the fuzz target: one valid model per op.

    bazel run //tests:write_fuzz_corpus -- --output=$PWD/tflm_ext/ops/corpus

fuzz_corpus_test checks that the committed files are fresh.
"""

import argparse
from collections.abc import Iterator
import pathlib

from tests import malformed_models
from tfmpq import tflite_layout
from tfmpq import tflite_options


def corpus() -> Iterator[tuple[str, bytes]]:
  """Yields (file name, content)."""
  for op in tflite_options.CUSTOM_CODES:
    data = tflite_layout.serialize(malformed_models.valid_model(op))
    yield f'{op.value}.tflite', data


def main() -> None:
  """Writes the files."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  folder = parser.parse_args().output
  folder.mkdir(parents=True, exist_ok=True)
  for name, data in corpus():
    (folder / name).write_bytes(data)


if __name__ == '__main__':
  main()
