"""A map of the test shapes' features, with an image under the cursor."""

from typing import Any

import numpy as np

from adacross.data.rendering.palette import SYMBOLS, palette
from adacross.report.html import Section, count, data_uri, join, missing, percent, plot, plural, tag
from adacross.report.inputs import EmbeddingMap, RunData
from adacross.report.plots import axis, layout, numbers, plot_text


def embedding(data: RunData) -> Section:
    """Return the map of the encoder's features."""
    title, shown = "Feature map", data.embedding
    if shown is None:
        reason = data.absent.get("embedding", "The collection holds no shapes to draw.")
        return Section("map", title, missing(reason))
    body = [tag("p", _text(shown))]
    if shown.same_class_neighbor is not None and shown.chance is not None:
        near, chance = percent(shown.same_class_neighbor), percent(shown.chance)
        body.append(
            tag(
                "p",
                tag("b", near),
                f" of the shapes have a nearest neighbor of their own class (chance {chance}).",
            )
        )
    classes = sorted({card.class_name for card in shown.cards if card.class_name is not None})
    description = f"Scatter plot of {plural(len(shown.cards), 'shape')}" + (
        f", colored by {plural(len(classes), 'class')}" if classes else ""
    )
    if classes:
        box = tag("input", type="checkbox", id="labels", checked=True)
        body.append(tag("label", box, " show class names", class_="switch"))
    body.append(plot("map-plot", description, class_="map"))
    if classes:
        colors = palette(len(classes))
        chips = [
            tag(
                "button",
                tag("span", class_="dot", style=f"background:{color}"),
                name,
                type="button",
                data_class=str(index),
                aria_pressed="false",
            )
            for index, (name, color) in enumerate(zip(classes, colors, strict=True))
        ]
        body.append(tag("div", *chips, class_="chips", role="group", aria_label="Show one class"))
    return Section("map", title, join(body), {"map-plot": _figure(shown, classes)})


def _text(shown: EmbeddingMap) -> str:
    which = "test shapes" if shown.split == "test" else "shapes (there is no test split)"
    number = count(len(shown.cards))
    some = f"{number} of {count(shown.available)}" if shown.available > len(shown.cards) else number
    unseen = "None of them was used in pre-training. " if shown.split == "test" else ""
    return (
        f"The encoder's features of {some} {which}, by {shown.projection}. {unseen}"
        "Hover for a preview. Close dots are similar to the encoder; "
        "distances between far groups mean little."
    )


def _figure(shown: EmbeddingMap, classes: list[str]) -> dict[str, Any]:
    """Return one trace a class, so that color and symbol tell neighbors apart."""
    groups: dict[str | None, list[int]] = {name: [] for name in classes}
    for index, card in enumerate(shown.cards):
        groups.setdefault(card.class_name, []).append(index)
    colors = [*palette(len(classes)), "--muted"]
    traces = []
    for rank, (name, members) in enumerate(groups.items()):
        known = name is not None
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plot_text(name) if name is not None else "no class",
                "x": numbers(shown.xy[members, 0]),
                "y": numbers(shown.xy[members, 1]),
                "customdata": members,
                "hoverinfo": "none",
                "marker": {
                    "size": 8,
                    "opacity": 0.9,
                    "symbol": SYMBOLS[rank % len(SYMBOLS)] if known else "circle",
                    "color": colors[rank] if known else ("--accent" if not classes else "--muted"),
                    "line": {"width": 0.6, "color": "--panel"},
                },
            }
        )
    hidden = axis(showgrid=False, showline=False, showticklabels=False, ticks="")
    return {
        "kind": "map",
        "thumbs": [data_uri(card.image) for card in shown.cards],
        "names": [card.class_name or "" for card in shown.cards],
        "ids": [card.id for card in shown.cards],
        "data": traces,
        "layout": layout(
            xaxis=hidden,
            yaxis=hidden | {"scaleanchor": "x"},
            margin={"l": 4, "r": 4, "t": 4, "b": 4},
            showlegend=False,
            annotations=[_label(shown, name, groups[name]) for name in classes],
            hovermode="closest",
            hoverdistance=12,
        ),
    }


def _label(shown: EmbeddingMap, name: str, members: list[int]) -> dict[str, Any]:
    """Return a class's name at its member nearest to the middle of the others."""
    points = shown.xy[members]
    middle = points[np.linalg.norm(points - np.median(points, axis=0), axis=1).argmin()]
    return {
        "x": float(middle[0]),
        "y": float(middle[1]),
        "text": plot_text(name if len(name) <= 18 else f"{name[:17]}…"),
        "showarrow": False,
        "yshift": 12,
        "bgcolor": "--panel",
        "opacity": 0.82,
        "borderpad": 1,
        "font": {"size": 12, "color": "--ink"},
        "captureevents": False,
    }
