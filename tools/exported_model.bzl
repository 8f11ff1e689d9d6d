"""Repository rule: a model that tfmpq exported as C, from a folder outside.

`//tfmpq:deploy` exports model.c and model.h into a run directory and builds
them with

    --repo_env=TFMPQ_MODEL_DIR=<folder> --repo_env=TFMPQ_MODEL_HASH=<of content>

The hash makes Bazel fetch again when the files change: it does not watch them.
"""

_BUILD = """load("@//tflm_ext/runners:model.bzl", "c_model")

c_model(
    name = "model",
    srcs = ["model.c"],
    hdrs = ["model.h"],
    visibility = ["//visibility:public"],
)
"""

def _exported_model_impl(ctx):
    folder = ctx.os.environ.get("TFMPQ_MODEL_DIR")
    if not folder:
        fail("TFMPQ_MODEL_DIR names no folder of an exported model. Use " +
             "./bazelw run //tfmpq:deploy, which sets it, or pass " +
             "--repo_env=TFMPQ_MODEL_DIR=/path/to/run_directory")
    for name in ["model.c", "model.h"]:
        path = ctx.path(folder + "/" + name)
        if not path.exists:
            fail("TFMPQ_MODEL_DIR=%s holds no %s" % (folder, name))

        # A copy, so that what is built does not change behind Bazel's back.
        ctx.file(name, ctx.read(path))
    ctx.file("BUILD.bazel", _BUILD)

exported_model = repository_rule(
    implementation = _exported_model_impl,
    environ = ["TFMPQ_MODEL_DIR", "TFMPQ_MODEL_HASH"],
    # No download: fetching again is cheap.
    local = True,
)
