"""Firmware on emulated microcontrollers.

`mcu_binary` builds a cc_binary for one core, whatever the command line's
platform is; `mcu_tests` boots it on the emulated board of each core.
"""

CORES = [
    "cortex_m4",
    "cortex_m7",
    "cortex_m33",
    "cortex_m55",
]

def _core_transition_impl(_settings, attr):
    return {"//command_line_option:platforms": "//platforms:" + attr.core}

_core_transition = transition(
    implementation = _core_transition_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _mcu_binary_impl(ctx):
    firmware = ctx.attr.binary[0][DefaultInfo].files_to_run.executable
    elf = ctx.actions.declare_file(ctx.label.name + ".elf")
    ctx.actions.symlink(output = elf, target_file = firmware)
    return [DefaultInfo(
        files = depset([elf]),
        runfiles = ctx.runfiles([elf]),
    )]

mcu_binary = rule(
    doc = "`<name>.elf`: the cc_binary `binary`, built for `core`.",
    implementation = _mcu_binary_impl,
    attrs = {
        "binary": attr.label(cfg = _core_transition, mandatory = True),
        "core": attr.string(values = CORES, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def mcu_tests(
        name,
        binary,
        cores = CORES,
        args = [],
        data = [],
        size = "small",
        tags = [],
        **kwargs):
    """Tests that boot one firmware on several cores.

    A test passes if the firmware's main() returns 0. The targets are
    `<name>_<core>` (the ELF), `<name>_<core>_test` and the suite `<name>`.

    Args:
      name: prefix of the targets.
      binary: a cc_binary that depends on //tflm_ext/runners:board.
      cores: a subset of CORES.
      args: handed to main() as argv[1:]; no spaces, no commas. Files are
        opened relative to the runfiles, so pass `$(rootpath ...)`.
      data: files that the firmware opens.
      size: of each test.
      tags: of each test; "qemu" and the core are added.
      **kwargs: passed to sh_test.
    """
    for core in cores:
        elf = "%s_%s" % (name, core)
        mcu_binary(
            name = elf,
            testonly = True,
            binary = binary,
            core = core,
            tags = ["manual"],
        )
        native.sh_test(
            name = elf + "_test",
            size = size,
            srcs = ["//tools/arm:run_firmware.sh"],
            args = [core, "$(rootpath :%s)" % elf] + args,
            data = [":" + elf] + data,
            tags = tags + ["qemu", core],
            **kwargs
        )
    native.test_suite(
        name = name,
        tests = [":%s_%s_test" % (name, core) for core in cores],
        # A suite ignores "manual" on its members, so it carries it, too.
        tags = tags,
    )
