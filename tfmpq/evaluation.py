"""How good a policy is: the value that evaluators return and searchers read."""

import dataclasses


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
