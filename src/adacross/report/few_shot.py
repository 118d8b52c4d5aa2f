"""Few-shot episodes: how far a few labels reach."""

from typing import Any

from adacross.evaluation.compare.comparison import points
from adacross.evaluation.few_shot.measure import FewShotResult, SettingResult
from adacross.report.html import Html, Section, count, join, percent, plot, plural, table, tag
from adacross.report.inputs import RunData
from adacross.report.names import METHODS
from adacross.report.plots import axis, layout

_ROW = 92  # pixels a setting
_APART = 0.2  # of the two encoders' dots from their setting's line


def few_shot(data: RunData, result: FewShotResult) -> Section:
    """Return a table of the settings and a dot for every episode."""
    ours = result.protocol == "ours"
    anchor = "few-shot" if ours else f"few-shot-{result.protocol}"
    title = "Few-shot" if ours else f"Few-shot, as {METHODS.get(result.protocol, result.protocol)} measures"
    intro = (
        f"An episode draws classes of “{result.data}” (ways) and a few labeled training shapes of each "
        f"(shots), then classifies others: {result.asked}. {count(result.points)} points a shape; "
        f"{result.classifier}."
    )
    body: list[str] = [tag("p", intro)]
    if result.queries_from == "train":
        warning = "The queries are training shapes, as published: pre-training may have seen them."
        body.append(tag("p", tag("b", "Not to be compared with other protocols. "), warning))
    body += [_table(result), _legend(), _plot(result, f"{anchor}-plot")]
    return Section(anchor, title, join(body), {f"{anchor}-plot": _figure(result)})


def _table(result: FewShotResult) -> Html:
    rows = [
        [
            row.name,
            percent(row.chance, 0),
            tag("b", f"{100 * row.pretrained.mean:.1f} ± {100 * row.pretrained.std:.1f}\u00a0%"),
            f"{100 * row.untrained.mean:.1f} ± {100 * row.untrained.std:.1f}\u00a0%",
            f"{_signed(row.gain.mean)} ± {100 * row.gain.std:.1f}",
            f"{sum(gain > 0 for gain in row.gain.values)} of {len(row.gain.values)}",
        ]
        for row in result.settings
    ]
    columns = ("setting", "chance", "pre-trained", "untrained", "gain, points", "better in")
    told = [f"{result.spread[0].upper()}{result.spread[1:]}."]
    told += [f"{name} is left out: {reason}." for name, reason in result.left_out.items()]
    told += [_never_drawn(row) for row in result.settings if row.without]
    if result.episodes:
        told.append(f"The episodes are in {result.episodes}.")
    return table(f"Few-shot on {result.data}", columns, rows, note=" ".join(told), class_="numbers")


def _never_drawn(row: SettingResult, most: int = 8) -> str:
    more = f" and {len(row.without) - most} more" if len(row.without) > most else ""
    return f"{row.name} never draws {', '.join(row.without[:most])}{more}: too few shapes."


def _signed(difference: float) -> str:
    return points(difference).replace("-", "−")


def _legend() -> Html:
    return tag(
        "p", tag("span", "● pre-trained"), tag("span", "◇ untrained"), tag("span", "┃ mean"),
        tag("span", "a line joins the two in the same episode"), class_="legend",
    )  # fmt: skip


def _plot(result: FewShotResult, anchor: str) -> Html:
    said = "; ".join(
        f"{row.name}: {percent(row.pretrained.mean)} pre-trained, {percent(row.untrained.mean)} untrained, "
        f"better in {sum(gain > 0 for gain in row.gain.values)} of {plural(len(row.gain.values), 'episode')}"
        for row in result.settings
    )
    style = f"height:{_ROW * len(result.settings) + 60}px"
    return plot(anchor, f"Accuracy of every episode. {said}.", style=style)


def _figure(result: FewShotResult) -> dict[str, Any]:
    size = len(result.settings)
    pairs: dict[str, list[float | None]] = {"x": [], "y": []}
    for place, row in enumerate(result.settings):
        for high, low in zip(row.pretrained.values, row.untrained.values, strict=True):
            pairs["x"] += [round(high, 4), round(low, 4), None]
            pairs["y"] += [place - _APART, place + _APART, None]
    lines = {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "opacity": 0.4,
        "line": {"color": "--muted", "width": 1}, **pairs,
    }  # fmt: skip
    data = [lines]
    for arm, side, symbol, color in (
        ("pretrained", -_APART, "circle", "--line-1"),
        ("untrained", _APART, "diamond-open", "--line-2"),
    ):
        data += [_dots(result, arm, side, symbol, color), _means(result, arm, side, color)]
    return {
        "kind": "plot",
        "data": data,
        "layout": layout(
            xaxis=axis("accuracy", tickformat=".0%"),
            yaxis=axis(
                tickvals=list(range(size)), ticktext=[row.name for row in result.settings],
                range=[size - 0.5, -0.5], showgrid=False, tickfont={"color": "--ink", "size": 12},
            ),
            showlegend=False,
            dragmode=False,
        ),
    }  # fmt: skip


def _dots(result: FewShotResult, arm: str, side: float, symbol: str, color: str) -> dict[str, Any]:
    """Plot every episode of every setting."""
    said = "pre-trained" if arm == "pretrained" else "untrained"
    values = [(place, number, value) for place, row in enumerate(result.settings)
              for number, value in enumerate(getattr(row, arm).values, start=1)]  # fmt: skip
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(value, 4) for _, _, value in values],
        "y": [place + side for place, _, _ in values],
        "text": [f"episode {number}, {said}: {percent(value)}" for _, number, value in values],
        "hoverinfo": "text",
        "marker": {"symbol": symbol, "size": 8, "color": color, "opacity": 0.75},
    }


def _means(result: FewShotResult, arm: str, side: float, color: str) -> dict[str, Any]:
    means = [getattr(row, arm).mean for row in result.settings]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(mean, 4) for mean in means],
        "y": [place + side for place in range(len(means))],
        "text": [f"mean: {percent(mean)}" for mean in means],
        "hoverinfo": "text",
        "marker": {"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": color}},
    }
