"""The pretraining stage: a float model becomes a weights file and its record.

Files, in the run directory:
  float_weights.npz     every variable, float32, keyed by name
  float_weights.json    how it was made and how good it is
  pretrain_checkpoints  the state after the last finished epoch
"""

import dataclasses
import hashlib
import json
import pathlib

import tf_keras as keras
import tqdm

from tfmpq import datasets
from tfmpq import float_training
from tfmpq import float_weights
from tfmpq import reproducibility
from tfmpq import run_dir as run_dir_lib

WEIGHTS_NAME = 'float_weights.npz'
RECORD_NAME = 'float_weights.json'
_CHECKPOINT_DIR = 'pretrain_checkpoints'


def pretrain(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: float_training.FloatTrainingConfig,
    run_dir: pathlib.Path,
    origin: dict,
) -> dict:
  """Trains `model` in place, writes its weights and returns their record.

  Goes on from the last finished epoch where `run_dir` holds one; a training
  that was finished is not repeated.

  Args:
    model: Takes `datasets.to_input`, returns logits.
    dataset: The test split is evaluated once, at the end.
    config: How to train.
    run_dir: Where the files go.
    origin: JSON values that lead the record: command, data set, threads.

  Raises:
    ValueError: `run_dir` holds another training.
  """
  trainer = float_training.FloatTrainer(
      model, dataset.train, config, run_dir / _CHECKPOINT_DIR
  )

  def reward_accuracy() -> float:
    with trainer.kept_weights():
      return float_training.evaluate(model, dataset.reward).accuracy

  _train(trainer, config.epochs, reward_accuracy)
  with trainer.kept_weights():
    kept = model.get_weights()
  model.set_weights(kept)
  weights_path = run_dir / WEIGHTS_NAME
  float_weights.save_weights(model, weights_path)
  record = origin | {
      'model': model.name,
      'num_parameters': model.count_params(),
      'sha256': hashlib.sha256(weights_path.read_bytes()).hexdigest(),
      'training': dataclasses.asdict(config),
      'environment': reproducibility.environment(),
  }
  for split in ('reward', 'test'):
    found = float_training.evaluate(model, getattr(dataset, split))
    record[split] = dataclasses.asdict(found)
  run_dir_lib.atomic_write(
      run_dir / RECORD_NAME, json.dumps(record, indent=2) + '\n'
  )
  return record


def _train(trainer, epochs, reward_accuracy) -> None:
  """Runs the remaining epochs under one progress bar, counted in steps."""
  with tqdm.tqdm(
      total=epochs * trainer.steps_per_epoch,
      initial=trainer.epoch * trainer.steps_per_epoch,
      desc='pretrain',
      unit='step',
      mininterval=0.5,
  ) as progress:
    while trainer.epoch < epochs:

      def on_step(loss):
        progress.set_postfix_str(f'loss {loss:.4f}', refresh=False)
        progress.update()

      loss = trainer.train_epoch(on_step)
      progress.write(
          f'epoch {trainer.epoch} of {epochs}: loss {loss:.4f}, reward split'
          f' {reward_accuracy():.2%}'
      )
