"""Charts as inline SVG text: no script, no font, no other file."""

from collections.abc import Sequence
import dataclasses
import html

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 40
_INK, _GRID, _LIMIT = '#444', '#ddd', '#c0392b'
_LEGEND_NAMES = 6  # more would not be read
PALETTE = (
    '#2a6f97',
    '#e09f3e',
    '#6a994e',
    '#9c6644',
    '#7b2cbf',
    '#1b9aaa',
    '#ef476f',
    '#8d99ae',
)


@dataclasses.dataclass(frozen=True)
class Series:
  """A line or a cloud of points.

  Attributes:
    name: shown in the legend.
    points: (x, y) in the units of the axes.
    is_line: connected points, or dots.
    band: (x, low, high) of a shaded band behind it.
  """

  name: str
  points: Sequence[tuple[float, float]]
  is_line: bool = True
  band: Sequence[tuple[float, float, float]] = ()


@dataclasses.dataclass(frozen=True)
class Bar:
  """A stack of parts at one position of the horizontal axis.

  Attributes:
    label: under the bar; a tool tip shows it where bars are narrow.
    parts: (name, size) from the bottom up.
  """

  label: str
  parts: Sequence[tuple[str, float]]

  @property
  def total(self) -> float:
    return sum(size for _, size in self.parts)


def line_chart(series: Sequence[Series], x_title: str, y_title: str) -> str:
  """Returns a chart of at least one series with at least one point."""
  points = [point for one in series for point in one.points]
  points += [(x, y) for one in series for x, *ends in one.band for y in ends]
  x_low, x_high = _spread([x for x, _ in points])
  y_low, y_high = _spread([y for _, y in points])
  to_x = _scale(x_low, x_high, _LEFT, _WIDTH - _RIGHT)
  to_y = _scale(y_low, y_high, _HEIGHT - _BOTTOM, _TOP)
  body = _axes(x_title, y_title, (x_low, x_high), (y_low, y_high))
  for i, one in enumerate(series):
    color = PALETTE[i % len(PALETTE)]
    places = [(to_x(x), to_y(y)) for x, y in one.points]
    if one.band:
      edge = [(x, high) for x, _, high in one.band]
      edge += [(x, low) for x, low, _ in reversed(one.band)]
      path = ' '.join(f'{to_x(x):.1f},{to_y(y):.1f}' for x, y in edge)
      body.append(
          f'<polygon points="{path}" fill="{color}" fill-opacity="0.12"/>'
      )
    if one.is_line:
      path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
      body.append(
          f'<polyline points="{path}" fill="none" stroke="{color}" '
          'stroke-width="2"/>'
      )
    else:
      body += [
          f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}" '
          'fill-opacity="0.6"/>'
          for x, y in places
      ]
    body.append(_text(_LEFT + 10, _TOP + 12 + 15 * i, one.name, color=color))
  return _svg(body)


def stacked_bars(
    bars: Sequence[Bar],
    x_title: str,
    y_title: str,
    limit: float | None = None,
) -> str:
  """Returns stacked bars; `limit` is drawn as a line across."""
  sizes = [bar.total for bar in bars] + ([limit] if limit else [])
  highest = max(sizes) or 1.0  # Bars of no height still need an axis.
  to_y = _scale(0, highest * 1.05, _HEIGHT - _BOTTOM, _TOP)
  body = _axes(x_title, y_title, None, (0, highest * 1.05))
  colors: dict[str, str] = {}
  step = (_WIDTH - _LEFT - _RIGHT) / len(bars)
  for i, bar in enumerate(bars):
    x, level = _LEFT + i * step, 0.0
    for name, size in bar.parts:
      color = colors.setdefault(name, PALETTE[len(colors) % len(PALETTE)])
      top, bottom = to_y(level + size), to_y(level)
      tip = html.escape(f'{bar.label} | {name}: {size:,.0f}')
      body.append(
          f'<rect x="{x + step * 0.08:.1f}" y="{top:.1f}" '
          f'width="{step * 0.84:.1f}" height="{bottom - top:.1f}" '
          f'fill="{color}"><title>{tip}</title></rect>'
      )
      level += size
  if len(colors) <= _LEGEND_NAMES:
    body += [
        _text(_LEFT + 10, _TOP + 12 + 15 * i, name, color=color)
        for i, (name, color) in enumerate(colors.items())
    ]
  if limit:
    y = to_y(limit)
    body.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
        f'y2="{y:.1f}" stroke="{_LIMIT}" stroke-dasharray="6 3"/>'
    )
    body.append(
        _text(_WIDTH - _RIGHT, y - 4, f'budget {limit:,.0f}', 'end', _LIMIT)
    )
  return _svg(body)


def _axes(x_title, y_title, x_range, y_range) -> list[str]:
  """Returns grid lines, tick labels and titles."""
  low, high = y_range
  to_y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
  body = []
  for i in range(5):
    value = low + (high - low) * i / 4
    y = to_y(value)
    body.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
        f'y2="{y:.1f}" stroke="{_GRID}"/>'
    )
    body.append(_text(_LEFT - 6, y + 4, _number(value, high - low), 'end'))
  if x_range is not None:
    x_low, x_high = x_range
    to_x = _scale(x_low, x_high, _LEFT, _WIDTH - _RIGHT)
    for value in _x_ticks(x_low, x_high):
      label = _number(value, x_high - x_low)
      body.append(_text(to_x(value), _HEIGHT - _BOTTOM + 16, label, 'middle'))
  middle = (_LEFT + _WIDTH - _RIGHT) / 2
  body.append(_text(middle, _HEIGHT - 6, x_title, 'middle'))
  body.append(
      f'<text transform="translate(12 {_HEIGHT / 2:.0f}) rotate(-90)" '
      f'text-anchor="middle" fill="{_INK}">{html.escape(y_title)}</text>'
  )
  return body


def _x_ticks(low: float, high: float) -> list[float]:
  """Returns about five places; whole numbers where the range holds enough."""
  places = [low + (high - low) * i / 4 for i in range(5)]
  if high - low < 4:
    return places
  return sorted({float(round(place)) for place in places})


def _scale(low, high, start, end):
  return lambda value: start + (value - low) / (high - low) * (end - start)


def _spread(values: Sequence[float]) -> tuple[float, float]:
  """Returns the range of the values, never empty."""
  low, high = min(values), max(values)
  return (low, high) if high > low else (low - 0.5, high + 0.5)


def _number(value: float, span: float) -> str:
  """Returns a tick label with as many digits as the range needs."""
  if span >= 10 or (span >= 4 and value == int(value)):
    return f'{value:,.0f}'
  return f'{value:.1f}' if span >= 1 else f'{value:.3f}'


def _text(x, y, text, anchor='start', color=_INK) -> str:
  return (
      f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
      f'fill="{color}">{html.escape(text)}</text>'
  )


def _svg(body: Sequence[str]) -> str:
  # The namespace makes it a file of its own, too.
  return (
      '<svg xmlns="http://www.w3.org/2000/svg" '
      f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
      'font-family="sans-serif" font-size="11">' + ''.join(body) + '</svg>'
  )
