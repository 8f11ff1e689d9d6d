"""Macros: an exported model as a library, and programs that run it.

A c_model is a pair of files model.c and model.h, as tfmpq/c_writer.py writes
them with its default prefix. A tflm_model implements tflm_model.h, as
tfmpq/tflm_sources.py writes it.
"""

load("//tools:cc.bzl", "c_binary", "c_firmware", "c_library", "cxx_library")
load("//tools:kernel_test.bzl", "kernel_test", "tflm_test")
load("//tools/arm:mcu.bzl", "CORES", "mcu_binary")

_RUNNER_SOURCE = "//tflm_ext/runners:model_runner.c"
_TFLM_RUNNER = "//tflm_ext/runners:tflm_runner"
_RUNNER_DEPS = [
    "//tflm_ext/runners:files",
    "//tflm_ext/runners:model_meter",
]

def c_model(name, srcs, hdrs, folder = ".", **kwargs):
    """c_library of an exported model.

    Args:
      name: of the target.
      srcs: model.c.
      hdrs: model.h.
      folder: of model.h in the package.
      **kwargs: passed to c_library.
    """
    c_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        # Gives constants and arena their sections.
        copts = ["-include", "tflm_ext/runners/memory_sections.h"],
        includes = [folder],
        deps = [
            "@//tflm_ext/kernels",
            "@//tflm_ext/runners:memory_sections",
        ],
        **kwargs
    )

def model_programs(name, model, **kwargs):
    """Programs around a model.

    `<name>_logits` runs on this machine (model_logits.c), `<name>_host` and
    `<name>_<core>` are the measuring runner (model_runner.c) for this machine
    and for each core.

    Args:
      name: prefix of the targets.
      model: a c_model.
      **kwargs: passed to every target, for instance tags and testonly.
    """
    c_binary(
        name = name + "_logits",
        srcs = ["//tflm_ext/runners:model_logits.c"],
        deps = [
            model,
            "//tflm_ext/runners:files",
        ],
        **kwargs
    )
    c_binary(
        name = name + "_host",
        srcs = [_RUNNER_SOURCE],
        deps = [model] + _RUNNER_DEPS,
        **kwargs
    )
    c_firmware(
        name = name + "_firmware",
        srcs = [_RUNNER_SOURCE],
        deps = [model] + _RUNNER_DEPS,
        **kwargs
    )
    for core in CORES:
        mcu_binary(
            name = "%s_%s" % (name, core),
            binary = ":%s_firmware" % name,
            core = core,
            **kwargs
        )

def tflm_model(name, srcs, **kwargs):
    """Library of a model that runs under TensorFlow Lite Micro.

    Args:
      name: of the target.
      srcs: model_data.cc and model_ops.cc.
      **kwargs: passed to cxx_library.
    """
    cxx_library(
        name = name,
        srcs = srcs,
        deps = [
            "@//tflm_ext/ops",
            "@//tflm_ext/runners:memory_sections",
            "@//tflm_ext/runners:tflm_model",
        ],
        **kwargs
    )

def tflm_programs(name, model, runner = _TFLM_RUNNER, **kwargs):
    """Programs that run a .tflite under TensorFlow Lite Micro.

    `<name>_host` and `<name>_<core>` are the runner for this machine and for
    each core.

    Args:
      name: prefix of the targets.
      model: a library that implements tflm_model.h.
      runner: library with main(); by default the measuring one.
      **kwargs: passed to every target, for instance tags and testonly.
    """
    deps = [
        runner,
        model,
    ]
    native.cc_binary(name = name + "_host", deps = deps, **kwargs)
    c_firmware(name = name + "_firmware", deps = deps, **kwargs)
    for core in CORES:
        mcu_binary(
            name = "%s_%s" % (name, core),
            binary = ":%s_firmware" % name,
            core = core,
            **kwargs
        )

def model_test(name, model, images, expected, **kwargs):
    """kernel_test (host, sanitized, every core) that runs a model on images.

    Args:
      name: of the tests.
      model: a c_model.
      images: file of the images' codes.
      expected: file of the codes that the model must give.
      **kwargs: passed to kernel_test.
    """
    kernel_test(
        name = name,
        srcs = [_RUNNER_SOURCE],
        args = [
            "$(rootpath %s)" % images,
            "$(rootpath %s)" % expected,
        ],
        data = [
            images,
            expected,
        ],
        deps = [model] + _RUNNER_DEPS,
        **kwargs
    )

def tflm_model_test(name, model, images, expected, **kwargs):
    """tflm_test (host, sanitized, every core) that runs a model on images.

    Args:
      name: of the tests.
      model: a tflm_model.
      images: file of the images' codes.
      expected: file of the codes that the model must give.
      **kwargs: passed to tflm_test.
    """
    tflm_test(
        name = name,
        srcs = [],
        args = [
            "embedded",
            "0",
            "$(rootpath %s)" % images,
            "$(rootpath %s)" % expected,
        ],
        data = [
            images,
            expected,
        ],
        deps = [
            "//tflm_ext/runners:tflm_runner",
            model,
        ],
        **kwargs
    )
