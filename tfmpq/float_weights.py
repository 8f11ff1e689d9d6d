"""Float weights on disk: one .npz of float32 arrays keyed by variable name.

The bytes depend on the values alone: zip entries are written in sorted order
with a fixed date, so equal weights give equal files.
"""

import io
import pathlib
import zipfile

import numpy as np
import tf_keras as keras

from tfmpq import run_dir

# The earliest date that a zip entry can hold.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def variable_key(variable) -> str:
  """Returns the variable's name without TensorFlow's output suffix ':0'."""
  return variable.name.split(':')[0]


def save_weights(model: keras.Model, path) -> None:
  """Writes every variable of `model` (BatchNorm statistics included)."""
  arrays = {variable_key(v): np.asarray(v, np.float32) for v in model.variables}
  content = io.BytesIO()
  with zipfile.ZipFile(content, 'w') as archive:
    for key in sorted(arrays):
      buffer = io.BytesIO()
      np.lib.format.write_array(buffer, arrays[key], allow_pickle=False)
      entry = zipfile.ZipInfo(f'{key}.npy', date_time=_ZIP_DATE)
      entry.compress_type = zipfile.ZIP_DEFLATED
      archive.writestr(entry, buffer.getvalue())
  run_dir.atomic_write(pathlib.Path(path), content.getvalue())


def randomize(model: keras.Model, seed: int) -> None:
  """Sets random kernels under which signals do not vanish on their way.

  They are normal with variance 2 / fan-in (He et al., arXiv:1502.01852,
  equation 10), which the initial values of Keras are not for depthwise
  convolutions.

  Args:
    model: its kernels change, its other variables do not.
    seed: of the values, >= 0.
  """
  rng = np.random.default_rng(seed)
  for variable in sorted(model.variables, key=variable_key):
    shape = tuple(variable.shape)
    if len(shape) > 1:
      outputs = shape[-2] if 'depthwise' in variable.name else shape[-1]
      fan_in = np.prod(shape) / outputs
      variable.assign(rng.normal(0, np.sqrt(2 / fan_in), shape))


def load_weights(model: keras.Model, path) -> None:
  """Sets every variable of `model` from a file that `save_weights` wrote.

  Raises:
    FileNotFoundError: There is no such file.
    ValueError: The names or a shape in the file are not the model's.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise FileNotFoundError(
        f'expected float weights at {path}, found no such file; train them'
        ' with //tfmpq:pretrain or give the path of an existing .npz'
    )
  with np.load(path, allow_pickle=False) as archive:
    arrays = {key: archive[key] for key in archive.files}
  variables = {variable_key(v): v for v in model.variables}
  _check_names(model.name, set(variables), set(arrays), path)
  for key, variable in variables.items():
    if arrays[key].shape != tuple(variable.shape):
      raise ValueError(
          f"{path}: '{key}' has shape {arrays[key].shape}, model"
          f" '{model.name}' expects {tuple(variable.shape)}; use the input"
          ' shape, width and number of classes that the weights were made with'
      )
  for key, variable in variables.items():
    variable.assign(arrays[key])


def _check_names(model_name, expected, found, path):
  if expected != found:
    missing = sorted(expected - found)[:3]
    unknown = sorted(found - expected)[:3]
    raise ValueError(
        f'{path}: expected the {len(expected)} variables of model'
        f" '{model_name}', found {len(found)} (missing: {missing}, unknown:"
        f' {unknown}); the weights belong to another model'
    )
