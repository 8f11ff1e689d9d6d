"""How good a policy is: the value that evaluators return and searchers read."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Figures of one policy on one set of labelled images.

  Attributes:
    accuracy: share of images whose largest logit is the label's, 0..1.
    cross_entropy: mean of -log softmax(logits)[label], natural logarithm. It
      separates policies better than accuracy does.
    num_images: size of the set.
  """

  accuracy: float
  cross_entropy: float
  num_images: int


def from_logits(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
  """Returns the figures of real logits [N, classes] for labels int [N].

  Computed in float64, so that a value does not depend on the batch size.
  """
  wide = np.asarray(logits, np.float64)
  shifted = wide - wide.max(axis=1, keepdims=True)
  log_sum = np.log(np.exp(shifted).sum(axis=1))
  losses = log_sum - shifted[np.arange(len(labels)), labels]
  return Evaluation(
      accuracy=float(np.mean(wide.argmax(axis=1) == labels)),
      cross_entropy=float(losses.mean()),
      num_images=len(labels),
  )
