"""Line charts with bands as SVG, small enough to read: groups of panels, axes, ticks, one legend a group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH = 960
MARGIN, GAP = 48, 44  # left of a panel, for its ticks; between rows of panels
HEAD, PLOT, FOOT = 62, 150, 40  # heading and legend of a group, height of a plot, its axis below
STYLE = """
text { font: 12px Helvetica, Arial, sans-serif; fill: #444 }
.heading { font-size: 15px; font-weight: bold; fill: #111 }
.title { font-weight: bold; fill: #222 }
.grid { stroke: #e6e6e6; stroke-width: 1 }
.axis { stroke: #888; stroke-width: 1; fill: none }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.band { stroke: none; fill-opacity: 0.2 }
"""


@dataclass(frozen=True)
class Line:
    """A curve, and a band of `spread` above and below it."""

    name: str
    color: str
    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray
    dash: str = ""


@dataclass(frozen=True)
class Panel:
    """One plot; later lines lie on top."""

    title: str
    lines: list[Line]


@dataclass(frozen=True)
class Group:
    """Panels of one kind, `columns` in a row.

    `shared`: all on the same scales. `zero`: y begins at 0 if the lowest value is below half of the highest.
    """

    heading: str
    x_label: str
    panels: list[Panel]
    columns: int
    shared: bool
    zero: bool = True


@dataclass(frozen=True)
class Frame:
    """Where a panel lies, in pixels; x runs from 0 to `x_end`, y over its ticks."""

    left: float
    top: float
    width: float
    x_end: float
    y_ticks: list[float]

    def x(self, values: np.ndarray) -> np.ndarray:
        """Pixels from the left."""
        return self.left + values / self.x_end * self.width

    def y(self, values: np.ndarray) -> np.ndarray:
        """Pixels from the top."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.top + PLOT - (values - low) / (high - low) * PLOT


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers, some `about` of them, from at most `low` to at least `high`."""
    raw = max(high - low, 1e-9) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def draw(groups: Sequence[Group]) -> str:
    """An SVG file's text."""
    parts, top = [], 16.0
    for group in groups:
        text, top = _group(group, top)
        parts.append(text)
    size = f'viewBox="0 0 {WIDTH} {top:.0f}" width="{WIDTH}" height="{top:.0f}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>\n",
    ])  # fmt: skip


def _group(group: Group, top: float) -> tuple[str, float]:
    """A group's elements, and where the next one begins."""
    parts = [_text(MARGIN, top + 14, group.heading, "heading"), _legend(group, top + 36)]
    width = (WIDTH - 12) / group.columns
    for number, panel in enumerate(group.panels):
        row, column = divmod(number, group.columns)
        beside = group.panels if group.shared else [panel]
        x_end = max(float(line.x.max()) for each in beside for line in each.lines)
        corner = (MARGIN + column * width, top + HEAD + 18 + row * (PLOT + FOOT + GAP - 16))
        frame = Frame(*corner, width - MARGIN - 10, x_end, _range(beside, group.zero))
        parts.append(_panel(panel, frame, group.x_label))
    rows = -(-len(group.panels) // group.columns)
    return "\n".join(parts), top + HEAD + 18 + rows * (PLOT + FOOT + GAP - 16) + 8


def _range(panels: Sequence[Panel], zero: bool) -> list[float]:
    lines = [line for panel in panels for line in panel.lines]
    low = min(float((line.y - line.spread).min()) for line in lines)
    high = max(float((line.y + line.spread).max()) for line in lines)
    return ticks(min(low, 0.0) if zero and low < high / 2 else low, high, 4)


def _legend(group: Group, y: float) -> str:
    """Every line's name once, in a row."""
    parts, left = [], float(MARGIN)
    named = {line.name: line for panel in group.panels for line in panel.lines}
    for line in named.values():
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        mark = f'<path class="line" stroke="{line.color}"{dash} d="M{left:.1f} {y - 4:.1f} h24"/>'
        parts += [mark, _text(left + 30, y, line.name)]
        left += 30 + 7 * len(line.name) + 26
    return "\n".join(parts)


def _panel(panel: Panel, frame: Frame, x_label: str) -> str:
    """Grid, axes, ticks, bands, lines."""
    bottom, right = frame.top + PLOT, frame.left + frame.width
    parts = [_text(frame.left, frame.top - 8, panel.title, "title")]
    for value, y in zip(frame.y_ticks, frame.y(np.array(frame.y_ticks)), strict=True):
        parts.append(f'<path class="grid" d="M{frame.left:.1f} {y:.1f} H{right:.1f}"/>')
        parts.append(_text(frame.left - 7, y + 4, f"{value:g}", anchor="end"))
    shown = [value for value in ticks(0, frame.x_end, 5) if value <= frame.x_end]
    for value, x in zip(shown, frame.x(np.array(shown)), strict=True):
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom:.1f} v4"/>')
        parts.append(_text(x, bottom + 18, f"{value:g}", anchor="middle"))
    parts.append(_text(right, bottom + 34, x_label, anchor="end"))
    parts.append(f'<path class="axis" d="M{frame.left:.1f} {frame.top:.1f} V{bottom:.1f} H{right:.1f}"/>')
    parts += [_band(line, frame) for line in panel.lines]
    parts += [_curve(line, frame) for line in panel.lines]
    return "\n".join(parts)


def _band(line: Line, frame: Frame) -> str:
    x = np.concatenate([line.x, line.x[::-1]])
    y = np.concatenate([line.y + line.spread, (line.y - line.spread)[::-1]])
    return f'<path class="band" fill="{line.color}" d="{_points(frame.x(x), frame.y(y))} Z"/>'


def _curve(line: Line, frame: Frame) -> str:
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return f'<path class="line" stroke="{line.color}"{dash} d="{_points(frame.x(line.x), frame.y(line.y))}"/>'


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
