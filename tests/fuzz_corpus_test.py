"""The fuzz target's committed corpus is what its generator writes."""

import pathlib

from tests import write_fuzz_corpus

_FOLDER = pathlib.Path(__file__).parents[1] / 'tflm_ext' / 'ops' / 'corpus'


def test_corpus_is_fresh():
  committed = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}
  assert committed == dict(write_fuzz_corpus.corpus()), (
      'bazel run //tests:write_fuzz_corpus -- '
      '--output=$PWD/tflm_ext/ops/corpus'
  )
