"""Every row of the paper's study runs from records of images to its exports.

Hours of processor time: tagged manual. MobileNetV1 0.25@128 and MobileNetV2
0.35@128 run in //tests/imagenet_models, also on emulated cores.

  ./bazelw test //tests:imagenet_configs_test --test_arg=-k --test_arg=ROW
"""

import numpy as np
import pytest

from tests import imagenet_smoke
from tfmpq import exporting
from tfmpq import paper_rows
from tfmpq import reference_ops


@pytest.mark.parametrize('row', paper_rows.rows(), ids=lambda row: row.name)
def test_a_row_of_the_study_reaches_equal_exports(row, tmp_path):
  imagenet_smoke.write_images(tmp_path)
  experiment = imagenet_smoke.run(row.config(), tmp_path)
  codes = imagenet_smoke.check(experiment)
  network = exporting.load_network(experiment.folder)
  expected = reference_ops.run(network, codes).reshape(len(codes), -1)
  np.testing.assert_array_equal(
      imagenet_smoke.host_logits(experiment.folder, codes), expected
  )
