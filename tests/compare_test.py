"""The program //tfmpq:compare on a network that takes seconds."""

import json
import os
import signal
import time

import pytest

from tests import tiny_run

_SEARCHERS = ('ddpg', 'ilp', 'random')
_FLAGS = (
    *tiny_run.FLAGS,
    '--episodes=16',
    '--finetune_epochs=1',
    '--run_dir=run',
)


@pytest.fixture(name='folder', scope='module')
def _folder(tmp_path_factory):
  """Returns a folder with a comparison that was killed and then finished."""
  folder = tmp_path_factory.mktemp('compare')
  tiny_run.write_images(folder)
  flags = (*_FLAGS, f'--searchers={",".join(_SEARCHERS)}', '--seeds=1,2')
  process = tiny_run.start(folder, 'compare', *flags)
  rows = folder / 'run' / 'compare.json'
  deadline = time.monotonic() + 500
  while not rows.exists() and time.monotonic() < deadline:
    assert process.poll() is None, process.communicate()
    time.sleep(0.1)
  os.killpg(process.pid, signal.SIGKILL)
  process.communicate()
  before = json.loads(rows.read_text())['rows']
  tiny_run.run(folder, 'compare', *flags, '--finetune')
  return folder / 'run', before


def test_rows_and_correlation(folder):
  folder, before = folder
  found = json.loads((folder / 'compare.json').read_text())
  rows = found['rows']
  assert [(r['searcher'], r['seed']) for r in rows] == [
      (name, seed) for seed in (1, 2) for name in _SEARCHERS
  ]
  for row in rows:
    assert set(row) == {
        'searcher',
        'seed',
        'evaluations',
        'reward_accuracy',
        'finetuned_accuracy',
    }
    assert 1 <= row['evaluations'] <= 16
    assert 0 <= row['finetuned_accuracy'] <= 1
  assert -1 <= (found['reward_rank_correlation'] or 0) <= 1
  # What was there before the kill is there, and not otherwise.
  for old, new in zip(before, rows, strict=False):
    assert {**new, 'finetuned_accuracy': None} == old


def test_table_and_chart(folder):
  folder, _ = folder
  table = (folder / 'compare.md').read_text()
  assert all(f'| {name} | 2 |' in table for name in _SEARCHERS)
  assert (folder / 'compare.svg').read_text().count('<polygon') == 3


def test_evaluations_are_shared(folder):
  folder, _ = folder
  lines = (folder / 'compare' / 'evaluations.jsonl').read_text().splitlines()
  policies = {json.dumps(json.loads(line)['policy']) for line in lines[1:]}
  assert len(policies) == len(lines) - 1


def test_wrong_searcher_is_refused_at_once(tmp_path):
  tiny_run.write_images(tmp_path)
  text = tiny_run.refusal(tmp_path, 'compare', *_FLAGS, '--searchers=dpg')
  assert "there is no searcher 'dpg'; did you mean 'ddpg'" in text
  assert not (tmp_path / 'run').exists()
