"""Trains the float network that the search starts from.

  ./bazelw run //tfmpq:pretrain -- --run_dir=/tmp/my_run

trains the default network on Fashion-MNIST and writes

  <run_dir>/float_weights.npz   every variable, float32, keyed by name
  <run_dir>/float_weights.json  command, versions and accuracies

A checkpoint is written after every epoch. The same command goes on where it was
stopped and ends with the same weights, bit for bit (on the same type of
processor with the same --threads). With other flags, name another --run_dir.

The weights in tfmpq/weights were made by this program with its defaults.
"""

import sys

from absl import app
from absl import flags
from absl import logging

from tfmpq import choice_flags
from tfmpq import data_config
from tfmpq import data_loading
from tfmpq import datasets
from tfmpq import float_training
from tfmpq import models
from tfmpq import pretraining
from tfmpq import program_errors
from tfmpq import reproducibility
from tfmpq import user_paths

_DEFAULTS = float_training.FloatTrainingConfig()

_RUN_DIR = flags.DEFINE_string(
    'run_dir', 'runs/pretrain', 'Folder for the checkpoints and the results.'
)
_DATASET = flags.DEFINE_string(
    'dataset',
    datasets.DEFAULT_DATASET,
    'Data set: fashion_mnist, tfds:<name>, builder_dir:<path>, folder:<path> '
    'or npz:<path>.',
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir',
    None,
    'Folder of the prepared tfds data sets; $TFDS_DATA_DIR or'
    ' ~/.cache/tfmpq/tfds if not given.',
)
_DOWNLOAD = flags.DEFINE_bool(
    'download', False, 'Let tfds download a data set that is not there.'
)
_MANUAL_DIR = flags.DEFINE_string(
    'manual_dir',
    None,
    'Folder of archives that one has to get oneself, such as of ImageNet.',
)
_DATA_CACHE = flags.DEFINE_string(
    'data_cache',
    None,
    'Folder on a local disk to which files of a large data set are copied.',
)
_PREPROCESSING = choice_flags.define(
    'preprocessing',
    data_config.DataConfig.preprocessing,
    data_config.PREPROCESSINGS,
    'How photographs become network inputs; see //tfmpq:search.',
)
_NUM_REWARD_IMAGES = flags.DEFINE_integer(
    'num_reward_images',
    5000,
    'Images that are held out of the training images of a large data set; of '
    'a small one it is a twelfth.',
)
_IMAGE_SIZE = flags.DEFINE_list(
    'image_size',
    None,
    'HEIGHT,WIDTH to which images of tfds:<name> and folder:<path> are resized;'
    ' needed where they differ in size.',
)
_MODEL = choice_flags.define(
    'model', models.DEFAULT_MODEL, models.model_names(), 'The network.'
)
_WIDTH = flags.DEFINE_float('width', 1.0, 'Channel multiplier of the network.')
_EPOCHS = flags.DEFINE_integer(
    'epochs', _DEFAULTS.epochs, 'Passes over the training images.'
)
_BATCH_SIZE = flags.DEFINE_integer(
    'batch_size', _DEFAULTS.batch_size, 'Images per training step.'
)
_LEARNING_RATE = flags.DEFINE_float(
    'learning_rate', _DEFAULTS.learning_rate, 'Peak learning rate of AdamW.'
)
_LR_SCHEDULE = choice_flags.define(
    'lr_schedule',
    _DEFAULTS.lr_schedule,
    float_training.LR_SCHEDULES,
    "How it falls after the first epoch: 'cosine', to 0; 'exponential', to a "
    "hundredth; 'constant', not at all.",
)
_EMA_DECAY = flags.DEFINE_float(
    'ema_decay',
    _DEFAULTS.ema_decay,
    'Per step, of a moving average of the weights, which is then what is '
    'evaluated and written, such as 0.999; 0: none.',
)
_SEED = flags.DEFINE_integer(
    'seed', _DEFAULTS.seed, 'Fixes initial weights, order and augmentation.'
)
_THREADS = flags.DEFINE_integer(
    'threads', 2, 'Processor threads; another number gives other last bits.'
)

_PROGRAM = './bazelw run //tfmpq:pretrain'
# Flags that say where things are, not what is computed.
_PLACE_FLAGS = ('run_dir', 'data_dir', 'download', 'manual_dir', 'data_cache')


def main(argv: list[str]) -> None:
  """Runs the program; a mistake of the caller ends it with one line."""
  # TensorFlow's notes would break the progress bar.
  logging.set_verbosity(logging.WARNING)
  if len(argv) > 1:
    raise app.UsageError(f'expected flags only, got {argv[1:]}')
  with program_errors.in_one_line('pretrain'):
    pretrain()


def pretrain() -> None:
  """Trains as the flags say and prints where the weights are."""
  run_dir = user_paths.resolve(_RUN_DIR.value)
  reproducibility.make_reproducible(_SEED.value, _THREADS.value)
  dataset = _load_dataset()
  model = models.build_model(
      _MODEL.value, dataset.image_shape, dataset.num_classes, _WIDTH.value
  )
  config = float_training.FloatTrainingConfig(
      epochs=_EPOCHS.value,
      batch_size=_BATCH_SIZE.value,
      learning_rate=_LEARNING_RATE.value,
      lr_schedule=_LR_SCHEDULE.value,
      ema_decay=_EMA_DECAY.value,
      seed=_SEED.value,
  )
  origin = {
      'command': _command(),
      'dataset': _DATASET.value,
      'threads': _THREADS.value,
  }
  record = pretraining.pretrain(model, dataset, config, run_dir, origin)
  print(
      f'{run_dir / pretraining.WEIGHTS_NAME}: {model.count_params():,}'
      f' parameters, top-1 {record["reward"]["accuracy"]:.2%} on the reward'
      f' split, {record["test"]["accuracy"]:.2%} on the test split'
  )


def _load_dataset() -> datasets.Dataset:
  image_size = _IMAGE_SIZE.value
  if image_size is not None:
    if len(image_size) != 2 or not all(n.isdigit() for n in image_size):
      raise ValueError(
          f'expected --image_size=HEIGHT,WIDTH, got {",".join(image_size)}'
      )
    image_size = tuple(int(n) for n in image_size)
  data_dir, manual_dir, cache_dir = (
      user_paths.resolve(flag.value) if flag.value else None
      for flag in (_DATA_DIR, _MANUAL_DIR, _DATA_CACHE)
  )
  return data_loading.load(
      data_loading.Request(
          user_paths.resolve_dataset(_DATASET.value),
          datasets.find_places(data_dir, _DOWNLOAD.value, manual_dir),
          image_size,
          preprocessing=_PREPROCESSING.value,
          model=_MODEL.value,
          num_reward=_NUM_REWARD_IMAGES.value,
          cache_dir=cache_dir,
      )
  )


def _command() -> str:
  """Returns the command with every flag that changes the result."""
  own_flags = flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])
  changed = [
      flag.serialize()
      for flag in own_flags
      if flag.value != flag.default and flag.name not in _PLACE_FLAGS
  ]
  return ' '.join([_PROGRAM] + (['--'] + changed if changed else []))


if __name__ == '__main__':
  app.run(main)
