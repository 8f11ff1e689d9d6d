"""Stage 'report': report.json and report.html from what a run has left."""

from collections.abc import Sequence
import json

from tfmpq import c_writer
from tfmpq import evaluation
from tfmpq import experiment as experiment_lib
from tfmpq import exporting
from tfmpq import kernel_targets
from tfmpq import report
from tfmpq import report_page
from tfmpq import run_dir
from tfmpq.searchers import searcher


def write(experiment: experiment_lib.Experiment, command: str) -> str:
  """Writes both files and returns the table with which the run ends."""
  exports = experiment.read_json(run_dir.EXPORT, 'export')
  found = experiment.read_json(run_dir.SEARCH, 'search')
  episodes_per_minute = found.pop('episodes_per_minute')
  accuracy = experiment.read_json(run_dir.ACCURACY, 'evaluate')
  target = _largest_target(experiment, exports)
  content = report.build(
      report.ReportInputs(
          config=experiment.config,
          command=command,
          network=experiment.spec,
          memory_model=experiment.memory_model,
          policy=experiment.policy,
          search=searcher.SearchResult.from_json_dict(found),
          episodes_per_minute=episodes_per_minute,
          finetune=experiment.read_json(run_dir.FINETUNE, 'finetune'),
          accuracy={
              name: evaluation.Evaluation(**score)
              for name, score in accuracy.items()
          },
          flash_by_tensor=_flash_by_tensor(experiment, target),
          flash_bytes_written=exports[_export_name(experiment, target)][
              'flash_bytes'
          ],
          tflite_bytes=exports['tflm']['flash_bytes'],
          exports=exports,
          runs=experiment.read_json(run_dir.DEPLOY, 'deploy')['runs'],
      )
  )
  text = json.dumps(content, indent=2) + '\n'
  run_dir.atomic_write(experiment.folder / run_dir.REPORT_JSON, text)
  page = experiment.folder / run_dir.REPORT_HTML
  run_dir.atomic_write(page, report_page.render(content))
  return f'{report.summary(content)}\n{page}'


def _largest_target(
    experiment: experiment_lib.Experiment, exports
) -> kernel_targets.Target:
  """Returns the target of the cores whose export takes the most FLASH."""
  return max(
      experiment.targets,
      key=lambda t: exports[_export_name(experiment, t)]['flash_bytes'],
  )


def _export_name(
    experiment: experiment_lib.Experiment, target: kernel_targets.Target
) -> str:
  """Returns the key in export.json of what was searched for."""
  budget = experiment.config.budget
  if budget.backend == 'c':
    return exporting.c_export_name(target)
  if budget.tflite_ops == 'builtin':
    return 'tflm_builtin'
  return exporting.tflite_export_name(target)


def _flash_by_tensor(
    experiment: experiment_lib.Experiment, target: kernel_targets.Target
) -> Sequence[tuple[str, str, int]]:
  """Returns (layer, kind, bytes) of the constants of a target's C export."""
  return [
      (item.layer, item.kind, item.num_bytes)
      for item in c_writer.constant_objects(
          experiment.spec,
          experiment.policy,
          experiment.per_channel_zero_points,
          target,
      )
  ]
