"""Macro: a Python test that pytest runs."""

def pytest_test(name, srcs = None, deps = [], args = [], data = [], **kwargs):
    """py_test that hands its sources to pytest.

    Sharding, --test_filter, the XML report and the temporary directory work
    as in any other Bazel test (pytest_main.py).

    Args:
      name: of the target, `<module>_test`.
      srcs: test files; `[<name>.py]` if not given.
      deps: the modules under test.
      args: further arguments for pytest.
      data: files that the test reads.
      **kwargs: passed to py_test, for instance size, shard_count and tags.
    """
    srcs = srcs or [name + ".py"]
    native.py_test(
        name = name,
        srcs = srcs + ["//tools/python:pytest_main.py"],
        main = "//tools/python:pytest_main.py",
        args = ["$(rootpath %s)" % src for src in srcs] + args,
        data = data + ["//:pyproject.toml"],
        python_version = "PY3",
        srcs_version = "PY3",
        deps = deps + ["@py_env//:deps"],
        **kwargs
    )
