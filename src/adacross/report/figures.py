"""Figures as plain values: curves, dots with intervals, scatter plots.

Pure functions from data to what `templates/figures.html.j2` draws as SVG. Positions are shares of the plot's
width or height in per cent, or thousandths in paths, so that a figure stretches with the page while its text
keeps its size. Colors are classes (`c1` to `c6`) that follow the page's theme.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from adacross.features.statistics import Estimate
from adacross.report.page import percent

COLORS = 6  # of lines, in style.css
MARKS = 8  # shapes of dots on a map, in templates/figures.html.j2
_MOST = 400  # points a curve; more are averaged in bins
_SPAN = 10  # curves whose largest value is so many times the smallest may have a logarithmic axis
_CHARACTERS = 18  # of a name inside a figure

Values = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Tick:
    """A labeled position on an axis, in per cent of its length."""

    at: float
    text: str


@dataclass(frozen=True, eq=False)
class Series:
    """Values to draw as a line.

    Attributes:
        name: for the legend.
        x: `(n,)`, rising.
        y: `(n,)`; NaN where there is none.
        low: `(n,)` lower ends of intervals, or None.
        high: `(n,)` upper ends.
    """

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None


@dataclass(frozen=True)
class Line:
    """A line as drawn: paths in thousandths of the plot, y down.

    Attributes:
        name: for the legend.
        color: its number, from 1; even ones are dashed where lines have marks.
        path: through all points.
        smooth: the same, smoothed; empty if it is not.
        marks: of the points, if they are few.
        bars: of the intervals.
    """

    name: str
    color: int
    path: str
    smooth: str
    marks: str
    bars: str


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis.

    Attributes:
        title: above the plot.
        description: read aloud instead of the plot.
        lines: in the order of the legend.
        x_ticks: of the horizontal axis.
        y_ticks: of the vertical axis.
        x_title: name of the horizontal axis.
        window: smallest and largest x, smallest and largest y (their logarithms on a logarithmic axis).
        logarithmic: True for a logarithmic vertical axis.
        share: True if values are shares, shown in per cent.
        legend: True if lines are named.
    """

    title: str
    description: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_title: str
    window: tuple[float, float, float, float]
    logarithmic: bool
    share: bool
    legend: bool


@dataclass(frozen=True)
class Dot:
    """A figure with its interval, in per cent of the plot's width."""

    group: str
    name: str
    color: int
    at: float
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class DotChart:
    """Figures with intervals below each other."""

    title: str
    description: str
    dots: list[Dot]
    ticks: list[Tick]


@dataclass(frozen=True)
class Scatter:
    """Dots on a plane.

    Attributes:
        description: read aloud instead of the plot.
        aspect: width over height.
        groups: name, color, mark (below `MARKS`), and dots as (number, x, y) in per cent, y down.
        labels: name and position of each group.
    """

    description: str
    aspect: float
    groups: list[tuple[str, str, int, list[tuple[int, float, float]]]]
    labels: list[tuple[str, float, float]]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_title: str = "step",
    x_ticks: Sequence[tuple[float, str]] = (),
    y_range: tuple[float, float] | None = None,
    share: bool = False,
    smooth: bool = False,
) -> LineChart | None:
    """Draw series as lines; None if no series has a value.

    Args:
        title: above the plot.
        series: in the order of the legend.
        x_title: name of the horizontal axis.
        x_ticks: positions and texts; round numbers by default.
        y_range: of the vertical axis; from 0 to the largest value by default, or the values' own range for
            lines that are smoothed.
        share: True if values are shares.
        smooth: True for losses, which are smoothed, and have a logarithmic axis if they span orders of
            magnitude.
    """
    known = [_thinned(one) for one in series if np.isfinite(one.y).any()]
    if not known:
        return None
    every = np.concatenate([part for one in known for part in (one.y, one.low, one.high) if part is not None])
    logarithmic = smooth and bool(every.min() > 0 and every.max() > _SPAN * every.min())
    if logarithmic:
        title, low, high = f"{title}, logarithmic", math.log10(every.min()), math.log10(every.max())
    else:
        low, high = float(every.min()), float(every.max())
        low = low if smooth else min(0.0, low)
    low, high = y_range or _widened(low, high)
    left, right = min(float(one.x.min()) for one in known), max(float(one.x.max()) for one in known)
    if left == right:
        x_ticks, left, right = x_ticks or [(left, f"{left:g}")], left - 0.5, right + 0.5

    def across(x: Values) -> Values:
        return 1000 * (x - left) / (right - left)

    def down(y: Values) -> Values:
        scaled = np.log10(y) if logarithmic else y
        return 1000 * (1 - (scaled - low) / (high - low))

    lines = []
    for color, one in enumerate(known):
        x, y = across(one.x), down(one.y)
        bars = ""
        if one.low is not None and one.high is not None:
            ends = zip(x, down(one.low), down(one.high), strict=True)
            bars = "".join(f"M{at:.0f} {a:.0f}V{b:.0f}" for at, a, b in ends if a != b)
        lines.append(
            Line(
                name=one.name,
                color=color % COLORS + 1,
                path=_path(x, y),
                smooth=_path(x, down(smoothed(one.y))) if smooth else "",
                marks="".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(x, y, strict=True))
                if len(x) < 40
                else "",
                bars=bars,
            )
        )
    ticks = [Tick(float(across(np.array([at]))[0]) / 10, text) for at, text in x_ticks]
    said = "; ".join(f"{one.name} from {_say(one.y[0], share)} to {_say(one.y[-1], share)}" for one in known)
    return LineChart(
        title=title,
        description=f"{title}, over {x_title}: {said}.",
        lines=lines,
        x_ticks=ticks or axis_ticks(left, right),
        y_ticks=log_ticks(low, high) if logarithmic else axis_ticks(low, high, share=share),
        x_title=x_title,
        window=(left, right, low, high),
        logarithmic=logarithmic,
        share=share,
        legend=len(lines) > 1 or lines[0].name.lower() not in title.lower(),
    )


def dot_chart(title: str, rows: Sequence[tuple[str, str, int, Estimate]]) -> DotChart:
    """Draw figures with their intervals, or with ± a standard deviation.

    Args:
        title: above the plot.
        rows: group, name, number of the color (0 for gray), and the figure of each.
    """
    ends = [_ends(figure) for *_, figure in rows]
    low = min(min(figure.mean, a) for (*_, figure), (a, _) in zip(rows, ends, strict=True))
    high = max(max(figure.mean, b) for (*_, figure), (_, b) in zip(rows, ends, strict=True))
    low, high = _widened(low, high)

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    dots = [
        Dot(
            group=group,
            name=name,
            color=color,
            at=place(figure.mean),
            low=place(a) if a < b else None,
            high=place(b) if a < b else None,
            text=str(figure).replace(" %", "\u00a0%"),
        )
        for (group, name, color, figure), (a, b) in zip(rows, ends, strict=True)
    ]
    said = "; ".join(" ".join(filter(None, (dot.group, dot.name, dot.text))) for dot in dots)
    return DotChart(title, f"{title}: {said}.", dots, axis_ticks(low, high, share=True))


def scatter(
    description: str,
    xy: Float[np.ndarray, "n 2"],
    names: Sequence[str],
    members: Int64[np.ndarray, " n"],
    colors: Sequence[str],
) -> Scatter:
    """Draw points of several groups; a group's name stands at its point nearest to the middle of the others.

    Args:
        description: read aloud instead of the plot.
        xy: `(n, 2)` positions.
        names: of the groups.
        members: `(n,)` group of each point; -1 for none.
        colors: of the groups, then of points without one.
    """
    low, high = xy.min(axis=0), xy.max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    aspect = float(np.clip(extent[0] / extent[1], 0.6, 2.0))
    places = 3 + 94 * (xy - low) / extent  # room for dots at the edge
    places[:, 1] = 100 - places[:, 1]
    groups, labels = [], []
    for number in [*range(len(names)), -1]:
        inside = np.flatnonzero(members == number)
        if not len(inside):
            continue
        dots = [(int(i), round(float(places[i, 0]), 2), round(float(places[i, 1]), 2)) for i in inside]
        name = names[number] if number >= 0 else ""
        groups.append((name, colors[number], number % MARKS if number >= 0 else 0, dots))
        if name:
            own = places[inside]
            middle = own[np.linalg.norm(own - np.median(own, axis=0), axis=1).argmin()]
            labels.append((shortened(name), float(middle[0]), float(middle[1])))
    return Scatter(description, aspect, groups, labels)


def axis_ticks(low: float, high: float, *, share: bool = False, most: int = 5) -> list[Tick]:
    """Return round numbers within a range, at most `most` and one.

    Example:
        >>> [tick.text for tick in axis_ticks(0.0, 0.83, share=True)]
        ['0 %', '20 %', '40 %', '60 %', '80 %']
    """
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(size * scale for size in (1, 2, 5, 10) if size * scale >= rough * 0.999)
    values = step * np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    digits = max(0, -math.floor(math.log10(100 * step if share else step)))

    def text(value: float) -> str:
        if share:
            return percent(value + 0.0, digits)
        return f"{value + 0.0:,.{digits}f}" if digits < 4 else f"{value + 0.0:.3g}"

    return [Tick(100 * (float(value) - low) / (high - low), text(float(value))) for value in values]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Return ticks of a logarithmic axis, given its ends as logarithms: 1, 2 and 5 times powers of 10."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    values = [size * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for size in factors]
    places = [(100 * (math.log10(value) - low) / (high - low), value) for value in values]
    return [Tick(at, f"{value:g}") for at, value in places if -0.1 <= at <= 100.1]


def thin(x: Values, y: Values, most: int = _MOST) -> tuple[Values, Values]:
    """Return a curve of at most `most` points: means over bins of equally many values, ignoring NaN."""
    known = np.isfinite(y)
    x, y = x[known].astype(np.float64), y[known].astype(np.float64)
    if len(y) <= most:
        return x, y
    starts = np.linspace(0, len(y), most, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(y)))
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def smoothed(values: Values) -> Values:
    """Return an exponential moving average over a fortieth of the values, without a bias to the start."""
    keep = 1 - 1 / max(2.0, len(values) / 40)
    mean, weight, result = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * float(value), keep * weight + (1 - keep)
        result.append(mean / weight)
    return np.array(result)


def shortened(name: str) -> str:
    """Return a name short enough for a figure."""
    return name if len(name) <= _CHARACTERS else f"{name[: _CHARACTERS - 1]}…"


def _thinned(one: Series) -> Series:
    if one.low is not None:
        return one
    return Series(one.name, *thin(one.x, one.y))


def _path(x: Values, y: Values) -> str:
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True))


def _ends(figure: Estimate) -> tuple[float, float]:
    if figure.std is not None:
        return figure.mean - figure.std, figure.mean + figure.std
    if figure.low is None or figure.high is None:
        return figure.mean, figure.mean
    return figure.low, figure.high


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return a range with some room above and, unless it begins at 0, below."""
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low if low == 0 else low - room, high + room


def _say(value: float, share: bool) -> str:
    return percent(float(value)) if share else f"{value:.3g}"
