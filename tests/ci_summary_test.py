"""The closing lines that CI reads."""

import json

from tools import ci_summary

_LABEL = "//a:a_test"


def _configured(label, tags=()):
  return {
      "id": {"targetConfigured": {"label": label}},
      "configured": {"testSize": "SMALL", "tag": list(tags)},
  }


def _result(label, report):
  output = {"name": "test.xml", "uri": report.as_uri()}
  return {
      "id": {"testResult": {"label": label}},
      "testResult": {"testActionOutput": [output]},
  }


def _summary(label, status):
  return {
      "id": {"testSummary": {"label": label}},
      "testSummary": {"overallStatus": status},
  }


def _report(path, cases):
  path.write_text(
      f"<testsuites><testsuite>{cases}</testsuite></testsuites>",
      encoding="utf-8",
  )
  return path


def _run(tmp_path, events, capsys, bazel_status="SUCCESS"):
  exit_code = {"name": bazel_status}
  events = [*events, {"id": {}, "finished": {"exitCode": exit_code}}]
  path = tmp_path / "events.json"
  path.write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
  status = ci_summary.main(path)
  return status, capsys.readouterr().out.splitlines()


def test_cases_of_all_shards_are_counted(tmp_path, capsys):
  first = _report(tmp_path / "1.xml", "<testcase/><testcase/>")
  second = _report(
      tmp_path / "2.xml", "<testcase/><testcase><skipped/></testcase>"
  )
  events = [
      _configured(_LABEL),
      _result(_LABEL, first),
      _result(_LABEL, second),
      _summary(_LABEL, "PASSED"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 0
  assert lines[-2:] == ["TFLM: skipped", "3 passed, 0 failed"]


def test_failed_case_makes_the_status_non_zero(tmp_path, capsys):
  report = _report(
      tmp_path / "1.xml", "<testcase/><testcase><failure/></testcase>"
  )
  events = [
      _configured(_LABEL),
      _result(_LABEL, report),
      _summary(_LABEL, "FAILED"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 1
  assert lines == [
      f"FAILED: {_LABEL}",
      "TFLM: skipped",
      "1 passed, 1 failed",
  ]


def test_target_without_result_counts_as_failed(tmp_path, capsys):
  status, lines = _run(tmp_path, [_configured(_LABEL)], capsys)
  assert status == 1
  assert lines[0] == f"NOT RUN: {_LABEL}"
  assert lines[-1] == "0 passed, 1 failed"


def test_timed_out_target_with_broken_report_counts_as_failed(tmp_path, capsys):
  report = tmp_path / "1.xml"
  report.write_text("<testsuites><testsui", encoding="utf-8")
  events = [
      _configured(_LABEL),
      _result(_LABEL, report),
      _summary(_LABEL, "TIMEOUT"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 1
  assert lines[-1] == "0 passed, 1 failed"


def test_package_that_cannot_be_loaded_is_a_failure(tmp_path, capsys):
  report = _report(tmp_path / "1.xml", "<testcase/>")
  events = [
      _configured(_LABEL),
      _result(_LABEL, report),
      _summary(_LABEL, "PASSED"),
  ]
  status, lines = _run(tmp_path, events, capsys, "PARSING_FAILURE")
  assert status == 1
  assert lines[0].startswith("PARSING_FAILURE")
  assert lines[-1] == "1 passed, 1 failed"


def test_tflm_targets_are_counted(tmp_path, capsys):
  report = _report(tmp_path / "1.xml", "<testcase/>")
  events = [
      _configured(_LABEL, ["tflm", "qemu"]),
      _result(_LABEL, report),
      _summary(_LABEL, "PASSED"),
  ]
  _, lines = _run(tmp_path, events, capsys)
  assert lines == ["TFLM: 1 run", "1 passed, 0 failed"]


def _skipped(label):
  return {
      "id": {"targetCompleted": {"label": label}},
      "aborted": {"reason": "SKIPPED"},
  }


def test_targets_that_need_tflm_are_skipped_without_it(tmp_path, capsys):
  report = _report(tmp_path / "1.xml", "<testcase/>")
  events = [
      _configured(_LABEL),
      _result(_LABEL, report),
      _summary(_LABEL, "PASSED"),
      _configured("//a:b_test", ["tflm"]),
      _skipped("//a:b_test"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 0
  assert lines == ["TFLM: skipped", "1 passed, 0 failed"]


def test_tflm_without_a_library_for_a_core_is_told(tmp_path, capsys):
  report = _report(tmp_path / "1.xml", "<testcase/>")
  events = [
      _configured(_LABEL, ["tflm"]),
      _result(_LABEL, report),
      _summary(_LABEL, "PASSED"),
      _configured("//a:b_test", ["tflm"]),
      _skipped("//a:b_test"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 0
  assert lines == ["TFLM: 1 run, 1 skipped", "1 passed, 0 failed"]


def test_nothing_else_may_be_skipped(tmp_path, capsys):
  events = [_configured(_LABEL), _skipped(_LABEL)]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 1
  assert lines[0] == f"NOT RUN: {_LABEL}"


def test_notes_of_tests_are_told(tmp_path, capsys):
  output = "<![CDATA[loading\nNOTE: fuzzing skipped: no clang\nNOTE\n]]>"
  report = _report(
      tmp_path / "1.xml", f"<testcase/><system-out>{output}</system-out>"
  )
  events = [
      _configured(_LABEL),
      _result(_LABEL, report),
      _summary(_LABEL, "PASSED"),
  ]
  status, lines = _run(tmp_path, events, capsys)
  assert status == 0
  assert lines == [
      "NOTE: fuzzing skipped: no clang",
      "TFLM: skipped",
      "1 passed, 0 failed",
  ]


def test_no_tests_at_all_is_a_failure(tmp_path, capsys):
  status, lines = _run(tmp_path, [], capsys)
  assert status == 1
  assert lines[-1] == "0 passed, 0 failed"


def test_bazel_that_did_not_start_is_a_failure(tmp_path, capsys):
  assert ci_summary.main(tmp_path / "absent") == 1
  assert capsys.readouterr().out.endswith("0 passed, 1 failed\n")
