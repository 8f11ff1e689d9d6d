"""Repository rule: TensorFlow Lite Micro, from a folder outside.

The folder is $TFLM_ROOT, or ~/.cache/tfmpq/tflm. TFLM's own build makes what
lies in it:

    include/                                      tensorflow, flatbuffers,
                                                  gemmlowp, ruy
    lib/<machine>/libtensorflow-microlite.a       host, cortex_m4, cortex_m7,
                                                  cortex_m33, cortex_m55

`@tflm_sdk//:tflm` is the library for the platform of a build. Where it is
absent, this target is incompatible with every platform, so that `//...` skips
what depends on it, and a line says so.
"""

load("//tools/arm:mcu.bzl", "CORES")

_LIBRARY = "lib/{}/libtensorflow-microlite.a"

# `defines` must be those of TFLM's Makefile: structures depend on them.
# gemmlowp's own folder, because TFLM includes "fixedpoint/fixedpoint.h".
_BUILD = """package(default_visibility = ["//visibility:public"])

# For programs that are built without Bazel.
filegroup(
    name = "files",
    srcs = glob(
        ["include/**/*.h", "lib/host/*.a", "lib/cortex_m4/*.a"],
        allow_empty = True,
    ),
)

cc_library(
    name = "tflm",
    srcs = select({{
{libraries}    }}),
    hdrs = glob(["include/**/*.h"]),
    defines = ["TF_LITE_STATIC_MEMORY"],
    includes = [
        "include",
        "include/gemmlowp",
    ],
    target_compatible_with = select({{
{compatible}    }}),
)
"""

_ABSENT = '["@//tools/tflm:sdk_at_hand"]'

def _root(ctx):
    """Returns the folder of the SDK, or None if nothing names one."""
    root = ctx.os.environ.get("TFLM_ROOT")
    if not root and "HOME" in ctx.os.environ:
        root = ctx.os.environ["HOME"] + "/.cache/tfmpq/tflm"
    return ctx.path(root) if root else None

def _link_present(ctx, root, machines):
    """Links the SDK's files; returns the machines that it has them for."""
    header = "include/tensorflow/lite/micro/micro_interpreter.h"
    if root == None or not ctx.path(str(root) + "/" + header).exists:
        return []
    ctx.symlink(str(root) + "/include", "include")
    present = []
    for machine in machines:
        library = _LIBRARY.format(machine)
        if ctx.path(str(root) + "/" + library).exists:
            ctx.symlink(str(root) + "/" + library, library)
            present.append(machine)
    return present

def _tflm_sdk_impl(ctx):
    machines = ["host"] + CORES
    root = _root(ctx)
    present = _link_present(ctx, root, machines)
    absent = [machine for machine in machines if machine not in present]
    if absent:
        # buildifier: disable=print
        print("TFLM: %s has no library for %s; targets that need one are " %
              (root or "TFLM_ROOT", ", ".join(absent)) +
              "skipped (README, \"On a device\")")
    libraries = ""
    compatible = ""
    for machine in machines:
        condition = "//conditions:default"
        if machine != "host":
            condition = "@//platforms:is_" + machine
        files = [_LIBRARY.format(machine)] if machine in present else []
        libraries += "        %r: %r,\n" % (condition, files)
        compatible += "        %r: %s,\n" % (
            condition,
            "[]" if machine in present else _ABSENT,
        )
    ctx.file("BUILD.bazel", _BUILD.format(
        compatible = compatible,
        libraries = libraries,
    ))

tflm_sdk_repository = repository_rule(
    implementation = _tflm_sdk_impl,
    configure = True,
    # TFMPQ_TFLM_FILES: which of the files exist (tools/bazel), so that an SDK
    # that comes or goes is noticed.
    environ = ["HOME", "TFLM_ROOT", "TFMPQ_TFLM_FILES"],
    local = True,
)
