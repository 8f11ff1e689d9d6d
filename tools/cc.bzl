"""House macros for C and C++: optimised, every warning an error."""

C_COPTS = [
    "-std=c99",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Werror",
]

# C++ is for TFLM only: what TFLM itself does without, this code does, too.
CXX_COPTS = [
    "-std=c++17",
    "-O3",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Werror",
]

# Targets that exist on a microcontroller only: `//...` skips them for the host.
DEVICE_ONLY = ["@platforms//os:none"]

def c_library(name, copts = [], **kwargs):
    """cc_library with the house flags.

    Args:
      name: of the target.
      copts: further flags.
      **kwargs: passed to cc_library.
    """
    native.cc_library(name = name, copts = C_COPTS + copts, **kwargs)

def cxx_library(name, copts = [], **kwargs):
    """cc_library of C++ sources with the house flags.

    Args:
      name: of the target.
      copts: further flags.
      **kwargs: passed to cc_library.
    """
    native.cc_library(name = name, copts = CXX_COPTS + copts, **kwargs)

def c_binary(name, copts = [], **kwargs):
    """cc_binary with the house flags.

    Args:
      name: of the target.
      copts: further flags.
      **kwargs: passed to cc_binary.
    """
    native.cc_binary(name = name, copts = C_COPTS + copts, **kwargs)

def c_firmware(name, deps = [], **kwargs):
    """cc_binary that boots on the emulated boards (see mcu.bzl).

    Args:
      name: of the target.
      deps: besides //tflm_ext/runners:board, which is added.
      **kwargs: passed to c_binary.
    """
    c_binary(
        name = name,
        deps = deps + ["//tflm_ext/runners:board"],
        target_compatible_with = DEVICE_ONLY,
        **kwargs
    )
