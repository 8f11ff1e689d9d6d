"""Repository rule: a virtual environment as Bazel's Python 3 toolchain.

The environment is made once from the requirements files and again when their
content changes. pip reads its usual settings (PIP_INDEX_URL, pip.conf, cache)
because repository rules inherit the caller's environment.

Two variables steer it:
  TFMPQ_PYTHON: the Python that makes the environment.
  TFMPQ_VENV: a ready environment to use as it is; nothing is installed.
"""

# The range in which every pin of requirements.txt has wheels.
_OLDEST = 11
_NEWEST = 13

_BUILD = """load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "runtime",
    interpreter_path = "{python}",
    python_version = "PY3",
    # Plain Debian has no "python", which is the stub's default.
    stub_shebang = "#!/usr/bin/env python3",
)

py_runtime_pair(name = "pair", py3_runtime = ":runtime")

# The interpreter's path is all that Bazel tracks. Every Python target depends
# on :deps, so that a change of the installed packages invalidates its results.
py_library(name = "deps", data = ["installed.txt"])
"""

def _run(ctx, command, what, timeout = 600):
    """Runs a command, or fails with its output; returns its stdout."""
    result = ctx.execute(command, timeout = timeout)
    if result.return_code:
        fail("{} failed with status {}: {}\n{}\n{}".format(
            what,
            result.return_code,
            " ".join([str(word) for word in command]),
            result.stdout,
            result.stderr,
        ))
    return result.stdout

def _is_supported(ctx, python):
    check = "import sys; sys.exit(not (3, {}) <= sys.version_info[:2] <= (3, {}))"
    return ctx.execute(
        [python, "-c", check.format(_OLDEST, _NEWEST)],
    ).return_code == 0

def _find_python(ctx):
    """Returns the first supported Python: TFMPQ_PYTHON, python3, python3.x."""
    chosen = ctx.os.environ.get("TFMPQ_PYTHON")
    if chosen:
        if not _is_supported(ctx, chosen):
            fail("TFMPQ_PYTHON={} is not a Python 3.{} to 3.{}".format(
                chosen,
                _OLDEST,
                _NEWEST,
            ))
        return chosen
    names = ["python3"] + [
        "python3.%d" % minor
        for minor in range(_OLDEST, _NEWEST + 1)
    ]
    for name in names:
        python = ctx.which(name)
        if python and _is_supported(ctx, python):
            return python
    fail(("No Python 3.{} to 3.{} on PATH ({}). Install one with its venv " +
          "module, or set TFMPQ_PYTHON=/path/to/python3").format(
        _OLDEST,
        _NEWEST,
        ", ".join(names),
    ))

def _create_venv(ctx, requirements):
    """Makes ./venv and installs the requirements; returns its python3."""
    venv = ctx.path("venv")
    _run(
        ctx,
        [_find_python(ctx), "-m", "venv", venv],
        "Creating the virtual environment " +
        "(Debian and Ubuntu: apt-get install python3-venv)",
    )
    python = venv.get_child("bin").get_child("python3")
    command = [python, "-m", "pip", "install", "--quiet", "--no-input"]
    command.append("--disable-pip-version-check")
    for path in requirements:
        command += ["-r", path]
    ctx.report_progress("installing TensorFlow and the other requirements")

    # TensorFlow alone is 0.6 GB: ten minutes are not always enough.
    _run(ctx, command, "pip install", timeout = 7200)
    return python

def _python_venv_impl(ctx):
    requirements = [ctx.path(label) for label in ctx.attr.requirements]
    for path in requirements:
        ctx.read(path)  # Makes Bazel watch the file.
    ready = ctx.os.environ.get("TFMPQ_VENV")
    if ready:
        python = ctx.path(ready).get_child("bin").get_child("python3")
        if not python.exists:
            fail("TFMPQ_VENV=%s holds no bin/python3" % ready)
    else:
        python = _create_venv(ctx, requirements)
    ctx.file("installed.txt", _run(
        ctx,
        [python, "-m", "pip", "freeze", "--disable-pip-version-check"],
        "pip freeze",
    ))
    ctx.file("BUILD.bazel", _BUILD.format(python = python))

python_venv = repository_rule(
    implementation = _python_venv_impl,
    attrs = {
        "requirements": attr.label_list(allow_files = True, mandatory = True),
    },
    # No PIP_* here: two shells with different settings would take turns at
    # deleting and rebuilding an environment of 2.5 GB.
    environ = ["TFMPQ_PYTHON", "TFMPQ_VENV"],
)
