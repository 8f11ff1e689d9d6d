"""Toolchain configuration of Arm GCC for one bare-metal core."""

load(
    "@bazel_tools//tools/build_defs/cc:action_names.bzl",
    "ACTION_NAMES",
)
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
)

_COMPILE_CXX = [
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.linkstamp_compile,
]

_COMPILE = _COMPILE_CXX + [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.preprocess_assemble,
]

_LINK = [ACTION_NAMES.cpp_link_executable]

# The same source gives the same bytes on every day and in every folder.
_REPRODUCIBLE_FLAGS = [
    # Paths of headers as Bazel knows them, links not resolved.
    "-fno-canonical-system-headers",
    "-no-canonical-prefixes",
    "-Wno-builtin-macro-redefined",
    "-D__DATE__=\"redacted\"",
    "-D__TIMESTAMP__=\"redacted\"",
    "-D__TIME__=\"redacted\"",
]

# Firmware is always optimised, whatever -c says: nobody asks how large or slow
# an unoptimised kernel is on a microcontroller.
_OPTIMISATION_FLAGS = ["-O3", "-g", "-ffunction-sections", "-fdata-sections"]

_CXX_FLAGS = [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fno-use-cxa-atexit",
]

_LINK_FLAGS = [
    "-nostartfiles",
    "--specs=nano.specs",
    "-no-canonical-prefixes",
    "-Wl,--fatal-warnings",
    "-Wl,--gc-sections",
    # One region holds code, constants and the start values of data.
    "-Wl,--no-warn-rwx-segments",
]

def _flags(actions, flags):
    return flag_set(
        actions = actions,
        flag_groups = [flag_group(flags = flags)],
    )

def _arm_cc_toolchain_config_impl(ctx):
    if ctx.attr.missing:
        fail("\n\n  " + ctx.attr.missing + "\n")
    core_flags = ctx.attr.flags + ["-mthumb"]
    compile_flags = core_flags + ["-fno-common"] + _OPTIMISATION_FLAGS
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "newlib",
        abi_version = "eabi",
        compiler = "gcc",
        cxx_builtin_include_directories = ctx.attr.include_dirs,
        features = [
            feature(name = "dbg"),
            feature(name = "fastbuild"),
            feature(name = "opt"),
            feature(name = "static_linking_mode"),
            feature(name = "core_flags", enabled = True, flag_sets = [
                _flags(_COMPILE, compile_flags + _REPRODUCIBLE_FLAGS),
                _flags(_COMPILE_CXX, _CXX_FLAGS),
                _flags(_LINK, core_flags + _LINK_FLAGS),
            ]),
        ],
        host_system_name = "local",
        target_cpu = ctx.attr.core,
        target_libc = "newlib",
        target_system_name = "arm-none-eabi",
        tool_paths = [
            tool_path(name = name, path = path)
            for name, path in ctx.attr.tools.items()
        ],
        toolchain_identifier = "arm-none-eabi-" + ctx.attr.core,
    )

arm_cc_toolchain_config = rule(
    implementation = _arm_cc_toolchain_config_impl,
    attrs = {
        "core": attr.string(mandatory = True),
        "flags": attr.string_list(),
        "include_dirs": attr.string_list(),
        "missing": attr.string(
            doc = "Why there is no compiler, and what to do; empty if found.",
        ),
        "tools": attr.string_dict(),
    },
    provides = [CcToolchainConfigInfo],
)
