"""Float networks by name, and the default network with its stored weights.

Every network takes real inputs as `datasets.to_input` makes them, returns
logits, and consists of layers that `keras_graph` understands.
"""

from collections.abc import Callable
import difflib
import pathlib

import tf_keras as keras

from tfmpq import float_weights
from tfmpq import inverted_residuals
from tfmpq import mobilenet
from tfmpq import tiny_models

DEFAULT_MODEL = 'mobilenet_v1_small'
DEFAULT_WEIGHTS_PATH = (
    pathlib.Path(__file__).parent / 'weights' / 'mobilenet_v1_small.npz'
)

_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    'mobilenet_v1_small': mobilenet.mobilenet_v1_small,
    'mobilenet_v1': mobilenet.mobilenet_v1,
    'mobilenet_v2': inverted_residuals.mobilenet_v2,
    'mnasnet_b1': inverted_residuals.mnasnet_b1,
    'efficientnet_lite0': inverted_residuals.efficientnet_lite0,
    'resnet8': tiny_models.resnet8,
    'ds_cnn': tiny_models.ds_cnn,
}


def model_names() -> tuple[str, ...]:
  """Returns the names that `build_model` knows, the default one first."""
  return tuple(_BUILDERS)


def build_model(
    name: str = DEFAULT_MODEL,
    input_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    width: float = 1.0,
    activation: str | None = None,
) -> keras.Model:
  """Returns a network with fresh random weights (keras.utils.set_random_seed).

  Args:
    name: One of `model_names()`.
    input_shape: (height, width, channels); None for the builder's default.
    num_classes: Number of logits; None for the builder's default.
    width: Channel multiplier, > 0.
    activation: 'relu' or 'relu6'; None for the builder's default.

  Raises:
    ValueError: The name is unknown (the message gives the nearest one), or the
      width is not positive.
  """
  if name not in _BUILDERS:
    nearest = difflib.get_close_matches(name, _BUILDERS, n=1, cutoff=0)[0]
    raise ValueError(
        f"unknown model '{name}'; did you mean '{nearest}'? Known models:"
        f" {', '.join(_BUILDERS)}"
    )
  if width <= 0:
    raise ValueError(f"model '{name}': expected a width > 0, got {width}")
  arguments = {
      'input_shape': input_shape,
      'num_classes': num_classes,
      'activation': activation,
  }
  given = {k: v for k, v in arguments.items() if v is not None}
  return _BUILDERS[name](width=width, **given)


def load_float_model(weights_path=None) -> keras.Model:
  """Returns the default network with trained weights.

  Args:
    weights_path: .npz written by `//tfmpq:pretrain` for the default network;
      None for the weights that come with this package.
  """
  model = build_model(DEFAULT_MODEL)
  float_weights.load_weights(model, weights_path or DEFAULT_WEIGHTS_PATH)
  return model
