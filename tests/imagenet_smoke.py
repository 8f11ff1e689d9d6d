"""Two steps of every stage of an ImageNet experiment, on generated images.

The weights are random: what is checked is that everything from the records of
a data set to the exports fits together at the real sizes, not an accuracy.
"""

from __future__ import annotations

import pathlib
import subprocess

import numpy as np

from tests import calibration_models
from tests import imagenet_mock
from tfmpq import config as config_lib
from tfmpq import datasets
from tfmpq import experiment as experiment_lib
from tfmpq import exporting
from tfmpq import float_weights
from tfmpq import models
from tfmpq import paper_rows
from tfmpq import quantized_network
from tfmpq import reference_ops
from tfmpq import run_dir
from tfmpq import searching
from tfmpq import specs
from tfmpq import stages
from tfmpq import tflite_reader

_BATCH_SIZE = 2
_NUM_REWARD_IMAGES = 4
_ROOT = pathlib.Path(__file__).absolute().parents[1]
_C_SOURCES = (
    *(
        f'tflm_ext/kernels/{name}.c'
        for name in (
            'add average_pool conv2d depthwise_conv2d fully_connected max_pool '
            'weight_layouts'
        ).split()
    ),
    'tflm_ext/runners/files.c',
    'tflm_ext/runners/files_host.c',
    'tflm_ext/runners/model_logits.c',
)


def small_networks() -> dict[str, config_lib.ExperimentConfig]:
  """Returns the smallest network of a family that stands in the paper's study.

  Their budgets are such that 8 bits everywhere do not fit; MobileNetV2 with its
  kernels just fits into the 512 KiB from which the emulated M55 runs.
  """
  return {
      name: config_lib.override(
          paper_rows.row(f'paper_{model}_1024kB_256kB_per_layer').config(),
          {
              'name': name,
              'width': width,
              'image_size': '128,128',
              'ram': ram,
              'flash': flash,
          },
      )
      for name, model, width, ram, flash in (
          ('mobilenet_v1_025_128', 'mobilenet_v1', 0.25, '64kB', '360kB'),
          ('mobilenet_v2_035_128', 'mobilenet_v2', 0.35, '96kB', '490kB'),
      )
  }


def write_images(folder: pathlib.Path) -> None:
  """Writes the data set; `folder` is what --data_dir is given."""
  imagenet_mock.write_builder_dir(folder, num_train=24, num_test=4)


def config(
    base: config_lib.ExperimentConfig, data_dir: pathlib.Path
) -> config_lib.ExperimentConfig:
  """Returns an experiment with little left to do.

  Args:
    base: of configs/, for instance.
    data_dir: where `write_images` has put images.
  """
  return config_lib.override(
      base,
      {
          'data_dir': str(data_dir),
          'weights': str(data_dir / 'weights.npz'),
          'num_reward_images': _NUM_REWARD_IMAGES,
          'num_calibration_images': 4,
          # The first policies, a batch of them, and one after training.
          'episodes': 6,
          'round_size': 2,
          'workers': 1,
          'ddpg_start': 'none',
          'finetune_epochs': 1,
          'progressive_bits': '',
          'num_finetune_images': 2 * _BATCH_SIZE,
          'batch_size': _BATCH_SIZE,
          'num_deploy_images': 2,
      },
  )


def run(
    base: config_lib.ExperimentConfig, folder: pathlib.Path
) -> experiment_lib.Experiment:
  """Runs an experiment up to its exports, in <folder>/run.

  Args:
    base: the configuration before it is cut down.
    folder: where `write_images` has put images.
  """
  cut = config(base, folder)
  write_weights(cut, folder / 'weights.npz')
  experiment = experiment_lib.Experiment(cut, folder / 'run')
  stages.require_startable(experiment)
  experiment.begin()
  stages.make_float_network(experiment)
  searching.search(experiment)
  stages.finetune(experiment)
  stages.export(experiment)
  return experiment


def write_weights(
    experiment: config_lib.ExperimentConfig, path: pathlib.Path
) -> None:
  """Writes random float weights of the network."""
  size = experiment.data.height_and_width()
  assert size is not None
  model = models.build_model(
      experiment.model.model,
      (*size, 3),
      imagenet_mock.NUM_CLASSES,
      experiment.model.width,
  )
  calibration_models.randomize(model, seed=1)
  float_weights.save_weights(model, path)


def check(experiment: experiment_lib.Experiment) -> np.ndarray:
  """Asserts what every finished run has; returns codes of test images."""
  network = exporting.load_network(experiment.folder)
  policy = specs.QuantizationPolicy.from_json(
      (experiment.folder / run_dir.POLICY).read_text()
  )
  assert network.policy == policy
  model = experiment.memory_model
  assert model.fits(policy, experiment.budget)
  eight_bits = specs.QuantizationPolicy.uniform(experiment.spec, 8, 8)
  assert not model.fits(eight_bits, experiment.budget)
  assert len(experiment.read_json(run_dir.FINETUNE, 'finetune')) == 1
  before = quantized_network.load(
      experiment.folder / run_dir.QUANTIZED_NETWORK_BEFORE_FINETUNE
  )
  codes = datasets.to_codes(experiment.data.test.take(2).images)
  logits = reference_ops.run(network, codes)
  alone = tflite_reader.read((experiment.folder / run_dir.TFLITE).read_bytes())
  np.testing.assert_array_equal(reference_ops.run(alone, codes), logits)
  assert logits.shape[-1] == imagenet_mock.NUM_CLASSES
  assert not np.array_equal(logits[0], logits[1])
  assert not np.array_equal(logits, reference_ops.run(before, codes))
  return codes


def host_logits(export: pathlib.Path, codes: np.ndarray) -> np.ndarray:
  """Returns int8 [N, classes] that an exported model gives on this machine.

  Args:
    export: folder of model.c and model.h.
    codes: int8 [N, H, W, 3].
  """
  program, images, logits = (
      export / name for name in ('model_logits', 'images.bin', 'logits.bin')
  )
  result = subprocess.run(
      ['gcc', '-std=c99', '-O2', f'-I{_ROOT}', f'-I{export}', '-o', program]
      + [export / run_dir.C_SOURCE, *(_ROOT / name for name in _C_SOURCES)],
      check=False,
      capture_output=True,
      text=True,
  )
  assert result.returncode == 0, result.stderr
  images.write_bytes(codes.tobytes())
  subprocess.run([program, images, logits], check=True)
  return np.fromfile(logits, np.int8).reshape(len(codes), -1)
