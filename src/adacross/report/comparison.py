"""Comparison of encoders under the same seeds."""

from typing import Any

from adacross.evaluation.compare.comparison import ComparedRow, Comparison, points
from adacross.report.html import Html, Section, count, join, percent, plot, table, tag
from adacross.report.inputs import RunData
from adacross.report.plots import axis, layout, plot_text

_MEASURED = {"linear": "Linear probe", "few-shot": "Few-shot episodes", "retrieval-shape": "Retrieval"}
_ROW = 44  # pixels an entry
_NAME = 24  # letters of a name that a figure shows
_APART = 0.18  # of the seeds' dots from their entry's line


def comparison(data: RunData, result: Comparison) -> Section:
    """Return the table, every seed's figure, and the differences with their intervals."""
    learnt = f"{count(result.train)} training shapes, " if result.train else ""
    what = _MEASURED.get(result.measured, result.measured)
    intro = (
        f"{what} on “{result.data}”, {count(result.points)} points a shape: {result.protocol}. "
        f"{learnt}{count(result.test)} test shapes. Every entry was measured under the same "
        f"{len(result.seeds)} seeds."
    )
    figures = {"compare-values": _values(result)}
    style = f"height:{_ROW * len(result.rows) + 70}px"
    said = "; ".join(f"{row.name}: {percent(row.accuracy.mean)}" for row in result.rows)
    boxes = [
        tag(
            "figure",
            tag("figcaption", f"{result.figure}: ○ every seed, ◆ mean, bar: ± standard deviation"),
            plot("compare-values", f"{result.figure} of every seed. {said}.", style=style),
        )
    ]
    tested = [row for row in result.rows if row.difference]
    if tested:
        figures["compare-differences"] = _differences(result, tested)
        said = "; ".join(f"{row.name}: {_told(row)}" for row in tested)
        boxes.append(
            tag(
                "figure",
                tag("figcaption", f"difference to {result.baseline}: ◆ mean, bar: 95 % interval"),
                plot("compare-differences", f"Differences to {result.baseline}. {said}.", style=style),
            )
        )
    body = [tag("p", intro), _table(result), tag("div", *boxes, class_="grid-2")]
    return Section("compare", "Comparison", join(body), figures)


def _table(result: Comparison) -> Html:
    columns = ("encoder", result.figure, "each seed, %", "difference, points", "95 % interval", "p (Holm)")
    rows = [
        [
            row.name,
            tag("b", f"{100 * row.accuracy.mean:.1f} ± {100 * row.accuracy.std:.1f}\u00a0%"),
            " · ".join(f"{100 * value:.1f}" for value in row.accuracy.values),
            _points(row.difference.mean) if row.difference else "baseline",
            "–" if row.low is None or row.high is None else f"{_points(row.low)} to {_points(row.high)}",
            "–" if row.p_holm is None else "< 0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}",
        ]
        for row in result.rows
    ]
    notes = [f"{note[0].upper()}{note[1:].rstrip('.')}." for note in (result.spread, *result.notes)]
    return table(f"Comparison on {result.data}", columns, rows, note=" ".join(notes), class_="numbers probe")


def _points(difference: float) -> str:
    return points(difference).replace("-", "−")


def _told(row: ComparedRow) -> str:
    """Describe a difference."""
    mean = _points(row.difference.mean) if row.difference else "0"
    if row.low is None or row.high is None:
        return f"{mean} points"
    return f"{mean} points, interval {_points(row.low)} to {_points(row.high)}"


def _values(result: Comparison) -> dict[str, Any]:
    rows = result.rows
    seeds = [
        (place, seed, value)
        for place, row in enumerate(rows)
        for seed, value in zip(result.seeds, row.accuracy.values, strict=True)
    ]
    dots = {
        "type": "scatter", "mode": "markers", "hoverinfo": "text",
        "x": [round(value, 4) for _, _, value in seeds],
        "y": [place + _APART for place, _, _ in seeds],
        "text": [f"seed {seed}: {percent(value)}" for _, seed, value in seeds],
        "marker": {"symbol": "circle-open", "size": 8, "color": "--muted"},
    }  # fmt: skip
    spread = [round(row.accuracy.std, 4) for row in rows]
    means = _intervals([row.accuracy.mean for row in rows], spread, spread, range(len(rows)))
    means["text"] = [f"{plot_text(row.name)}: {row.accuracy}" for row in rows]
    return _plain([dots, means], rows, axis(tickformat=".0%"))


def _differences(result: Comparison, tested: list[ComparedRow]) -> dict[str, Any]:
    rows = result.rows
    places = [rows.index(row) for row in tested]
    means = [100 * row.difference.mean for row in tested if row.difference]
    above = [
        0.0 if row.high is None else 100 * row.high - mean for row, mean in zip(tested, means, strict=True)
    ]
    below = [
        0.0 if row.low is None else mean - 100 * row.low for row, mean in zip(tested, means, strict=True)
    ]
    marks = _intervals(means, above, below, places)
    marks["text"] = [f"{plot_text(row.name)}: {_told(row)}" for row in tested]
    zero = {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "x": [0, 0], "y": [-0.5, len(rows) - 0.5],
        "line": {"color": "--muted", "width": 1, "dash": "dot"},
    }  # fmt: skip
    return _plain([zero, marks], rows, axis("percentage points"))


def _intervals(means: list[float], above: list[float], below: list[float], places: Any) -> dict[str, Any]:
    """Plot means with error bars."""
    return {
        "type": "scatter", "mode": "markers", "hoverinfo": "text",
        "x": [round(mean, 4) for mean in means], "y": [float(place) for place in places],
        "error_x": {
            "type": "data", "symmetric": False, "color": "--line-1", "thickness": 2, "width": 5,
            "array": [round(value, 4) for value in above], "arrayminus": [round(value, 4) for value in below],
        },
        "marker": {"symbol": "diamond", "size": 10, "color": "--line-1"},
    }  # fmt: skip


def _plain(data: list[dict[str, Any]], rows: list[ComparedRow], horizontal: dict[str, Any]) -> dict[str, Any]:
    """Return a figure with one entry a line."""
    short = [row.name if len(row.name) <= _NAME else f"{row.name[: _NAME - 1]}…" for row in rows]
    vertical = axis(
        tickvals=list(range(len(rows))), ticktext=[plot_text(name) for name in short],
        range=[len(rows) - 0.5, -0.5], showgrid=False, tickfont={"color": "--ink", "size": 12},
    )  # fmt: skip
    return {
        "kind": "plot",
        "data": data,
        "layout": layout(xaxis=horizontal, yaxis=vertical, showlegend=False, dragmode=False),
    }
