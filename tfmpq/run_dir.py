"""Files of a run directory: what they are called and how they are written.

Every program reads what an earlier stage left under these names in its
`--run_dir` and adds its own.
"""

import os
import pathlib

CONFIG = 'config.json'
FLOAT_NETWORK = 'float_network.npz'
CALIBRATION = 'calibration'  # folder
NETWORK_SPEC = 'network.json'
SEARCH_STATE = 'search'  # folder
SEARCH = 'search.json'
POLICY = 'policy.json'
FINETUNE_STATE = 'finetune'  # folder
FINETUNE = 'finetune.json'
QUANTIZED_NETWORK_INT8 = 'quantized_network_int8.npz'
QUANTIZED_NETWORK_BEFORE_FINETUNE = 'quantized_network_before_finetune.npz'
QUANTIZED_NETWORK = 'quantized_network.npz'
TFLITE = 'model.tflite'
TFLITE_BUILTIN = 'model_builtin.tflite'
C_SOURCE = 'model.c'
C_HEADER = 'model.h'
EXPORT = 'export.json'
DEPLOY = 'deploy.json'
ACCURACY = 'accuracy.json'
TENSORBOARD = 'tensorboard'  # folder
REPORT_JSON = 'report.json'
REPORT_HTML = 'report.html'


def atomic_write(path: pathlib.Path, content: bytes | str) -> None:
  """Writes a file so that it holds all of `content` or does not exist.

  A program that is killed while it writes leaves the old file, if there was
  one, and at most a `<name>.tmp` beside it. Missing folders are made.

  Args:
    path: the file.
    content: bytes, or text that is written as UTF-8.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'{path.name}.tmp')
  data = content.encode() if isinstance(content, str) else content
  temporary.write_bytes(data)
  os.replace(temporary, path)
