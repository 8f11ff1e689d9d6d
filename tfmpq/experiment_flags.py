"""Command-line flags of an experiment: one per field of ExperimentConfig.

Every program of the flow takes `--config`, `--run_dir` and the same fields.
A field that is not given on the command line comes from the run directory, if
a run has begun there, and otherwise from the file in configs/.
"""

from collections.abc import Collection
import dataclasses
import importlib
import pathlib
import pkgutil

from absl import flags

from tfmpq import choice_flags
from tfmpq import config as config_lib
from tfmpq import run_dir as run_dir_lib
from tfmpq import specs
from tfmpq import user_paths

_CONFIG = flags.DEFINE_string(
    'config',
    'fashion_mnist',
    'Experiment: the name of a file in configs/, without .py.',
)
_RUN_DIR = flags.DEFINE_string(
    'run_dir',
    None,
    'Folder of everything that a run writes; a run that was stopped goes on '
    'from there. Default: runs/<name of the experiment>.',
)
# Fields that say where things lie or what happens after the network is made;
# a later command may change them.
_CHANGEABLE = frozenset(
    [
        'data_dir',
        'download',
        'manual_dir',
        'data_cache',
        'cores',
        'num_deploy_images',
        'latency_dir',
        'workers',
        'executor',
        'ray_address',
    ]
)


def define() -> None:
  """Defines one flag per configuration field; call it once, at import."""
  for part, field in config_lib.all_fields().values():
    help_text = f'[{part}] {field.metadata["help"]} Default: {field.default!r}.'
    choices = field.metadata['choices']
    if choices:
      choice_flags.define(field.name, None, choices, help_text)
    elif isinstance(field.default, bool):
      flags.DEFINE_bool(field.name, None, help_text)
    elif isinstance(field.default, int):
      flags.DEFINE_integer(field.name, None, help_text)
    elif isinstance(field.default, float):
      flags.DEFINE_float(field.name, None, help_text)
    else:
      flags.DEFINE_string(field.name, None, help_text)


def experiment(
    changeable: Collection[str] = (),
) -> tuple[config_lib.ExperimentConfig, pathlib.Path]:
  """Returns the experiment that the flags ask for, and its run directory.

  Args:
    changeable: fields that may differ from those of the run in the directory,
      besides those that say where things lie.

  Raises:
    ValueError: an unknown configuration, a wrong value, or a run directory
      that holds a run with another configuration.
  """
  base = load_config(_CONFIG.value)
  folder = user_paths.resolve(_RUN_DIR.value or f'runs/{base.name}')
  saved_path = folder / run_dir_lib.CONFIG
  saved = None
  if saved_path.exists():
    saved = config_lib.from_json(saved_path.read_text())
  given = {
      name: flags.FLAGS[name].value
      for name in config_lib.all_fields()
      if flags.FLAGS[name].value is not None
  }
  config = config_lib.override(saved or base, given)
  if saved is not None:
    _require_same(saved, config, folder, changeable)
  return config, folder


def load_config(name: str) -> config_lib.ExperimentConfig:
  """Returns what configs/<name>.py returns; ValueError names the nearest."""
  package = importlib.import_module('configs')
  known = [module.name for module in pkgutil.iter_modules(package.__path__)]
  if name not in known:
    raise ValueError(
        f"there is no configuration '{name}' in configs/"
        + specs.did_you_mean(name, known)
    )
  return importlib.import_module(f'configs.{name}').get_config()


def arguments(config: config_lib.ExperimentConfig) -> list[str]:
  """Returns the flags that make this experiment anew.

  A command that goes on with a run need not name its fields; a report does.
  """
  named = [f'--config={_CONFIG.value}'] if _CONFIG.present else []
  if _RUN_DIR.value is not None:
    named.append(f'--run_dir={_RUN_DIR.value}')
  base = load_config(_CONFIG.value)
  for name, (part, _) in config_lib.all_fields().items():
    value = getattr(getattr(config, part), name)
    if value == getattr(getattr(base, part), name):
      continue
    if isinstance(value, bool):
      named.append(f'--{"" if value else "no"}{name}')
    else:
      named.append(f'--{name}={value}')
  return named


def _require_same(
    saved, config, folder: pathlib.Path, changeable: Collection[str]
) -> None:
  """A finished stage is not repeated, so its configuration cannot change."""
  differences = []
  for part in config_lib.parts():
    before = dataclasses.asdict(getattr(saved, part))
    after = dataclasses.asdict(getattr(config, part))
    differences += [
        f'--{name}: {before[name]!r} there, {after[name]!r} here'
        for name in before
        if before[name] != after[name]
        and name not in _CHANGEABLE
        and name not in changeable
    ]
  if differences:
    raise ValueError(
        f'{folder} holds a run with another configuration '
        f'({"; ".join(differences)}). Use another --run_dir, or delete it'
    )
