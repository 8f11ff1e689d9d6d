"""Top-1 of float networks on ImageNet as their authors published it.

Sources: MobileNetV1 tensorflow/models, research/slim/nets/mobilenet_v1.md;
MobileNetV2 the table in keras.applications.mobilenet_v2, which is that of
research/slim/nets/mobilenet; MnasNet-B1 torchvision.models.mnasnet. Networks
for which we know no figure are not here.
"""

from __future__ import annotations

from tfmpq.paper_study import StudyNetwork

_SIZES = (224, 192, 160, 128, 96)
# Model -> width -> Top-1 in percent, by size in the order of _SIZES.
_TOP_1: dict[str, dict[float, tuple[float, ...]]] = {
    'mobilenet_v1': {
        1.0: (70.9, 70.0, 68.0, 65.2),
        0.75: (68.4, 67.2, 65.3, 62.1),
        0.5: (63.3, 61.7, 59.1),
        0.25: (49.8,),
    },
    'mobilenet_v2': {
        1.4: (75.0,),
        1.3: (74.4,),
        1.0: (71.8, 70.7, 68.8, 65.3, 60.3),
        0.75: (69.8, 68.7, 66.4, 63.2, 58.8),
        0.5: (65.4, 63.9, 61.0, 57.7, 51.2),
        0.35: (60.3, 58.2, 55.7, 50.8, 45.5),
    },
    'mnasnet_b1': {
        1.3: (76.5,),
        1.0: (73.5,),
        0.75: (71.2,),
        0.5: (67.7,),
    },
}


def families() -> tuple[str, ...]:
  """Returns the models with figures."""
  return tuple(_TOP_1)


def top_1(model: str) -> dict[StudyNetwork, float]:
  """Returns network -> Top-1 in percent, of all known networks of a model."""
  return {
      StudyNetwork(model, width, size): figure
      for width, figures in _TOP_1[model].items()
      for size, figure in zip(_SIZES, figures, strict=False)
  }
