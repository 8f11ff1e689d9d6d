"""Repository rules: a model that tfmpq exported, from a folder outside.

`//tfmpq:deploy` exports sources into a run directory and builds them with

    --repo_env=TFMPQ_MODEL_DIR=<folder> --repo_env=TFMPQ_MODEL_HASH=<of content>

for a model as plain C (model.c, model.h), or for one that runs under TFLite
Micro (model_data.cc, model_ops.cc) with TFMPQ_TFLM_MODEL_DIR and
TFMPQ_TFLM_MODEL_HASH. The hash makes Bazel fetch again when the files change:
it does not watch them.
"""

_C_BUILD = """load("@//tflm_ext/runners:model.bzl", "c_model")

c_model(
    name = "model",
    srcs = ["model.c"],
    hdrs = ["model.h"],
    visibility = ["//visibility:public"],
)
"""

_TFLM_BUILD = """load("@//tflm_ext/runners:model.bzl", "tflm_model")

tflm_model(
    name = "model",
    srcs = [
        "model_data.cc",
        "model_ops.cc",
    ],
    visibility = ["//visibility:public"],
)
"""

def _copy(ctx, variable, names):
    """Copies files of the folder that an environment variable names."""
    folder = ctx.os.environ.get(variable)
    if not folder:
        fail(variable + " names no folder of an exported model. Use " +
             "./bazelw run //tfmpq:deploy, which sets it, or pass " +
             "--repo_env=%s=/path/to/folder" % variable)
    for name in names:
        path = ctx.path(folder + "/" + name)
        if not path.exists:
            fail("%s=%s holds no %s" % (variable, folder, name))

        # A copy, so that what is built does not change behind Bazel's back.
        ctx.file(name, ctx.read(path))

def _exported_model_impl(ctx):
    _copy(ctx, "TFMPQ_MODEL_DIR", ["model.c", "model.h"])
    ctx.file("BUILD.bazel", _C_BUILD)

exported_model = repository_rule(
    implementation = _exported_model_impl,
    environ = ["TFMPQ_MODEL_DIR", "TFMPQ_MODEL_HASH"],
    # No download: fetching again is cheap.
    local = True,
)

def _exported_tflm_model_impl(ctx):
    _copy(ctx, "TFMPQ_TFLM_MODEL_DIR", ["model_data.cc", "model_ops.cc"])
    ctx.file("BUILD.bazel", _TFLM_BUILD)

exported_tflm_model = repository_rule(
    implementation = _exported_tflm_model_impl,
    environ = ["TFMPQ_TFLM_MODEL_DIR", "TFMPQ_TFLM_MODEL_HASH"],
    local = True,
)
