"""Label efficiency of fine-tuning: accuracy by label fraction, pre-trained and from scratch."""

from typing import TYPE_CHECKING, Any

from adacross.report.html import Section, join, plot, plural, table, tag
from adacross.report.inputs import RunData
from adacross.report.plots import axis, layout

if TYPE_CHECKING:
    from adacross.evaluation.fine_tune import Arm, FineTuneResult

_STARTS = (("pre-trained", "pretrained", "circle", "solid"), ("from scratch", "scratch", "square", "dash"))


def fine_tuning(data: RunData, result: "FineTuneResult") -> Section:
    """Return the curves, with more than one fraction, and the table."""
    protocol = f"{result.protocol[:1].upper()}{result.protocol[1:]}"
    body = [
        tag(
            "p",
            f"The whole network was trained with a label fraction of {plural(result.train, 'shape')} of "
            f"“{result.data}” and scored on {plural(result.test, 'test shape')} it had not seen. “From "
            "scratch” is the same network with fresh weights, the same shapes, order and head.",
        )
    ]
    figures: dict[str, dict[str, Any]] = {}
    if len(result.labels) > 1:
        figures["fine-tune-plot"] = _figure(result)
        body.append(plot("fine-tune-plot", _spoken(result), class_="curve"))
    columns = ["labels", "shapes", "start", "accuracy", "each seed, %", "mean over classes"]
    columns += [f"{result.votes} votes"] if result.votes else []
    rows = [
        [f"{100 * row.fraction:g} %", f"{row.shapes:,}", name, *_cells(getattr(row, arm))]
        for row in result.labels
        for name, arm, _, _ in _STARTS
    ]
    note = f"{protocol}; {plural(result.points, 'point')}. {result.spread[:1].upper()}{result.spread[1:]}."
    body.append(table(f"Fine-tuning on {result.data}", columns, rows, note=note))
    return Section("fine-tuning", "Fine-tuning", join(body), figures)


def _cells(arm: "Arm") -> list[str]:
    voted = [str(arm.voted)] if arm.voted else []
    return [str(arm.overall), arm.overall.each, str(arm.per_class), *voted]


def _spoken(result: "FineTuneResult") -> str:
    parts = [
        f"{100 * row.fraction:g} % of labels: {row.pretrained.overall} pre-trained, {row.scratch.overall} "
        "from scratch"
        for row in result.labels
    ]
    return f"Accuracy against labels. {'; '.join(parts)}."


def _figure(result: "FineTuneResult") -> dict[str, Any]:
    rows = sorted(result.labels, key=lambda row: row.fraction)
    traces = []
    for index, (name, arm, symbol, dash) in enumerate(_STARTS, start=1):
        figures = [getattr(row, arm).overall for row in rows]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [row.fraction for row in rows],
                "y": [round(figure.mean, 4) for figure in figures],
                "error_y": {
                    "array": [round(figure.std, 4) for figure in figures],
                    "color": f"--line-{index}",
                },
                "line": {"width": 1.8, "dash": dash, "color": f"--line-{index}"},
                "marker": {"size": 8, "symbol": symbol},
                "hovertemplate": "%{y:.1%}",
            }
        )
    ticks = [row.fraction for row in rows]
    return {
        "kind": "plot",
        "data": traces,
        "layout": layout(
            xaxis=axis(
                "label fraction",
                type="log",
                tickvals=ticks,
                ticktext=[f"{100 * tick:g} %" for tick in ticks],
            ),
            yaxis=axis("accuracy", tickformat=".0%", rangemode="tozero"),
            hovermode="x unified",
            margin={"l": 60, "r": 16, "t": 8, "b": 60},
        ),
    }
