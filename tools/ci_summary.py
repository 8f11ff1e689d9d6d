"""Counts test cases from Bazel's build events and prints the closing lines.

Standard library only: it runs even if no Python environment could be made.
"""

import collections
import json
import pathlib
import sys
from urllib import parse
from urllib import request
from xml.etree import ElementTree

_PASSED = ("PASSED", "FLAKY")


def read_events(path):
  """Yields the build events of a --build_event_json_file."""
  with open(path, encoding="utf-8") as lines:
    for line in lines:
      yield json.loads(line)


def _report_path(test_result):
  """Returns the path of test.xml in a testResult event, or None."""
  for output in test_result.get("testActionOutput", []):
    if output["name"] == "test.xml":
      return pathlib.Path(
          request.url2pathname(parse.urlparse(output["uri"]).path)
      )
  return None


def count_cases(report):
  """Returns (passed, failed) of one test.xml; skipped cases count in neither.

  A report that cannot be read, as after a crash, counts as (0, 0).
  """
  try:
    cases = list(ElementTree.parse(report).iter("testcase"))
  except (OSError, ElementTree.ParseError):
    return 0, 0
  outcomes: collections.Counter[str] = collections.Counter()
  for case in cases:
    if case.find("failure") is not None or case.find("error") is not None:
      outcomes["failed"] += 1
    elif case.find("skipped") is None:
      outcomes["passed"] += 1
  return outcomes["passed"], outcomes["failed"]


def notes(report):
  """Returns the lines of a test's output that begin with NOTE:.

  That is how a test says what the summary should tell, such as that it could
  not do its work here.
  """
  try:
    outputs = list(ElementTree.parse(report).iter("system-out"))
  except (OSError, ElementTree.ParseError):
    return []
  lines = [
      line for output in outputs for line in (output.text or "").splitlines()
  ]
  return [line for line in lines if line.startswith("NOTE: ")]


class Summary:
  """What the events say about the test targets.

  Attributes:
    tags: label -> tags, of every test target that was asked for.
    status: label -> overall status, of those that ran.
    skipped: labels of targets that cannot exist here: without TFLM, those that
      need it.
    counts: label -> [passed, failed] over its shards.
    notes: what tests asked to be told, in the order of their results.
    bazel_status: how Bazel ended; "SUCCESS" if all was built and passed.
  """

  def __init__(self, events):
    self.tags: dict[str, list[str]] = {}
    self.status: dict[str, str] = {}
    self.skipped: set[str] = set()
    self.notes: list[str] = []
    self.bazel_status = "UNKNOWN"
    self.counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for event in events:
      self._add(event)

  def _add(self, event):
    event_id = event.get("id", {})
    if "targetConfigured" in event_id:
      configured = event.get("configured", {})
      # testSize is there for tests only; a suite is no test of its own.
      if "testSize" in configured:
        label = event_id["targetConfigured"]["label"]
        self.tags[label] = configured.get("tag", [])
    elif "testSummary" in event_id:
      label = event_id["testSummary"]["label"]
      self.status[label] = event["testSummary"]["overallStatus"]
    elif event.get("aborted", {}).get("reason") == "SKIPPED":
      self.skipped.add(event_id.get("targetCompleted", {}).get("label", ""))
    elif "finished" in event:
      self.bazel_status = event["finished"]["exitCode"]["name"]
    elif "testResult" in event_id:
      # A retried attempt is followed by another one that decides.
      label = event_id["testResult"]["label"]
      report = _report_path(event.get("testResult", {}))
      if report:
        passed, failed = count_cases(report)
        self.counts[label][0] += passed
        self.counts[label][1] += failed
        self.notes += notes(report)

  def needs_tflm(self, label):
    """Whether a target carries the tag "tflm"."""
    return "tflm" in self.tags.get(label, [])

  def cases(self, label):
    """Returns (passed, failed) of a target; it fails at least once if red.

    Only what needs TFLM may be skipped.
    """
    passed, failed = self.counts[label]
    if label in self.skipped and self.needs_tflm(label):
      return 0, 0
    if self.status.get(label) in _PASSED:
      return max(passed, 1), 0
    return passed, max(failed, 1)


def _tflm_line(summary, labels):
  """Returns how many of the targets that need TFLM have run."""
  num_run = sum(label in summary.status for label in labels)
  num_skipped = sum(label in summary.skipped for label in labels)
  if not num_run:
    return "TFLM: skipped"
  # Where it has no library for a core.
  rest = f", {num_skipped} skipped" if num_skipped else ""
  return f"TFLM: {num_run} run{rest}"


def main(path):
  """Prints the summary of an events file; returns the exit status."""
  if not pathlib.Path(path).exists():
    print("Bazel did not start: nothing was tested")
    print("0 passed, 1 failed")
    return 1
  summary = Summary(read_events(path))
  labels = sorted(set(summary.tags) | set(summary.status))
  passed = failed = 0
  for label in labels:
    target_passed, target_failed = summary.cases(label)
    passed += target_passed
    failed += target_failed
    if target_failed:
      print(f"{summary.status.get(label, 'NOT RUN')}: {label}")
  if summary.bazel_status != "SUCCESS" and not failed:
    # A package that cannot be loaded takes its tests with it, unlisted.
    print(f"{summary.bazel_status}: see Bazel's messages above")
    failed = 1
  tflm = [label for label in labels if summary.needs_tflm(label)]
  for note in summary.notes:
    print(note)
  print(_tflm_line(summary, tflm))
  print(f"{passed} passed, {failed} failed")
  return 1 if failed or not passed else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1]))
