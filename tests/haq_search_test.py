"""HAQ's own setting from the command line: 1 to 8 bits, budget at the end."""

from tests import tiny_run
from tfmpq import backends
from tfmpq import specs


def test_search_with_haqs_setting(tmp_path):
  tiny_run.write_images(tmp_path)
  flags = (
      *tiny_run.FLAGS,
      '--run_dir=run',
      '--memory_model=paper',
      '--search_bits=1,2,3,4,5,6,7,8',
      '--constraint=end_of_episode',
      '--workers=1',
      '--episodes=10',
      '--pretrain_epochs=3',
  )
  text = tiny_run.refusal(tmp_path, 'search', *flags)
  assert 'add --until=search' in text and '--until=report' in text
  assert not (tmp_path / 'run').exists()
  tiny_run.run(tmp_path, 'search', *flags, '--until=search')
  policy = specs.QuantizationPolicy.from_json(
      (tmp_path / 'run' / 'policy.json').read_text()
  )
  spec = specs.NetworkSpec.from_json(
      (tmp_path / 'run' / 'network.json').read_text()
  )
  footprint = backends.build_memory_model(
      spec, 'paper', 'c', False, [], policy_widths=specs.COMPARISON_WIDTHS
  ).footprint(policy)
  assert footprint.ram_bytes <= tiny_run.RAM_BYTES
  assert footprint.flash_bytes <= tiny_run.FLASH_BYTES
