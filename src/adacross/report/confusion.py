"""Confusion matrix of the linear probe."""

from typing import Any

import numpy as np

from adacross.report import commands
from adacross.report.html import Section, join, missing, percent, plot, plural, tag
from adacross.report.inputs import Linear, RunData
from adacross.report.plots import axis, layout, plot_text

_COLUMN, _ROW, _LABELS, _BARS = 16, 19, 160, 140  # pixels: one class, the margins, the accuracy bars


def confusion(data: RunData) -> Section:
    """Return the confusion matrix with the accuracy of each class beside its row."""
    title = "Confusions"
    if data.linear is None:
        if data.facts and not data.facts.classes:
            return Section("confusions", title, missing("The shapes have no classes."))
        reason = "The linear probe has not been evaluated yet."
        return Section("confusions", title, missing(reason, commands.evaluate(data, "linear")))
    linear = data.linear
    size = len(linear.classes)
    style = f"min-width:{_COLUMN * size + _LABELS + _BARS}px;height:{max(_ROW * size, 160) + 150}px"
    description = f"Confusion matrix of {plural(size, 'class')}. {worst(linear)}"
    seed = f", seed {linear.seeds[0]}" if linear.seeds else ""
    body = [
        tag("p", f"Linear probe of the pre-trained encoder on the test split{seed}. Rows are the true class, "
                 "columns the prediction; shading is the share of the row, numbers count shapes."),
        tag("p", worst(linear)),
        tag("div", plot("confusion-plot", description, class_="matrix", style=style), class_="scroll",
            tabindex="0", role="region", aria_label="Confusion matrix"),
    ]  # fmt: skip
    return Section("confusions", title, join(body), {"confusion-plot": _figure(linear)})


def worst(linear: Linear, most: int = 3) -> str:
    """Return one sentence on the most frequent confusions."""
    wrong = linear.confusion.copy()
    np.fill_diagonal(wrong, 0)
    if not linear.confusion.sum():
        return "The matrix is empty."
    if not wrong.any():
        return "No test shape was misclassified."
    totals = linear.confusion.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    named = []
    for truth, guess in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[truth, guess]:
            share = percent(wrong[truth, guess] / totals[truth], 0)
            pair = f"{linear.classes[truth]} as {linear.classes[guess]}"
            named.append(f"{pair} ({wrong[truth, guess]} of {totals[truth]}, {share})")
    share = percent(wrong.sum() / totals.sum())
    return f"Error rate: {share}. Most frequent: {'; '.join(named)}."


def _figure(linear: Linear) -> dict[str, Any]:
    matrix = linear.confusion
    size = len(linear.classes)
    totals = matrix.sum(axis=1)
    share = matrix / np.maximum(totals, 1)[:, None]
    names = [plot_text(name) for name in linear.classes]
    short = [name if len(name) <= 18 else f"{name[:17]}…" for name in linear.classes]
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(size)),
        "ticktext": [plot_text(name) for name in short],
        "showgrid": False,
        "ticks": "",
        "tickfont": {"color": "--ink", "size": 12 if size <= 24 else 11},
    }
    hover = [
        [f"{names[i]} → {names[j]}: {matrix[i, j]} of {totals[i]}" for j in range(size)] for i in range(size)
    ]
    accuracy = np.diag(share)
    heatmap = {
        "type": "heatmap",
        "z": np.round(share, 3).tolist(),
        "text": [[str(value) if value else "" for value in row] for row in matrix.tolist()],
        "texttemplate": "%{text}",
        "textfont": {"size": 10},
        "hovertext": hover,
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "--panel"], [0.02, "--tint"], [1, "--accent"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": np.round(accuracy, 4).tolist(),
        "y": list(range(size)),
        "xaxis": "x2",
        "marker": {"color": "--accent"},
        "text": [
            f"{100 * value:.0f}" if total else "–" for value, total in zip(accuracy, totals, strict=True)
        ],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": "--ink", "size": 11},
        "hovertext": [
            f"{name}: {percent(float(value))}" for name, value in zip(names, accuracy, strict=True)
        ],
        "hoverinfo": "text",
        "width": 0.62,
    }
    split = 1 - _BARS / (_COLUMN * size + _BARS)
    return {
        "kind": "plot",
        "data": [heatmap, bars],
        "layout": layout(
            xaxis=axis("predicted", domain=[0, split], tickangle=-60, **ticks),
            xaxis2=axis(
                "accuracy, %", domain=[min(split + 0.03, 0.97), 1], range=[0, 1.18], tickvals=[0, 0.5, 1],
                ticktext=["0", "50", "100"],
            ),
            yaxis=axis("true", autorange="reversed", **ticks),
            margin={"l": 60, "r": 16, "t": 8, "b": 60},
            showlegend=False,
            dragmode=False,
        ),
    }  # fmt: skip
