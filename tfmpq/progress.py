"""Progress bars and TensorBoard logs of search and fine-tuning."""

import pathlib
import time

import tensorflow as tf
import tqdm

from tfmpq import finetuning
from tfmpq.searchers import searcher

_STEPS_PER_LOG = 10


class SearchProgressBar:
  """One line: best accuracy, its RAM and FLASH, episodes per minute, time left.

  Attributes:
    episodes_per_minute: of the episodes of this process, once it has ended;
      restored ones took no time and are left out. 0.0 if there were none.
  """

  def __init__(
      self, searcher_name: str, num_episodes: int, log_dir: pathlib.Path
  ):
    self.episodes_per_minute = 0.0
    self._num_timed, self._start = 0, time.monotonic()
    self._bar = tqdm.tqdm(
        total=num_episodes, desc=f'search ({searcher_name})', unit='episode'
    )
    self._writer = tf.summary.create_file_writer(str(log_dir / 'search'))

  def __enter__(self):
    self._start = time.monotonic()
    return self

  def __exit__(self, *unused_exception):
    self._bar.close()
    self._writer.close()

  def on_episode(self, progress: searcher.SearchProgress) -> None:
    """Shows an episode; what `Searcher.search` calls."""
    if progress.restored:
      self._start = time.monotonic()
    else:
      self._num_timed += 1
      minutes = (time.monotonic() - self._start) / 60
      self.episodes_per_minute = self._num_timed / minutes
      self._log(progress.record)
    if progress.best is not None:
      best = progress.best
      self._bar.set_postfix_str(
          f'best {best.evaluation.accuracy:.2%}, '
          f'RAM {best.footprint.ram_bytes:,} B, '
          f'FLASH {best.footprint.flash_bytes:,} B, '
          f'{self.episodes_per_minute:.0f}/min',
          refresh=False,
      )
    self._bar.update()

  def _log(self, record: searcher.EpisodeRecord) -> None:
    with self._writer.as_default(step=record.index):
      tf.summary.scalar('accuracy', record.evaluation.accuracy)
      tf.summary.scalar('cross_entropy', record.evaluation.cross_entropy)
      tf.summary.scalar('ram_bytes', record.footprint.ram_bytes)
      tf.summary.scalar('flash_bytes', record.footprint.flash_bytes)


class FinetuneProgressBar:
  """One line: loss, images per second, and the reward split's accuracy.

  TensorBoard gets loss and reward split per epoch, and loss, learning rate and
  images per second every few steps, under `step/`.
  """

  def __init__(self, phase: str, log_dir: pathlib.Path):
    self._bar = tqdm.tqdm(
        desc=f'fine-tune ({phase})', unit='step', mininterval=0.5
    )
    self._writer = tf.summary.create_file_writer(
        str(log_dir / f'finetune_{phase}')
    )
    self._num_epochs = 0
    self._num_timed = 0
    self._start: float | None = None
    self._speed: float | None = None

  def __enter__(self):
    return self

  def __exit__(self, *unused_exception):
    self._bar.close()
    self._writer.close()

  def on_step(self, progress: finetuning.FinetuneProgress) -> None:
    """Shows a step; what `Finetuner.run` calls."""
    self._bar.total = progress.num_steps
    self._bar.update(progress.step - self._bar.n)
    ends_epoch = len(progress.history) > self._num_epochs
    self._time(progress, ends_epoch)
    text = f'loss {progress.loss:.4f}'
    if self._speed is not None:
      text += f', {self._speed:.0f} images/s'
    if progress.history:
      text += f', reward split {progress.history[-1].accuracy:.2%}'
    self._bar.set_postfix_str(text, refresh=False)
    if progress.step % _STEPS_PER_LOG == 0:
      with self._writer.as_default(step=progress.step):
        tf.summary.scalar('step/loss', progress.loss)
        tf.summary.scalar('step/learning_rate', progress.learning_rate)
        if self._speed is not None:
          tf.summary.scalar('step/images_per_second', self._speed)
    if ends_epoch:
      self._num_epochs = len(progress.history)
      record = progress.history[-1]
      with self._writer.as_default(step=record.epoch):
        tf.summary.scalar('loss', record.loss)
        tf.summary.scalar('accuracy', record.accuracy)
        tf.summary.scalar('cross_entropy', record.cross_entropy)

  def _time(self, progress, ends_epoch: bool) -> None:
    """Measures the steps between two logs.

    The first step, which is traced, and those behind which an epoch was judged
    are left out.
    """
    now = time.monotonic()
    if self._start is None or ends_epoch:
      self._num_timed, self._start = 0, now
      return
    self._num_timed += progress.num_images
    if progress.step % _STEPS_PER_LOG == 0:
      if now > self._start:
        self._speed = self._num_timed / (now - self._start)
      self._num_timed, self._start = 0, now
