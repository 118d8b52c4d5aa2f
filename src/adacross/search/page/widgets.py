"""Elements of the page: text, buttons, cards, interactive point clouds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from nicegui import ui

LARGEST = 64 * 2**20  # bytes of an uploaded file
_HEIGHT_COLORS = [[0, "#3f63c8"], [0.5, "#1fa39a"], [1, "#e5a93c"]]  # as in the report
# Not responsive: NiceGUI then resizes plots that are hidden, too, which Plotly refuses (page.js does it).
CONFIG = {"displayModeBar": False, "scrollZoom": True, "responsive": False}
LARGE, SMALL = 4.2, 2.2  # pixels a point
_MOST = 4096  # points of a cloud that are drawn


def text(tag: str, words: str, classes: str = "") -> ui.label:
    """Add an element with literal text."""
    element = ui.label(words)
    element.tag = tag
    return element.classes(classes)


def image(source: str, words: str) -> ui.element:
    """Add an image that is loaded when it is scrolled into view."""
    element = ui.element("img")
    element.props["src"] = source
    element.props["alt"] = words
    element.props["loading"] = "lazy"
    return element


def button(words: str, on_click: Callable[[], Any], classes: str = "", label: str = "") -> ui.element:
    """Add a plain button; `label` replaces its text for screen readers."""
    element = ui.element("button").classes(f"plain {classes}")
    element.props["type"] = "button"
    if label:
        element.props["aria-label"] = label
    if words:
        with element:
            text("span", words)
    return element.on("click", on_click)


class Alert:
    """A line for an error, which is hidden while there is none."""

    def __init__(self) -> None:
        self.label = text("p", "", "error")
        self.label.props["role"] = "alert"
        self.show("")

    def show(self, message: str) -> None:
        """Show a message; an empty one hides the line."""
        self.label.set_text(message)
        self.label.set_visibility(bool(message))


def card(i: int, title: str, value: str, name: str, on_open: Callable[[], Any]) -> ui.element:
    """Add a shape's image to click with two lines below it; return the element, to add to."""
    figure = ui.element("figure").classes("card")
    with figure:
        with button("", on_open, "image", f"open {title} {name}"):
            image(f"/image/{i}", "")
        with ui.element("figcaption"):
            with ui.element("div").classes("line"):
                text("span", title, "title")
                if value:
                    text("span", value, "value")
            text("small", name).props["title"] = name
    return figure


def cloud(points: Float[np.ndarray, "N 3"], size: float = SMALL) -> ui.plotly:
    """Add an interactive point cloud of points of `size` pixels."""
    return ui.plotly(cloud_figure(points, size)).classes("cloud")


def cloud_figure(points: Float[np.ndarray, "N 3"], size: float) -> dict[str, Any]:
    """Return a Plotly figure of points of `size` pixels, smaller if many; its z axis is our y axis, up."""
    shown = np.round(points[:_MOST].astype(np.float64), 3)
    hidden = {"visible": False, "range": [-1, 1]}
    return {
        "data": [
            {
                "type": "scatter3d",
                "mode": "markers",
                "x": shown[:, 0].tolist(),
                "y": (-shown[:, 2]).tolist(),
                "z": shown[:, 1].tolist(),
                "hoverinfo": "skip",
                "marker": {
                    "size": size if len(shown) <= 1024 else 0.75 * size,
                    "color": shown[:, 1].tolist(),
                    "colorscale": _HEIGHT_COLORS,
                    "line": {"width": 0},
                },
            }
        ],
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "showlegend": False,
            "scene": {
                **dict.fromkeys(("xaxis", "yaxis", "zaxis"), hidden),
                "aspectmode": "cube",
                "dragmode": "turntable",
                "camera": {"eye": {"x": 0.82, "y": -1.04, "z": 0.52}, "center": {"x": 0, "y": 0, "z": 0}},
            },
        },
        "config": CONFIG,
    }
