"""Where the fields of an experiment come from: file, run directory, flags."""

from absl import flags
import pytest

from tfmpq import config
from tfmpq import experiment_flags
from tfmpq import run_dir

experiment_flags.define()


@pytest.fixture(name='parse')
def _parse(monkeypatch, tmp_path):
  """Returns a function: command-line flags -> (experiment, run directory)."""
  monkeypatch.setenv('BUILD_WORKING_DIRECTORY', str(tmp_path))

  def parse(*arguments):
    flags.FLAGS.unparse_flags()
    for name in (*config.all_fields(), 'run_dir'):
      flags.FLAGS[name].value = None
    flags.FLAGS(['program', *arguments])
    return experiment_flags.experiment()

  return parse


def test_without_flags_the_file_in_configs_counts(parse, tmp_path):
  experiment, folder = parse()
  assert experiment == config.ExperimentConfig()
  assert folder == tmp_path / 'runs' / 'fashion_mnist'


def test_flags_override_fields(parse):
  experiment, folder = parse('--ram=9kB', '--episodes=5', '--run_dir=/x')
  assert experiment.budget.ram == '9kB'
  assert experiment.search.episodes == 5
  assert str(folder) == '/x'


def test_flagfile_works(parse, tmp_path):
  (tmp_path / 'my.flags').write_text('--ram=10kB\n--searcher=greedy\n')
  experiment, _ = parse(f'--flagfile={tmp_path / "my.flags"}')
  assert experiment.budget.ram == '10kB'
  assert experiment.search.searcher == 'greedy'


def _begin_run(tmp_path, **fields):
  begun = config.override(config.ExperimentConfig(), fields)
  path = tmp_path / 'run' / run_dir.CONFIG
  run_dir.atomic_write(path, config.to_json(begun))


def test_a_run_that_has_begun_keeps_its_fields(parse, tmp_path):
  _begin_run(tmp_path, ram='11kB')
  experiment, _ = parse('--run_dir=run')
  assert experiment.budget.ram == '11kB'


def test_a_run_that_has_begun_cannot_change(parse, tmp_path):
  _begin_run(tmp_path, ram='11kB')
  with pytest.raises(ValueError, match="--ram: '11kB' there, '12kB' here"):
    parse('--run_dir=run', '--ram=12kB')


@pytest.mark.parametrize(
    'argument, nearest',
    [('--searcher=gredy', 'greedy'), ('--memory_model=arean', 'arena')],
)
def test_a_wrong_choice_is_answered_with_the_nearest(parse, argument, nearest):
  with pytest.raises(flags.IllegalFlagValueError) as error:
    parse(argument)
  assert f"did you mean '{nearest}'?" in str(error.value)


def test_a_choice_that_is_like_none_is_answered_with_all(parse):
  with pytest.raises(flags.IllegalFlagValueError) as error:
    parse('--backend=xyzzy')
  assert "there are ['c', 'tflm']" in str(error.value)


def test_fields_that_say_where_things_lie_can_change(parse, tmp_path):
  _begin_run(tmp_path, data_dir='/there', cores='cortex_m4')
  experiment, _ = parse('--run_dir=run', '--data_dir=/here', '--cores=host')
  assert experiment.data.data_dir == '/here'
  assert experiment.deploy.cores == 'host'


def test_arguments_make_the_same_experiment_anew(parse, tmp_path):
  _begin_run(
      tmp_path, ram='11 kB', pretrain=True, distillation=0.25, searcher='greedy'
  )
  begun, _ = parse('--run_dir=run')
  arguments = experiment_flags.arguments(begun)
  assert arguments[0] == '--run_dir=run'
  assert '--pretrain' in arguments
  (tmp_path / 'run' / run_dir.CONFIG).unlink()
  assert parse(*arguments)[0] == begun


def test_no_arguments_make_the_default_experiment(parse):
  assert experiment_flags.arguments(parse()[0]) == []


def test_unknown_names_are_answered_with_the_nearest(parse):
  with pytest.raises(ValueError, match="did you mean 'fashion_mnist'"):
    experiment_flags.load_config('fashion_mist')
  with pytest.raises(flags.UnrecognizedFlagError) as error:
    parse('--episods=3')
  assert 'episodes' in str(error.value)
