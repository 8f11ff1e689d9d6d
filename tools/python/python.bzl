"""House macros for Python: one library per module, programs beside them."""

# Without the package's own __init__.py Bazel makes up an empty one, and the
# environment variables that it sets would be missing.
_DEPS = [
    "//tfmpq:package",
    "@py_env//:deps",
]

def tfmpq_library(name, srcs = None, deps = [], **kwargs):
    """One module as a py_library.

    Args:
      name: of the module and the target.
      srcs: `[<name>.py]` if not given.
      deps: the modules of this project that it imports.
      **kwargs: passed to py_library, for instance data.
    """
    native.py_library(
        name = name,
        srcs = srcs or [name + ".py"],
        srcs_version = "PY3",
        deps = deps + _DEPS,
        **kwargs
    )

def tfmpq_binary(name, deps = [], **kwargs):
    """The command-line module `<name>.py` as a program and a library.

    `:<name>` runs it, `:<name>_lib` is what its tests import.

    Args:
      name: of the module and the program.
      deps: the modules of this project that it imports.
      **kwargs: passed to py_library, for instance data.
    """
    tfmpq_library(
        name = name + "_lib",
        srcs = [name + ".py"],
        deps = deps,
        **kwargs
    )
    native.py_binary(
        name = name,
        srcs = [name + ".py"],
        python_version = "PY3",
        srcs_version = "PY3",
        deps = [":" + name + "_lib"],
    )
