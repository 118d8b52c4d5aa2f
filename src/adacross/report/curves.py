"""Curves over training: losses, weights, monitor, learning rate."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from adacross.report import commands
from adacross.report.html import Html, Section, join, missing, percent, plot, tag
from adacross.report.inputs import Log, RunData
from adacross.report.plots import LINES, axis, layout, numbers, plot_text

_MOST = 1500  # points a curve; more are averaged in bins
_SPAN = 10  # losses whose largest value is so many times the smallest share a logarithmic axis
_MONITOR = {"probe_accuracy": "probe accuracy", "recall_at_1": "recall@1"}

Curve = tuple[str, Float[np.ndarray, " S"]]


def curves(data: RunData) -> Section:
    """Return four small figures over steps, and the switch that smooths them."""
    log = data.log
    if not len(log.steps):
        return Section("training", "Training", missing("The log has no steps yet.", commands.resume(data)))
    loss = [(name, values) for name, values in log.terms.items()]
    if len(loss) != 1:
        loss.insert(0, ("weighted total", log.values["loss"]))
    figures: dict[str, dict[str, Any]] = {}
    boxes = [
        _box(figures, "curve-loss", "Loss terms", log.steps, loss, smooth=True),
        _box(figures, "curve-weights", "Loss weights", log.steps, list(log.weights.items())),
        _monitor_box(figures, log),
        _box(figures, "curve-lr", "Learning rate", log.steps, [("learning rate", log.values["lr"])]),
    ]
    switch = tag(
        "label",
        tag("input", type="checkbox", id="smooth", checked=True),
        " smooth losses",
        class_="switch",
    )
    body = [tag("p", switch), tag("div", *boxes, class_="grid-2")]
    if log.truncated:
        body.append(tag("p", "The last line of the log is incomplete and ignored.", class_="note"))
    return Section("training", "Training", join(body), figures)


def thin(
    steps: Int64[np.ndarray, " S"], values: Float[np.ndarray, " S"], most: int = _MOST
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Return a curve of at most `most` points: means over bins of equally many steps, ignoring NaN."""
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    if len(values) <= most:
        return steps.astype(np.float64), values.astype(np.float64)
    starts = np.linspace(0, len(values), most, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(steps, starts) / sizes, np.add.reduceat(values, starts) / sizes


def _box(
    figures: dict[str, dict[str, Any]],
    anchor: str,
    title: str,
    steps: Int64[np.ndarray, " S"],
    named: list[Curve],
    *,
    smooth: bool = False,
    share: bool = False,
) -> Html:
    """Return a figure with its caption, or a note if there are no values.

    Curves that are to be smoothed are losses, whose terms may differ by orders of magnitude: their axis is
    logarithmic if their values do, so that each can be read. The others' begins at 0.
    """
    known = [(name, *thin(steps, values)) for name, values in named if np.isfinite(values).any()]
    if not known:
        return tag("figure", tag("figcaption", title), tag("p", "Not in the log.", class_="note"))
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(y) < 40 else "lines",
            "name": plot_text(name),
            "x": numbers(x, 7),
            "y": numbers(y),
            "line": {"width": 1.8, "color": LINES[index % len(LINES)]},
            "marker": {"size": 5},
            "hovertemplate": "%{y:.1%}" if share else "%{y:.4g}",
        }
        for index, (name, x, y) in enumerate(known)
    ]
    logarithmic = smooth and _spans([y for _, _, y in known])
    if logarithmic:
        vertical, title = axis(type="log"), f"{title}, logarithmic"
    else:
        vertical = axis(tickformat=".0%") if share else axis()
    figures[anchor] = {
        "kind": "curves",
        "smooth": smooth,
        "data": traces,
        "layout": layout(
            xaxis=axis("step"),
            yaxis=vertical | ({"rangemode": "tozero"} if not smooth else {}),
            hovermode="x unified",
            showlegend=len(traces) > 1 or known[0][0] != title.lower(),
        ),
    }
    said = "; ".join(f"{name} from {_say(y[0], share)} to {_say(y[-1], share)}" for name, _, y in known)
    return tag(
        "figure", tag("figcaption", title), plot(anchor, f"{title} over steps: {said}.", class_="curve")
    )


def _spans(curves: list[Float[np.ndarray, "_"]]) -> bool:
    """Return whether values are positive and span orders of magnitude."""
    values = np.concatenate(curves)
    return bool(values.min() > 0 and values.max() > _SPAN * values.min())


def _monitor_box(figures: dict[str, dict[str, Any]], log: Log) -> Html:
    """Return the monitor's curves."""
    named = [(_MONITOR[name], values) for name, values in log.monitor.items() if name in _MONITOR]
    title = "Monitor on held-out training shapes"
    return _box(figures, "curve-monitor", title, log.monitor_steps, named, share=True)


def _say(value: float, share: bool) -> str:
    return percent(float(value)) if share else f"{value:.3g}"
