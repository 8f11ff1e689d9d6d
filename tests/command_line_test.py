"""What a user sees at the beginning and at the end of a program."""

import shlex

from absl import app
from absl import flags
from absl.testing import flagsaver
import pytest

from tests import tiny_run
from tfmpq import bazel_build
from tfmpq import command_line
from tfmpq import config
from tfmpq import experiment_flags
from tfmpq import firmware
from tfmpq import reporting
from tfmpq import reproducibility
from tfmpq import run_dir
from tfmpq import search
from tfmpq import stages


@pytest.fixture(name='started', autouse=True)
def _started(tmp_path, monkeypatch):
  """Sets flags that begin a run in tmp_path/run; nothing is computed."""
  monkeypatch.setenv('BUILD_WORKING_DIRECTORY', str(tmp_path))
  # TensorFlow's threads can be set only once in a process.
  monkeypatch.setattr(
      reproducibility, 'make_reproducible', lambda *unused_arguments: None
  )
  tiny_run.write_images(tmp_path)
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['search'])
  with flagsaver.as_parsed(
      run_dir='run',
      dataset='npz:images.npz',
      model='ds_cnn',
      width='0.25',
      pretrain='true',
      num_reward_images='40',
      num_calibration_images='64',
      ram='2000',
  ):
    yield


@pytest.fixture(name='names')
def _names(monkeypatch):
  """Replaces the stages; returns the list of those that have run."""
  names = []

  def stage(name):
    return lambda experiment: names.append(name)

  monkeypatch.setattr(
      search, '_STAGES', {name: stage(name) for name in search._STAGES}
  )

  def write(experiment, command):
    del experiment
    names.append('report')
    return f'table\n{command}'

  monkeypatch.setattr(reporting, 'write', write)
  return names


def _raise(error):
  def body(experiment):
    del experiment
    raise error

  return body


@pytest.mark.parametrize(
    'error',
    [
        ValueError('no such thing'),
        FileNotFoundError('no such thing'),
        bazel_build.BuildError('no such thing'),
        firmware.FirmwareError('no such thing'),
    ],
)
def test_what_a_user_can_mend_is_one_line(error):
  with pytest.raises(SystemExit) as end:
    command_line.run(['search'], 'search', _raise(error))
  # A text as status is printed, and the status is 1.
  assert end.value.code == 'search: no such thing'


def test_a_mistake_of_ours_shows_where_it_happened():
  with pytest.raises(RuntimeError, match='ours'):
    command_line.run(['search'], 'search', _raise(RuntimeError('ours')))


def test_ctrl_c_says_that_the_same_command_goes_on():
  with pytest.raises(SystemExit) as end:
    command_line.run(['finetune'], 'finetune', _raise(KeyboardInterrupt()))
  assert end.value.code == (
      '\nfinetune: stopped; the same command goes on from here'
  )


def test_arguments_that_are_no_flags_are_refused():
  with pytest.raises(app.UsageError, match="received \\['12kB'\\]"):
    command_line.run(['search', '12kB'], 'search', _raise(AssertionError()))


@pytest.mark.parametrize(
    'changed, message',
    [
        ({'config': 'fashion_mist'}, "did you mean 'fashion_mnist'"),
        ({'ram': '12kb'}, "ram: .*did you mean '12kB'"),
        ({'model': 'dscnn'}, "'dscnn'; did you mean 'ds_cnn'"),
        ({'cores': 'cortex-m4'}, "'cortex-m4'; did you mean 'cortex_m4'"),
        ({'dataset': 'npz:absent.npz'}, 'absent.npz.*no such file'),
        ({'ram': '100B'}, "layer '.*' needs .* bytes of RAM.*budget is 100"),
    ],
)
def test_a_mistake_leaves_nothing_behind(changed, message, names, tmp_path):
  with flagsaver.as_parsed(**changed):
    with pytest.raises(SystemExit, match=message):
      search.main(['search'])
  assert not names
  assert not (tmp_path / 'run').exists()


def test_a_refused_command_can_be_corrected(names, tmp_path):
  with flagsaver.as_parsed(ram='100B'):
    with pytest.raises(SystemExit):
      search.main(['search'])
  search.main(['search'])
  assert names == [*search._STAGES, 'report']
  text = (tmp_path / 'run' / run_dir.CONFIG).read_text()
  assert config.from_json(text).budget.ram == '2000'


def test_a_run_with_another_configuration_is_refused(names):
  search.main(['search'])
  names.clear()
  with flagsaver.as_parsed(ram='2100'):
    with pytest.raises(SystemExit, match="--ram: '2000' there, '2100' here"):
      search.main(['search'])
  assert not names


@pytest.mark.parametrize('last', [*search._STAGES, 'report'])
def test_until_ends_after_its_stage(last, names, capsys):
  with flagsaver.as_parsed(until=last):
    search.main(['search'])
  assert names[-1] == last
  order = [*search._STAGES, 'report']
  assert names == order[: order.index(last) + 1]
  stopped = f"stopped after '{last}'" in capsys.readouterr().err
  assert stopped == (last != 'report')


def test_stages_are_those_of_the_help():
  listed = [
      line.split()[0]
      for line in search.__doc__.splitlines()
      if line.startswith('  ')
      and line.split()[0] in {*search._STAGES, 'report'}
  ]
  assert listed == [*search._STAGES, 'report']
  assert search._STAGES['float'] is stages.make_float_network


def test_the_reported_command_makes_the_run_anew(names, capsys):
  with flagsaver.as_parsed(run_dir='my run', until='float'):
    search.main(['search'])
  # Later commands need not repeat the fields.
  again = {name: None for name in config.all_fields()}
  with flagsaver.flagsaver(run_dir='my run', **again):
    search.main(['search'])
  line = capsys.readouterr().out.splitlines()[-1]
  program, _, arguments = line.partition(' -- ')
  assert program == './bazelw run //tfmpq:search'
  assert set(shlex.split(arguments)) == {
      '--run_dir=my run',
      '--dataset=npz:images.npz',
      '--model=ds_cnn',
      '--width=0.25',
      '--pretrain',
      '--num_reward_images=40',
      '--num_calibration_images=64',
      '--ram=2000',
  }
  assert names[-1] == 'report'


def test_the_reported_command_of_the_default_run_is_short():
  nothing = {name: None for name in config.all_fields()}
  with flagsaver.flagsaver(run_dir=None, **nothing):
    experiment, _ = experiment_flags.experiment()
    assert search.command(experiment) == './bazelw run //tfmpq:search'


@pytest.mark.parametrize(
    'program, shown',
    [
        ('search', ['--run_dir', '--config', '--ram', '--until']),
        ('finetune', ['--run_dir']),
        ('evaluate', ['--run_dir', '--split', '--[no]tflite']),
        ('deploy', ['--run_dir', '--cores']),
        ('export', ['--run_dir']),
        ('pretrain', ['--run_dir', '--dataset', '--epochs']),
    ],
)
def test_help_teaches(program, shown, tmp_path):
  process = tiny_run.start(tmp_path, program, '--help')
  output, _ = process.communicate(timeout=120)
  assert f'./bazelw run //tfmpq:{program} -- --run_dir=' in output.replace(
      '--ram=16kB --flash=40KiB ', ''
  )
  for flag in shown:
    assert f'  {flag}: ' in output, flag


def test_helpfull_lists_every_field(tmp_path):
  process = tiny_run.start(tmp_path, 'search', '--helpfull')
  output, _ = process.communicate(timeout=120)
  for name, (_, field) in config.all_fields().items():
    no = '[no]' if isinstance(field.default, bool) else ''
    assert f'\n  --{no}{name}:' in output, name
