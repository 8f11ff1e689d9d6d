"""How good a policy is: the value that evaluators return and searchers read."""

from collections.abc import Callable, Iterable
import dataclasses

import numpy as np

from tfmpq import datasets


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Figures of one policy on one set of labelled images.

  Attributes:
    accuracy: share of images whose largest logit is the label's, 0..1.
    cross_entropy: mean of -log softmax(logits)[label], natural logarithm. It
      separates policies better than accuracy does.
    num_images: size of the set.
    agreement: share of images whose largest logit is the float network's, 0..1;
      None where the float network was not asked. Needs no labels.
    kl: mean Kullback-Leibler divergence of the probabilities from the float
      network's, at least 0, natural logarithm; likewise.
  """

  accuracy: float
  cross_entropy: float
  num_images: int
  agreement: float | None = None
  kl: float | None = None


def answers(
    classify: Callable[[np.ndarray], np.ndarray],
    parts: Iterable[datasets.Examples],
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what a network says of a split that is read in parts.

  Args:
    classify: uint8 images [M, H, W, C] -> array or tensor of M x classes.
    parts: of `datasets.Split.batches`, at least one.

  Returns:
    (answers [N, classes], labels [N]).
  """
  found, labels = [], []
  for part in parts:
    found.append(np.asarray(classify(part.images)).reshape(len(part), -1))
    labels.append(part.labels)
  return np.concatenate(found), np.concatenate(labels)


def from_logits(
    logits: np.ndarray,
    labels: np.ndarray,
    float_logits: np.ndarray | None = None,
) -> Evaluation:
  """Returns the figures of real logits [N, classes] for labels int [N].

  Computed in float64, so that a value does not depend on the batch size. Of
  equal logits the first counts as the largest, as in integer networks.

  Args:
    logits: of the network that is judged.
    labels: right classes.
    float_logits: [N, classes] of the float network, or None.
  """
  scores = _log_probabilities(logits)
  losses = -scores[np.arange(len(labels)), labels]
  chosen = scores.argmax(axis=1)
  agreement = kl = None
  if float_logits is not None:
    wanted = _log_probabilities(float_logits)
    agreement = float(np.mean(chosen == wanted.argmax(axis=1)))
    divergences = (np.exp(wanted) * (wanted - scores)).sum(axis=1)
    # Rounding can leave a divergence of nothing a little below zero.
    kl = max(float(divergences.mean()), 0.0)
  return Evaluation(
      accuracy=float(np.mean(chosen == labels)),
      cross_entropy=float(losses.mean()),
      num_images=len(labels),
      agreement=agreement,
      kl=kl,
  )


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
  wide = np.asarray(logits, np.float64)
  shifted = wide - wide.max(axis=1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
