"""Figures as plain values, which `templates/figures.html.j2` draws as SVG.

Pure functions from data to positions: in per cent of a plot's width or height, or in thousandths in paths
(y down), so that a figure stretches with the page while its text keeps its size. Colors are numbers of the
page's classes `c1` to `c6`, which follow its theme; `c0` is gray.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from adacross.errors import shortened
from adacross.features.statistics import Difference, Estimate
from adacross.report.page import percent

COLORS = 6  # of lines, in style.css
MARKS = 8  # shapes of dots on a map, in templates/figures.html.j2
_MOST = 400  # points a curve; more are averaged in bins
_MARKED = 40  # points of a curve whose points are marked, at most
_SPAN = 10  # curves whose largest value is so many times the smallest may have a logarithmic axis
_CHARACTERS = 18  # of a name on a map

Values = Float[np.ndarray, " n"]
Tick = tuple[float, str]  # position in per cent, and text
Dot = tuple[str, str, int, Estimate | Difference]  # group, name, number of the color, figure
Figure = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Series:
    """A named line: x rising, y NaN where there is no value, ends of intervals or None; all `(n,)`."""

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_title: str = "step",
    x_ticks: Sequence[tuple[float, str]] = (),
    y_range: tuple[float, float] | None = None,
    share: bool = False,
    smooth: bool = False,
) -> Figure | None:
    """Draw series as lines, in the order of the legend; None if no series has a value.

    Shares are in per cent. What is `smooth`, such as a loss, is smoothed, and has a logarithmic axis if it
    spans orders of magnitude. The vertical axis begins at 0 otherwise, if no range is given; ticks are round
    numbers by default.
    """
    known = [one if one.low is not None else thin(one) for one in series if np.isfinite(one.y).any()]
    if not known:
        return None
    every = np.concatenate([part for one in known for part in (one.y, one.low, one.high) if part is not None])
    smallest, largest = float(every.min()), float(every.max())
    logarithmic = smooth and smallest > 0 and largest > _SPAN * smallest
    if logarithmic:
        title, smallest, largest = f"{title}, logarithmic", math.log10(smallest), math.log10(largest)
    low, high = y_range or _widened(smallest if smooth else min(0.0, smallest), largest)
    left, right = min(float(one.x.min()) for one in known), max(float(one.x.max()) for one in known)
    if left == right:
        x_ticks, left, right = x_ticks or [(left, f"{left:g}")], left - 0.5, right + 0.5

    def across(x: Values) -> Values:
        return 1000 * (x - left) / (right - left)

    def down(y: Values) -> Values:
        return 1000 * (1 - ((np.log10(y) if logarithmic else y) - low) / (high - low))

    lines = []
    for number, one in enumerate(known):
        x, y, bars, marks = across(one.x), down(one.y), "", ""
        if one.low is not None and one.high is not None:
            ends = zip(x, down(one.low), down(one.high), strict=True)
            bars = "".join(f"M{at:.0f} {a:.0f}V{b:.0f}" for at, a, b in ends if a != b)
        if len(x) < _MARKED and not smooth:
            marks = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(x, y, strict=True))
        smoothed = _path(x, down(moving_average(one.y))) if smooth else ""
        line = {"path": _path(x, y), "smooth": smoothed, "marks": marks, "bars": bars}
        lines.append(line | {"name": one.name, "color": number % COLORS + 1})
    say = percent if share else "{:.3g}".format
    said = "; ".join(f"{one.name} from {say(one.y[0])} to {say(one.y[-1])}" for one in known)
    return {
        "title": title,
        "description": f"{title}, over {x_title}: {said}.",
        "lines": lines,
        "x_title": x_title,
        "x_ticks": [(float(across(np.array([at]))[0]) / 10, text) for at, text in x_ticks]
        or axis_ticks(left, right),
        "y_ticks": log_ticks(low, high) if logarithmic else axis_ticks(low, high, share=share),
        "window": (left, right, low, high),
        "logarithmic": logarithmic,
        "share": share,
        "legend": len(lines) > 1 or known[0].name.lower() not in title.lower(),
    }


def dot_chart(title: str, rows: Sequence[Dot]) -> Figure:
    """Draw figures with their intervals below each other."""
    each = [(figure.mean, *ends(figure)) for *_, figure in rows]
    low, high = _widened(min(map(min, each)), max(map(max, each)))
    dots: list[Figure] = []
    for (group, name, color, figure), values in zip(rows, each, strict=True):
        at, left, right = (round(100 * (value - low) / (high - low), 2) for value in values)
        text = str(figure).replace(" %", "\u00a0%")
        dots.append({"group": group, "name": name, "color": color, "text": text, "at": at})
        dots[-1]["bar"] = (left, right) if left < right else None
    said = "; ".join(" ".join(filter(None, (dot["group"], dot["name"], dot["text"]))) for dot in dots)
    ticks = axis_ticks(low, high, share=True)
    return {"title": title, "description": f"{title}: {said}.", "dots": dots, "ticks": ticks}


def scatter(
    description: str,
    xy: Float[np.ndarray, "n 2"],
    names: Sequence[str],
    members: Int64[np.ndarray, " n"],
    colors: Sequence[str],
) -> Figure:
    """Draw points of groups; a group's name stands at its point nearest to the middle of the others.

    `members` number each point's group, -1 for none; the last color is of points without a group.
    """
    low, extent = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-9)
    places = 3 + 94 * (xy - low) / extent  # room for dots at the edge
    places[:, 1] = 100 - places[:, 1]
    groups, labels = [], []
    for number in [*range(len(names)), -1]:
        inside = np.flatnonzero(members == number)
        if not len(inside):
            continue
        name, own = (names[number] if number >= 0 else ""), places[inside].round(2)
        dots = [(int(i), *point) for i, point in zip(inside, own.tolist(), strict=True)]
        groups.append((name, colors[number], max(number, 0) % MARKS, dots))
        middle = own[np.linalg.norm(own - np.median(own, axis=0), axis=1).argmin()].tolist()
        labels += [(shortened(name, _CHARACTERS), *middle)] if name else []
    aspect = float(np.clip(extent[0] / extent[1], 0.6, 2.0))
    return {"description": description, "aspect": aspect, "groups": groups, "labels": labels}


def ends(figure: Estimate | Difference) -> tuple[float, float]:
    """Return the ends of a figure's interval, or one standard deviation away; the figure without either."""
    if isinstance(figure, Estimate) and figure.std is not None:
        return figure.mean - figure.std, figure.mean + figure.std
    low, high = (figure.mean if end is None else end for end in (figure.low, figure.high))
    return low, high


def axis_ticks(low: float, high: float, *, share: bool = False, most: int = 5) -> list[Tick]:
    """Return round numbers within a range, at most `most` and one.

    Example:
        >>> [text for _, text in axis_ticks(0.0, 4.0)]
        ['0', '1', '2', '3', '4']
    """
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(size * scale for size in (1, 2, 5, 10) if size * scale >= rough * 0.999)
    values = step * np.arange(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)
    digits = max(0, -math.floor(math.log10(100 * step if share else step)))
    exact = "{:,." + str(digits) + "f}" if digits < 4 else "{:.3g}"
    texts = [percent(value, digits) if share else exact.format(value) for value in values + 0.0]
    places = (100 * (values - low) / (high - low)).tolist()
    return [(at, text.replace("-", "−")) for at, text in zip(places, texts, strict=True)]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Return ticks of a logarithmic axis, given its ends as logarithms: 1, 2 and 5 times powers of 10."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    values = [size * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for size in factors]
    places = [(100 * (math.log10(value) - low) / (high - low), f"{value:g}") for value in values]
    return [(at, text) for at, text in places if -0.1 <= at <= 100.1]


def thin(one: Series, most: int = _MOST) -> Series:
    """Return a curve of at most `most` points: means over bins of equally many values, ignoring NaN."""
    known = np.isfinite(one.y)
    x, y = one.x[known].astype(np.float64), one.y[known].astype(np.float64)
    if len(y) <= most:
        return Series(one.name, x, y)
    starts = np.linspace(0, len(y), most, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(y)))
    return Series(one.name, np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes)


def moving_average(values: Values) -> Values:
    """Return an exponential moving average over a fortieth of the values, without a bias to 0."""
    from scipy.signal import lfilter

    keep = 1 - 1 / max(2.0, len(values) / 40)
    weights = 1 - keep ** np.arange(1, len(values) + 1)
    return lfilter([1 - keep], [1, -keep], values) / weights


def _path(x: Values, y: Values) -> str:
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True))


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return a range with some room above and, unless it begins at 0, below."""
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low if low == 0 else low - room, high + room
