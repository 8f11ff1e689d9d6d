"""Imports and includes go downward only.

The layers are written down here and nowhere else. A new module is added to its
line; a module that is missing here fails test_every_module_has_a_layer.
"""

import ast
import pathlib
import re
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]

# Layer -> modules of tfmpq. A module imports from its own layer and from those
# below; cycles within a layer are refused, too.
_LAYERS = (
    # L0: the nouns and plain helpers.
    """budgets config config_parts data_config finetune_config latency_config
    network_tables objective_weights run_dir specs user_paths""",
    # L1: arithmetic of integers and bytes.
    """arena_buffers arena_memory budget_message calibrated_network
    fastest_policy
    float_ends float_network kernel_targets kmeans_weights latency_model
    latency_table memory_model memory_planner network_specs local_copies
    offset_search packing paper_memory paper_rows paper_study
    published_accuracy quantization quantized_network ram_model record_files
    state_dicts timed_memory tflm_arena tflm_custom_memory tflm_structures
    torch_files weight_layouts""",
    # L2: reference ops, Keras, data, training, search.
    """activation_clips bias_correction calibration_tables conv_blocks
    data_loading dataset_sources datasets encoded_images episode_finetuning
    evaluation evaluation_cache evaluation_pool evaluation_recipe evaluators
    executors fashion_mnist finetuning float_ops float_statistics
    float_training compute_types learning_rates prefetching replicas
    training_state training_steps weight_averages float_weights graph_draft
    inverted_residuals keras_graph keras_layers labelled_files mobilenet models
    preprocessing qat quantized_forward quantizers rank_statistics ray_pool
    reference_ops reproducibility searchers searchers.additive_model
    searchers.budget_growth searchers.budget_repair searchers.ddpg
    searchers.ddpg_search_config searchers.demonstrations searchers.environment
    searchers.episode_log searchers.episode_loop searchers.evolution
    searchers.exhaustive searchers.exploration searchers.final_wall
    searchers.front searchers.greedy searchers.guided_improvement searchers.ilp
    searchers.integer_program searchers.least_noise searchers.linear_memory
    searchers.mlp searchers.observation searchers.random_search
    searchers.registry searchers.replay_buffer searchers.reward_scaling
    searchers.rule_based searchers.search_state searchers.searcher
    searchers.sensitivity searchers.solver_output split_evaluation
    streamed_examples tfds_builders
    tiny_models training_batches weight_rounding worker_pool""",
    # L3: lowering and the writers.
    """backends bazel_build c_text c_writer comparison elf_sections firmware
    float_models front_report latency_measuring lowering report report_page
    reward_correlation svg_charts tflite_builtin tflite_builtin_reference
    tflite_builtin_shapes tflite_file tflite_graph tflite_keras tflite_layout
    tflite_options tflite_reader tflite_writer tflm_builtin_memory
    tflm_builtin_ram tflm_sources""",
    # L4: command-line modules and what they share.
    """baselines choice_flags command_line compare deploy deploying deployment
    evaluate experiment experiment_flags export exporting finetune
    firmware_package fronts host_programs interpreter kmeans latency
    memory_tables package_texts pretrain pretraining program_errors progress
    reporting reproduce reward_study search searching source_closure stages
    tflm_deployment training_phases""",
)

_COMMAND_LINE_LAYER = 4

# These import nothing but the standard library, NumPy and tfmpq.
_PLAIN_LAYERS = (0, 1)
_PLAIN_MODULES = ("reference_ops",)

# Third-party package -> beginning of the names of those that may know it.
_RESERVED = {"flatbuffers": "tflite_", "tensorflow.lite": "tflite_"}

# Folder of tflm_ext -> what its files may include, by the beginning of the
# path. Tests and their helpers may also read files.
_C_LAYERS = {
    "kernels": ("tflm_ext/kernels/",),
    "ops": (
        "tflm_ext/kernels/",
        "tflm_ext/ops/",
        "tensorflow/",
        "flatbuffers/",
    ),
    # A model is exported as model.h, wherever that lies.
    "runners": ("tflm_ext/", "tensorflow/", "model.h"),
    "benchmarks": ("tflm_ext/", "tensorflow/"),
}
_C_TEST_INCLUDES = ("tflm_ext/runners/files.h", "tflm_ext/runners/memory_")

_C_STANDARD_HEADERS = frozenset(
    """assert ctype errno inttypes limits stdalign stdbool stddef stdint stdio
  stdlib string arm_acle arm_mve""".split()
)


def _layer_of():
  return {
      module: layer
      for layer, names in enumerate(_LAYERS)
      for module in names.split()
  }


def _modules():
  """Returns module name, without `tfmpq.` -> path."""
  package = _ROOT / "tfmpq"
  modules = {}
  for path in sorted(package.rglob("*.py")):
    parts = path.relative_to(package).with_suffix("").parts
    if parts[-1] == "__init__":
      parts = parts[:-1]
    if parts:
      modules[".".join(parts)] = path
  return modules


def _imports(path):
  """Returns the dotted names that a file imports, wherever it does so.

  `from a import b` counts as `a.b`: whether b is a module or a name in a is
  for the caller to find out.
  """
  names = set()
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}:{node.lineno}: relative import"
      names.update(f"{node.module}.{alias.name}" for alias in node.names)
  return names


def _own_imports(path, modules):
  """Returns the modules of tfmpq that a file imports."""
  found = set()
  for name in _imports(path):
    parts = name.split(".")
    if parts[0] != "tfmpq":
      continue
    while len(parts) > 1 and ".".join(parts[1:]) not in modules:
      parts.pop()
    if len(parts) > 1:
      found.add(".".join(parts[1:]))
  return found


def test_no_module_has_two_layers():
  names = " ".join(_LAYERS).split()
  assert len(names) == len(set(names))


def test_every_module_has_a_layer():
  missing = sorted(set(_modules()) - set(_layer_of()))
  assert not missing, f"add to _LAYERS in tests/layering_test.py: {missing}"
  gone = sorted(set(_layer_of()) - set(_modules()))
  assert not gone, f"remove from _LAYERS in tests/layering_test.py: {gone}"


def test_imports_go_downward():
  layer_of = _layer_of()
  modules = _modules()
  upward = [
      f"{importer} (L{layer_of[importer]}) imports {imported}"
      f" (L{layer_of[imported]})"
      for importer, path in modules.items()
      for imported in _own_imports(path, modules)
      if layer_of[imported] > layer_of[importer]
  ]
  assert not upward


def test_imports_have_no_cycle():
  modules = _modules()
  waiting = {
      name: _own_imports(path, modules) - {name}
      for name, path in modules.items()
  }
  while waiting:
    ready = [
        name for name, needs in waiting.items() if not needs & set(waiting)
    ]
    assert ready, f"a cycle of imports among {sorted(waiting)}"
    for name in ready:
      del waiting[name]


def test_lower_layers_import_only_numpy():
  allowed = set(sys.stdlib_module_names) | {"numpy", "tfmpq"}
  layer_of = _layer_of()
  wrong = [
      f"{module} imports {name}"
      for module, path in _modules().items()
      if layer_of[module] in _PLAIN_LAYERS or module in _PLAIN_MODULES
      for name in _imports(path)
      if name.split(".")[0] not in allowed
  ]
  assert not wrong


def test_flags_belong_to_command_line_modules():
  layer_of = _layer_of()
  wrong = [
      module
      for module, path in _modules().items()
      if layer_of[module] < _COMMAND_LINE_LAYER
      and _imports(path) & {"absl.app", "absl.flags"}
  ]
  assert not wrong


@pytest.mark.parametrize("package", _RESERVED)
def test_reserved_packages_are_known_to_few(package):
  wrong = [
      module
      for module, path in _modules().items()
      if any(f"{name}.".startswith(f"{package}.") for name in _imports(path))
      and not module.startswith(_RESERVED[package])
  ]
  assert not wrong


def _c_files():
  """Returns (folder of tflm_ext, path) of every C and C++ file."""
  base = _ROOT / "tflm_ext"
  return [
      (path.relative_to(base).parts[0], path)
      for path in sorted(base.rglob("*"))
      if path.suffix in (".c", ".cc", ".h", ".def", ".inc")
  ]


def _includes(path):
  return re.findall(
      r'^\s*#\s*include\s*([<"][^>"]+)[>"]',
      path.read_text(encoding="utf-8"),
      re.MULTILINE,
  )


def test_c_includes_go_downward():
  wrong = []
  for folder, path in _c_files():
    assert folder in _C_LAYERS, f"add {folder} to _C_LAYERS"
    allowed = _C_LAYERS[folder]
    if "_test" in path.stem:
      allowed += _C_TEST_INCLUDES
    for include in _includes(path):
      if include[0] == '"' and not include[1:].startswith(allowed):
        wrong.append(f"{path.name} includes {include[1:]}")
  assert not wrong


def test_kernels_include_only_c99_headers():
  wrong = [
      f"{path.name} includes <{include[1:]}>"
      for folder, path in _c_files()
      if folder == "kernels"
      for include in _includes(path)
      if include[0] == "<"
      and include[1:].removesuffix(".h") not in _C_STANDARD_HEADERS
  ]
  assert not wrong
