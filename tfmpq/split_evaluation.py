"""Figures of networks on a split of any size, read in parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tqdm

from tfmpq import datasets
from tfmpq import evaluation
from tfmpq import float_network
from tfmpq import float_ops
from tfmpq import quantized_network
from tfmpq import reference_ops

_BATCH_SIZE = 250
# Of the images that are real numbers at once: 1 GiB.
_PART_ELEMENTS = 2**28
# Of the largest activation; the NumPy ops need some hundred bytes for each.
_BATCH_ELEMENTS = 2**22


def logits_and_labels(
    network: float_network.FloatNetwork,
    examples: datasets.Split,
    batch_size: int = _BATCH_SIZE,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns float logits [N, classes] and labels [N].

  Args:
    network: what is run.
    examples: images and labels.
    batch_size: images that pass through the network at once.
  """
  batch_elements = batch_size * int(np.prod(examples.image_shape))
  # Whole batches, so that parts change no bit.
  part_size = batch_size * max(1, _PART_ELEMENTS // batch_elements)
  return evaluation.answers(
      lambda images: float_ops.logits(
          network, datasets.to_input(images), batch_size
      ),
      examples.batches(part_size),
  )


def evaluate_integer(
    network: quantized_network.QuantizedNetwork,
    examples: datasets.Split,
    float_logits: np.ndarray | None = None,
    run: Callable[[np.ndarray], np.ndarray] | None = None,
) -> evaluation.Evaluation:
  """Returns the figures of an integer network; logits in real units.

  Args:
    network: what is judged.
    examples: images and labels.
    float_logits: [N, classes] of the float network, or None.
    run: what computes it, codes -> codes; None: `reference_ops`.
  """
  run = run or (lambda codes: reference_ops.run(network, codes))
  largest = max(tensor.num_elements for tensor in network.spec.activations)
  batch_size = max(1, min(_BATCH_SIZE, _BATCH_ELEMENTS // largest))
  num_batches = -(-len(examples) // batch_size)
  codes, labels = evaluation.answers(
      lambda images: run(datasets.to_codes(images)),
      tqdm.tqdm(
          examples.batches(batch_size), 'evaluate', num_batches, unit='batch'
      ),
  )
  params = network.params[network.spec.output]
  logits = params.scale * codes.astype(np.float64)
  return evaluation.from_logits(logits, labels, float_logits)
