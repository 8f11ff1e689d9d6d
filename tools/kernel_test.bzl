"""Macros: one test program, run on the host, sanitized, and on every core.

Example (tflm_ext/kernels/BUILD):

    load("//tools:kernel_test.bzl", "kernel_test")

    kernel_test(
        name = "conv2d_test",
        srcs = ["conv2d_test.c"],
        args = ["$(rootpath //tests:testdata/conv2d_golden.bin)"],
        data = ["//tests:testdata/conv2d_golden.bin"],
        deps = [
            ":conv2d",
            "//tflm_ext/runners:files",
            "//tflm_ext/runners:memory_sections",
        ],
    )

The source has an ordinary `int main(int argc, char** argv)` that returns 0 if
everything holds, prints with printf(), and reads files with
tflm_ext/runners/files.h (stdio on the host, semihosting on a device). Large
buffers are marked TFMPQ_ARENA (memory_sections.h).

The example gives these tests, all of them in `bazel test //...`:

    :conv2d_test                        host, -O3
    :conv2d_test_sanitized              host, address and undefined behaviour
    :conv2d_test_mcu_cortex_m4_test     and m7, m33, m55: the emulated boards
    :conv2d_test_mcu                    the suite of these four
"""

load("//tools:cc.bzl", "CXX_COPTS", "C_COPTS", "DEVICE_ONLY")
load("//tools/arm:mcu.bzl", "CORES", "mcu_tests")

_SANITIZER_FLAGS = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]

def _sanitizer_transition_impl(_settings, _attr):
    return {
        "//command_line_option:copt": _SANITIZER_FLAGS + [
            "-fno-omit-frame-pointer",
            "-g",
        ],
        "//command_line_option:linkopt": _SANITIZER_FLAGS,
        "//command_line_option:strip": "never",
    }

# A transition and not copts: the libraries under test need the flags, too.
_sanitizer_transition = transition(
    implementation = _sanitizer_transition_impl,
    inputs = [],
    outputs = [
        "//command_line_option:copt",
        "//command_line_option:linkopt",
        "//command_line_option:strip",
    ],
)

def _sanitized_test_impl(ctx):
    program = ctx.attr.binary[0][DefaultInfo].files_to_run.executable
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = executable,
        target_file = program,
        is_executable = True,
    )
    return [DefaultInfo(
        executable = executable,
        runfiles = ctx.runfiles(ctx.files.data),
    )]

_sanitized_test = rule(
    implementation = _sanitized_test_impl,
    attrs = {
        "binary": attr.label(cfg = _sanitizer_transition, mandatory = True),
        "data": attr.label_list(allow_files = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    test = True,
)

def kernel_test(name, copts = [], **kwargs):
    """Tests of one C program on the host, sanitized, and on every core.

    Args:
      name: of the host test and prefix of the others.
      copts: besides the house flags.
      **kwargs: as those of program_tests.
    """
    program_tests(name, C_COPTS + copts, **kwargs)

def tflm_test(name, copts = [], deps = [], tags = [], **kwargs):
    """Tests of one C++ program under TensorFlow Lite Micro, like kernel_test.

    They are skipped where no TFLM is at hand (tools/tflm/tflm_sdk.bzl). The
    program prints, allocates and ends as on the other firmware; what TFLM
    logs goes to standard output.

    Args:
      name: of the host test and prefix of the others.
      copts: besides the house flags.
      deps: besides TFLM itself, which is added.
      tags: of each test; "tflm" is added.
      **kwargs: as those of program_tests.
    """
    program_tests(
        name,
        CXX_COPTS + copts,
        deps = deps + ["//tflm_ext/runners:tflm_platform"],
        tags = tags + ["tflm"],
        **kwargs
    )

def program_tests(
        name,
        copts,
        srcs,
        deps = [],
        data = [],
        args = [],
        size = "small",
        cores = CORES,
        tags = [],
        on_host = True):
    """Tests of one program on the host, sanitized, and on every core.

    Args:
      name: of the host test and prefix of the others.
      copts: all flags of the compiler.
      srcs: sources with main(argc, argv).
      deps: libraries that build for the host and for the cores.
      data: files that the program opens.
      args: argv[1:]; no spaces, no commas.
      size: of each test.
      cores: on which to run it.
      tags: of each test.
      on_host: False: on the cores only, for code that builds for nothing else.
    """
    if on_host:
        _host_tests(name, srcs, deps, data, args, size, copts, tags)
    native.cc_binary(
        name = name + "_firmware",
        testonly = True,
        srcs = srcs,
        copts = copts,
        target_compatible_with = DEVICE_ONLY,
        deps = deps + ["//tflm_ext/runners:board"],
    )
    mcu_tests(
        name = name + "_mcu",
        size = size,
        args = args,
        binary = ":" + name + "_firmware",
        cores = cores,
        data = data,
        tags = tags,
    )

def _host_tests(name, srcs, deps, data, args, size, copts, tags):
    """The tests of program_tests that run on this machine; its arguments."""
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        args = args,
        copts = copts,
        data = data,
        tags = tags,
        deps = deps,
    )
    native.cc_binary(
        name = name + "_sanitized_program",
        testonly = True,
        srcs = srcs,
        copts = copts,
        tags = ["manual"],
        deps = deps,
    )
    _sanitized_test(
        name = name + "_sanitized",
        size = size,
        args = args,
        binary = ":" + name + "_sanitized_program",
        data = data,
        tags = tags,
    )
