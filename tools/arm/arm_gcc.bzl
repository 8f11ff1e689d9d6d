"""Repository rule: finds Arm GCC and declares one cc_toolchain per core."""

_CORE_FLAGS = {
    "cortex_m4": ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    "cortex_m7": ["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"],
    "cortex_m33": ["-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"],
    "cortex_m55": ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
}

_TOOLS = ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objcopy", "objdump", "strip"]

_MISSING = """{prefix}gcc was not found. Install it (Debian and Ubuntu: \
apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi) or set \
TFMPQ_ARM_PREFIX=/path/to/bin/arm-none-eabi-, then run the command again."""

_HEADER = """load("@//tools/arm:cc_config.bzl", "arm_cc_toolchain_config")

package(default_visibility = ["//visibility:public"])

filegroup(name = "empty")
"""

_TOOLCHAIN = """
arm_cc_toolchain_config(
    name = "{core}_config",
    core = "{core}",
    flags = {flags},
    include_dirs = {include_dirs},
    missing = {missing},
    tools = {tools},
)

cc_toolchain(
    name = "{core}_cc",
    all_files = ":empty",
    ar_files = ":empty",
    as_files = ":empty",
    compiler_files = ":empty",
    dwp_files = ":empty",
    linker_files = ":empty",
    objcopy_files = ":empty",
    strip_files = ":empty",
    supports_param_files = 1,
    toolchain_config = ":{core}_config",
    toolchain_identifier = "arm-none-eabi-{core}",
)
"""

def _include_dirs(ctx, gcc, flags):
    """Returns the compiler's built-in include directories.

    They differ per core: the C++ ones belong to a multilib. Each is there as
    the compiler names it and with its links resolved.
    """
    result = ctx.execute([gcc, "-E", "-xc++", "-v", "/dev/null"] + flags)
    directories = []
    inside = False
    for line in result.stderr.split("\n"):
        if line.startswith("End of search list"):
            inside = False
        if inside:
            path = ctx.path(line.strip())
            for directory in [str(path), str(path.realpath)]:
                if directory not in directories:
                    directories.append(directory)
        if line.startswith("#include <...>"):
            inside = True
    return directories

def _find_gcc(ctx, prefix):
    if "/" not in prefix:
        return ctx.which(prefix + "gcc")
    gcc = ctx.path(prefix + "gcc")
    return gcc if gcc.exists else None

def _arm_gcc_impl(ctx):
    prefix = ctx.os.environ.get("TFMPQ_ARM_PREFIX", "arm-none-eabi-")
    gcc = _find_gcc(ctx, prefix)
    tools = {}
    if gcc:
        tools = {tool: str(gcc)[:-len("gcc")] + tool for tool in _TOOLS}

    # A missing compiler is no error here, but the first time that firmware is
    # asked for: Python and host targets build without it.
    build = _HEADER
    for core, flags in _CORE_FLAGS.items():
        build += _TOOLCHAIN.format(
            core = core,
            flags = repr(flags),
            include_dirs = repr(_include_dirs(ctx, gcc, flags) if gcc else []),
            missing = repr("" if gcc else _MISSING.format(prefix = prefix)),
            tools = repr(tools),
        )
    ctx.file("BUILD.bazel", build)

arm_gcc_repository = repository_rule(
    implementation = _arm_gcc_impl,
    configure = True,
    environ = ["TFMPQ_ARM_PREFIX", "PATH"],
    local = True,
)
