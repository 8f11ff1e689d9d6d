"""Local stand-ins for the archives that Bazel 4 would download.

Bazel 4's built-in WORKSPACE suffix fetches rules_cc (for any target) and
remote_coverage_tools (for any test) from the network. A repository of the same
name that exists already wins, so these are declared first. Later versions need
the true archives and get no stand-in.
"""

_NATIVE_RULES = {
    "rules_cc": ("cc", [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_proto_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
        "objc_library",
    ]),
    "rules_java": ("java", [
        "java_binary",
        "java_import",
        "java_library",
        "java_package_configuration",
        "java_plugin",
        "java_runtime",
        "java_test",
        "java_toolchain",
    ]),
}

def _native_rules_impl(ctx):
    package, rules = _NATIVE_RULES[ctx.attr.kind]
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.attr.kind)
    ctx.file("BUILD.bazel", "")
    ctx.file(package + "/BUILD.bazel", "")
    ctx.file(
        package + "/defs.bzl",
        "".join(["{0} = native.{0}\n".format(rule) for rule in rules]),
    )

_native_rules = repository_rule(
    implementation = _native_rules_impl,
    attrs = {"kind": attr.string(values = _NATIVE_RULES.keys())},
)

_NO_COVERAGE = """#!/bin/sh
echo "bazel coverage is not available with Bazel 4" >&2
exit 1
"""

_COVERAGE_BUILD = """package(default_visibility = ["//visibility:public"])

sh_binary(name = "coverage_report_generator", srcs = ["unavailable.sh"])

sh_binary(name = "lcov_merger", srcs = ["unavailable.sh"])
"""

def _no_coverage_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"remote_coverage_tools\")\n")
    ctx.file("unavailable.sh", _NO_COVERAGE, executable = True)
    ctx.file("BUILD.bazel", _COVERAGE_BUILD)

_no_coverage = repository_rule(implementation = _no_coverage_impl)

def bazel_compat_repositories():
    """Declares the stand-ins where Bazel is version 4.

    Debian's bazel-bootstrap is a development build of 4.2.3 whose
    native.bazel_version is the empty string.
    """
    version = native.bazel_version
    if version == "" or version.startswith("4."):
        for kind in _NATIVE_RULES:
            _native_rules(name = kind, kind = kind)
        _no_coverage(name = "remote_coverage_tools")
