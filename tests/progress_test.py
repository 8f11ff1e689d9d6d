"""Progress bars tell the truth, and TensorBoard gets every figure."""

import pytest
from tensorboard.backend.event_processing import event_accumulator
import tensorflow as tf

from tfmpq import budgets
from tfmpq import evaluation
from tfmpq import finetuning
from tfmpq import progress
from tfmpq import specs
from tfmpq.searchers import searcher


@pytest.fixture(name='clock')
def _clock(monkeypatch):
  """Returns a list whose only item is the time in seconds."""
  now = [1000.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def _record(index: int, accuracy: float) -> searcher.EpisodeRecord:
  return searcher.EpisodeRecord(
      index=index,
      phase='explore',
      policy=specs.QuantizationPolicy.of({'input': 8}),
      evaluation=evaluation.Evaluation(accuracy, 0.25, 2000),
      reward=-0.25,
      footprint=budgets.MemoryFootprint(11_984, 31_996),
      fits=True,
      repeated=False,
  )


def _show(bar, index, accuracy, *, best='same', restored=False):
  record = _record(index, accuracy)
  best = record if best == 'same' else best
  bar.on_episode(searcher.SearchProgress(record, best, 4, restored))


def _scalars(folder) -> dict[str, list[tuple[int, float]]]:
  """Returns tag -> (step, value) of the events in a folder."""
  events = event_accumulator.EventAccumulator(
      str(folder), size_guidance={event_accumulator.TENSORS: 0}
  )
  events.Reload()
  return {
      tag: [
          (event.step, float(tf.make_ndarray(event.tensor_proto)))
          for event in events.Tensors(tag)
      ]
      for tag in events.Tags()['tensors']
  }


def test_search_bar_shows_best_ram_flash_and_speed(clock, tmp_path, capsys):
  with progress.SearchProgressBar('ddpg', 4, tmp_path) as bar:
    for index, accuracy in enumerate((0.5, 0.875, 0.75, 0.625)):
      clock[0] += 2
      best = _record(1, 0.875) if index > 1 else 'same'
      _show(bar, index, accuracy, best=best)
  assert bar.episodes_per_minute == pytest.approx(30)
  line = capsys.readouterr().err.split('\r')[-1]
  assert 'search (ddpg)' in line and '4/4' in line
  for text in ('best 87.50%', 'RAM 11,984 B', 'FLASH 31,996 B', '30/min'):
    assert text in line


def test_restored_episodes_do_not_count_as_speed(clock, tmp_path):
  with progress.SearchProgressBar('ddpg', 4, tmp_path) as bar:
    # Reading the state takes a minute, which is not the searcher's fault.
    clock[0] += 60
    _show(bar, 0, 0.5, restored=True)
    _show(bar, 1, 0.5, restored=True)
    assert bar.episodes_per_minute == 0
    for index in (2, 3):
      clock[0] += 0.5
      _show(bar, index, 0.5)
  assert bar.episodes_per_minute == pytest.approx(120)


def test_search_bar_without_a_policy_that_fits(clock, tmp_path, capsys):
  with progress.SearchProgressBar('greedy', 4, tmp_path) as bar:
    clock[0] += 1
    _show(bar, 0, 0.5, best=None)
  output = capsys.readouterr().err
  assert '1/4' in output and 'best' not in output


def test_every_new_episode_is_logged_once(clock, tmp_path):
  with progress.SearchProgressBar('ddpg', 4, tmp_path) as bar:
    _show(bar, 0, 0.5, restored=True)
    for index, accuracy in ((1, 0.75), (2, 0.25)):
      clock[0] += 1
      _show(bar, index, accuracy)
  scalars = _scalars(tmp_path / 'search')
  assert scalars['accuracy'] == [(1, 0.75), (2, 0.25)]
  assert scalars['cross_entropy'] == [(1, 0.25), (2, 0.25)]
  assert scalars['ram_bytes'] == [(1, 11984), (2, 11984)]
  assert scalars['flash_bytes'] == [(1, 31996), (2, 31996)]


def _epoch(number, accuracy):
  return finetuning.EpochRecord(number, 0.5 / number, accuracy, 0.125)


def _step(step, num_steps, history, loss=0.0625):
  return finetuning.FinetuneProgress(
      step, num_steps, loss, history, num_images=32, learning_rate=step / 128
  )


def test_finetune_bar_shows_loss_and_reward_split(tmp_path, capsys):
  history = (_epoch(1, 0.75), _epoch(2, 0.875))
  with progress.FinetuneProgressBar('policy', tmp_path) as bar:
    for step, known in ((1, ()), (2, history[:1]), (4, history)):
      bar.on_step(_step(step, 4, known))
  line = capsys.readouterr().err.split('\r')[-1]
  assert 'fine-tune (policy)' in line and '4/4' in line
  assert 'loss 0.0625' in line and 'reward split 87.50%' in line
  scalars = _scalars(tmp_path / 'finetune_policy')
  assert scalars['accuracy'] == [(1, 0.75), (2, 0.875)]
  assert scalars['loss'] == [(1, 0.5), (2, 0.25)]


def test_every_tenth_step_logs_loss_rate_and_speed(clock, tmp_path, capsys):
  history = (_epoch(1, 0.75),)
  with progress.FinetuneProgressBar('policy', tmp_path) as bar:
    for step in range(1, 31):
      # The first step is traced, and behind step 15 an epoch is judged.
      clock[0] += 100.0 if step in (1, 15) else 0.5
      bar.on_step(_step(step, 30, history if step >= 15 else (), step / 64))
  scalars = _scalars(tmp_path / 'finetune_policy')
  steps = (10, 20, 30)
  assert scalars['step/loss'] == [(step, step / 64) for step in steps]
  assert scalars['step/learning_rate'] == [(step, step / 128) for step in steps]
  assert scalars['step/images_per_second'] == [(step, 64) for step in steps]
  assert '64 images/s' in capsys.readouterr().err


def test_finetune_bar_begins_where_the_training_goes_on(tmp_path, capsys):
  with progress.FinetuneProgressBar('policy', tmp_path) as bar:
    bar.on_step(_step(61, 90, (_epoch(1, 0.75),)))
  assert '61/90' in capsys.readouterr().err.split('\r')[-1]
