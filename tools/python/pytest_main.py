"""Runs pytest under `bazel test`: shards, filter, XML report, own HOME."""

import os
import sys

import pytest

_NO_TESTS_COLLECTED = 5


class ShardPlugin:
  """Keeps every TEST_TOTAL_SHARDS-th test, beginning at TEST_SHARD_INDEX."""

  def __init__(self, num_shards, shard_index):
    self._num_shards = num_shards
    self._shard_index = shard_index

  def pytest_collection_modifyitems(self, config, items):
    kept = items[self._shard_index :: self._num_shards]
    dropped = [item for item in items if item not in kept]
    if dropped:
      config.hook.pytest_deselected(items=dropped)
    items[:] = kept


def _pytest_args(environ, temporary_dir):
  """Returns the pytest arguments that Bazel's test environment asks for."""
  args = ["-p", "no:cacheprovider", "-q", "-ra", "-c", "pyproject.toml"]
  args += ["--rootdir=.", "--basetemp=" + os.path.join(temporary_dir, "pytest")]
  if environ.get("XML_OUTPUT_FILE"):
    args.append("--junitxml=" + environ["XML_OUTPUT_FILE"])
  if environ.get("TESTBRIDGE_TEST_ONLY"):
    args += ["-k", environ["TESTBRIDGE_TEST_ONLY"]]
  return args


def main():
  """Runs pytest on argv and exits with its status."""
  environ = os.environ
  temporary_dir = environ["TEST_TMPDIR"]
  # Bazel unsets HOME, but Keras and TensorFlow Datasets expand "~".
  environ["HOME"] = temporary_dir
  num_shards = int(environ.get("TEST_TOTAL_SHARDS") or 1)
  plugins = []
  if num_shards > 1:
    # Tells Bazel that shards are understood.
    with open(environ["TEST_SHARD_STATUS_FILE"], "w", encoding="utf-8"):
      pass
    plugins.append(ShardPlugin(num_shards, int(environ["TEST_SHARD_INDEX"])))
  args = _pytest_args(environ, temporary_dir) + sys.argv[1:]
  status = int(pytest.main(args, plugins=plugins))
  if status == _NO_TESTS_COLLECTED and num_shards > 1:
    status = 0  # More shards than tests: this one is empty.
  sys.exit(status)


if __name__ == "__main__":
  main()
