"""Models that the ops must refuse, and what they must say, for tests.

Each is a valid model with one op in the middle (op_networks) and one change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import dataclasses

from flatbuffers import flexbuffers
import numpy as np

from tests import op_networks
from tfmpq import memory_planner
from tfmpq import specs
from tfmpq import tflite_file
from tfmpq import tflite_layout
from tfmpq import tflite_options
from tfmpq import tflite_writer

_CONV = specs.Op.CONV_2D
_DEPTHWISE = specs.Op.DEPTHWISE_CONV_2D
_DENSE = specs.Op.FULLY_CONNECTED
_ADD = specs.Op.ADD
_AVERAGE = specs.Op.AVERAGE_POOL_2D
_MAX = specs.Op.MAX_POOL_2D

# Widths of each op's kernel. Sums of 8-bit products can be made to overflow.
_WIDTHS = {
    _CONV: (4, 4, 4),
    _DEPTHWISE: (8, 8, 8),
    _DENSE: (8, 2, 8),
    _ADD: (4, 8, 4),
    _AVERAGE: (4, 8),
    _MAX: (4,),
}


@dataclasses.dataclass(frozen=True)
class MalformedModel:
  """A .tflite that must be refused.

  Attributes:
    name: of the test case.
    data: content of the file.
    message: part of what must be logged.
    in_verifier: whether VerifyModel must refuse it, else an op.
  """

  name: str
  data: bytes
  message: str
  in_verifier: bool


def valid_model(op: specs.Op) -> tflite_file.Model:
  """Returns the model that all changes of an op start from."""
  rng = np.random.default_rng([20261124, list(_WIDTHS).index(op)])
  network = op_networks.op_network(op, _WIDTHS[op], rng)
  plan = memory_planner.arena_plan(network.spec, network.policy)
  return tflite_file.parse(tflite_writer.write(network, plan))


def middle(model: tflite_file.Model) -> int:
  """Returns the index of the operator that is not one of the pools around."""
  return len(model.operators) - 2


def encode_map(values: Mapping[str, object]) -> bytes:
  """Returns a FlexBuffer map, whatever the keys and values are."""
  return bytes(flexbuffers.Dumps(dict(values)))


# A change of a model.
_Change = Callable[[tflite_file.Model], tflite_file.Model]


def _operator(model: tflite_file.Model, **fields) -> tflite_file.Model:
  operators = list(model.operators)
  index = middle(model)
  operators[index] = dataclasses.replace(operators[index], **fields)
  return dataclasses.replace(model, operators=tuple(operators))


def _tensor(model, index: int, **fields) -> tflite_file.Model:
  tensors = list(model.tensors)
  tensors[index] = dataclasses.replace(tensors[index], **fields)
  return dataclasses.replace(model, tensors=tuple(tensors))


def options(**changes) -> _Change:
  """Sets options of the op; None removes one."""

  def change(model):
    operator = model.operators[middle(model)]
    op = tflite_options.op_of(operator.custom_code)
    values = tflite_options.decode(op, operator.options) | changes
    return _operator(
        model,
        options=encode_map({k: v for k, v in values.items() if v is not None}),
    )

  return change


def raw_options(edit: Callable[[bytes], bytes]) -> _Change:
  """Edits the bytes of the op's options."""

  def change(model):
    return _operator(
        model, options=edit(model.operators[middle(model)].options)
    )

  return change


def tensor(position: int, **fields) -> _Change:
  """Sets fields of an input of the op, -1: of its output.

  A value may be a function of the old tensor.
  """

  def change(model):
    operator = model.operators[middle(model)]
    index = operator.outputs[0] if position < 0 else operator.inputs[position]
    old = model.tensors[index]
    values = {k: v(old) if callable(v) else v for k, v in fields.items()}
    return _tensor(model, index, **values)

  return change


def words(position: int, edit: Callable[[np.ndarray], None]) -> _Change:
  """Edits an int32 constant of the op, in its length."""

  def new_data(old: tflite_file.Tensor) -> bytes:
    values = np.frombuffer(old.data, '<i4').copy()
    edit(values)
    return values.tobytes()

  return tensor(position, data=new_data)


def inputs(edit: Callable[[tuple[int, ...]], tuple[int, ...]]) -> _Change:
  """Edits the list of the op's inputs."""
  return lambda model: _operator(
      model, inputs=edit(model.operators[middle(model)].inputs)
  )


def plan_offset(position: int, offset: Callable[[int], int]) -> _Change:
  """Moves the op's output to where `offset` says, given an input's place."""

  def change(model):
    operator = model.operators[middle(model)]
    plan = np.frombuffer(
        model.metadata[tflite_options.OFFLINE_PLAN], '<i4'
    ).copy()
    plan[3 + operator.outputs[0]] = offset(plan[3 + operator.inputs[position]])
    metadata = dict(model.metadata)
    metadata[tflite_options.OFFLINE_PLAN] = plan.tobytes()
    return dataclasses.replace(model, metadata=metadata)

  return change


def _set(index: int, value: int) -> Callable[[np.ndarray], None]:
  def edit(values: np.ndarray) -> None:
    values[index] = value

  return edit


def _with_size(axis: int, change: int):
  """Returns a function of a tensor: its shape, one dimension changed."""

  def shape(old: tflite_file.Tensor) -> tuple[int, ...]:
    new = list(old.shape)
    new[axis] += change
    return tuple(new)

  return shape


def _one_more_row(old: tflite_file.Tensor) -> bytes:
  return old.data + bytes(len(old.data) // old.shape[0])


def _of_weighted_ops(op: specs.Op) -> Iterator[tuple[str, _Change, str]]:
  """Yields (name, change, message) for conv2d, depthwise, fully connected."""
  yield 'w_bits', options(w_bits=1), 'w_bits: expected 2 to 8, received 1'
  yield 'shift', options(shift=32), 'shift: expected 1 to 31, received 32'
  yield 'layout', options(layout=9), 'layout: expected'
  yield 'no weight', tensor(1, data=None), 'weight: expected a constant'
  yield (
      'rows of the weight',
      tensor(1, shape=_with_size(0, 1), data=_one_more_row),
      'weight: expected',
  )
  yield 'parameters', tensor(2, dtype='int8'), 'parameters: expected type INT32'
  yield (
      'size of the parameters',
      tensor(2, shape=_with_size(0, 1), data=lambda t: t.data + bytes(4)),
      'parameters: expected',
  )
  yield (
      'multiplier',
      words(2, _set(1, -5)),
      'multiplier of a channel: expected 0 to 2147483647, received -5',
  )
  yield (
      'bias',
      words(2, _set(0, -(2**31))),
      'largest accumulator, shifted by pre_shift: expected',
  )
  yield 'pre_shift', options(pre_shift=31), 'largest accumulator'
  yield (
      'z_out',
      options(z_out=100 if _WIDTHS[op][2] == 8 else 3, shift=31),
      'zero point and rounding constant, shifted: expected',
  )
  yield 'inputs', inputs(lambda i: i[:2]), 'number of inputs: expected 3'


def _of_windows(op: specs.Op) -> Iterator[tuple[str, _Change, str]]:
  """Yields changes of ops with a window."""
  yield 'k_h', options(k_h=0), 'k_h: expected 1 to 255, received 0'
  yield 's_w', options(s_w=256), 's_w: expected 1 to 255, received 256'
  yield 'p_t', options(p_t=200), 'vertical padding: expected 0 to'
  yield 'p_r', options(p_r=254), 'horizontal padding: expected 0 to'
  if op is not _CONV:  # where the weight's shape says so first
    yield 'kernel', options(k_h=250), 'less the kernel: expected 0 to'
  yield 'stride', options(s_h=99), 'output height: expected 1'


def _of_every_op(op: specs.Op) -> Iterator[tuple[str, _Change, str]]:
  yield 'empty options', raw_options(lambda o: b''), 'options are'
  yield 'cut options', raw_options(lambda o: o[:-1]), 'options'
  yield (
      'no map',
      raw_options(lambda o: bytes(flexbuffers.Dumps([1, 2, 3]))),
      'options are no FlexBuffer map',
  )
  yield 'unknown option', options(stride=1), "option 'stride' is unknown"
  yield 'option of another op', options(b_size=1), "option 'b_size' is unknown"
  yield 'missing option', options(a_bits=None), "option 'a_bits' is missing"
  yield 'text', options(a_bits='4'), 'expected signed integers only'
  yield 'three bits', options(a_bits=3), 'a width is not 2, 4 or 8 bits'
  yield 'no channels', options(c_in=0), 'c_in: expected 1 to 65535, received 0'
  yield 'channels', options(c_in=65536), 'c_in: expected 1 to 65535'
  yield 'rank', tensor(-1, shape=lambda t: t.shape[1:]), '4 dimensions'
  yield 'batch', tensor(-1, shape=_with_size(0, 1)), 'output: expected 1'
  yield 'pixel bytes', tensor(-1, shape=_with_size(3, 90)), 'output: expected'
  if op is not _MAX:
    yield 'z_in', options(z_in=128), 'z_in: expected -128 to 127, received 128'
    yield 'o_bits', options(o_bits=16), 'o_bits: expected 2 to 8, received 16'


def _of_one_op() -> Iterator[tuple[specs.Op, str, _Change, str]]:
  """Yields (op, name, change, message)."""
  yield _CONV, 'z_in code', options(z_in=-1), 'z_in: expected 0 to 15'
  yield _DEPTHWISE, 'layout 1', options(layout=1), 'layout: expected 0'
  yield _DEPTHWISE, 'z_w', options(z_w=1), "'z_w' does not belong"
  yield _DENSE, 'kernel', options(k_h=1), "option 'k_h' is unknown"
  yield _CONV, 'layout 1', options(layout=1), 'weight: expected 1'
  yield _ADD, 'size', tensor(-1, shape=_with_size(1, 1)), 'output pixels'
  yield _ADD, 'first', words(2, _set(0, -1)), 'first multiplier: expected 0'
  yield _ADD, 'sum', words(2, _set(1, 2**31 - 1)), 'largest sum: expected 0'
  yield _ADD, 'inputs', inputs(lambda i: i[1:]), 'number of inputs'
  yield _AVERAGE, 'one', words(1, _set(0, -1)), 'multiplier: expected 0'
  yield (
      _AVERAGE,
      'multipliers',
      tensor(1, shape=_with_size(0, 1), data=lambda t: t.data + bytes(4)),
      'parameters: expected',
  )
  yield _MAX, 'inputs', inputs(lambda i: i * 2), 'number of inputs: expected 1'
  for op in (_CONV, _AVERAGE, _MAX):
    yield op, 'in place', plan_offset(0, lambda o: o), 'overlap an input'
  yield (
      _ADD,
      'beside its place',
      plan_offset(1, lambda o: o + 16),
      'overlap an input',
  )


def _of_the_verifier() -> Iterator[tuple[str, _Change, str]]:
  """Yields changes that no op can see."""
  yield (
      'short weight',
      tensor(1, data=lambda t: t.data[:-1]),
      'bytes of a constant',
  )
  yield 'index', inputs(lambda i: (99, *i[1:])), 'index of a tensor'
  yield 'cycle', inputs(lambda i: (i[0] + 1, *i[1:])), 'writes an input'
  yield 'bits', options(a_bits=8), 'bits of an input: expected 4, received 8'
  yield 'zero point', options(z_in=7), 'zero point of an input'
  yield (
      'plan of one tensor',
      lambda model: dataclasses.replace(
          model,
          metadata={
              tflite_options.OFFLINE_PLAN: np.array(
                  [1, 0, 1, 0], '<i4'
              ).tobytes()
          },
      ),
      'memory plan: bytes',
  )
  yield 'odd offset', plan_offset(0, lambda o: 1000 * 16 + 4), 'divided by 16'
  yield 'offset', plan_offset(0, lambda o: -16), 'memory plan: offset'


def malformed_models() -> Iterator[MalformedModel]:
  """Yields all of them, in an order that does not change."""
  for op in _WIDTHS:
    model = valid_model(op)
    changes = [*_of_every_op(op)]
    if op in specs.WEIGHTED_OPS:
      changes += _of_weighted_ops(op)
    if op not in (_ADD, _DENSE):
      changes += _of_windows(op)
    changes += [c[1:] for c in _of_one_op() if c[0] is op]
    for name, change, message in changes:
      data = tflite_layout.serialize(change(model))
      yield MalformedModel(f'{op.value}: {name}', data, message, False)
  model = valid_model(_CONV)
  for name, change, message in _of_the_verifier():
    data = tflite_layout.serialize(change(model))
    yield MalformedModel(f'verifier: {name}', data, message, True)
  data = tflite_layout.serialize(model)
  for size in (0, 4, 100, len(data) - 16):
    yield MalformedModel(f'cut to {size}', data[:size], 'model: ', True)
