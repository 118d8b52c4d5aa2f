"""Elements of the page: text, buttons, cards, shapes to turn."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from nicegui import ui

LARGEST = 64 * 2**20  # bytes of an uploaded file
# red, green and blue, linear, from low to high
_HEIGHT_COLORS = ((0.05, 0.01, 0.79), (0.13, 0.36, 0.39), (0.57, 0.35, 0.04))
_EYE = (0.95, -1.2, 0.62)  # of the camera, z up
# Not responsive: NiceGUI then resizes plots that are hidden, too, which Plotly refuses (page.js does it).
CONFIG = {"displayModeBar": False, "scrollZoom": True, "responsive": False}
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


def card(
    i: int, title: str, value: str, name: str, on_open: Callable[[], Any], below: str = ""
) -> ui.element:
    """Add a shape's image to click with lines below it; return the element, to add to."""
    figure = ui.element("figure").classes("card")
    with figure:
        with button("", on_open, "image", f"open {title} {name}"):
            image(f"/image/{i}", "")
        with ui.element("figcaption"):
            with ui.element("div").classes("line"):
                text("span", title, "title").props["title"] = title
                if value:
                    text("span", value, "value")
            if name != title:
                text("small", name).props["title"] = name
            if below:
                text("span", below, "size")
    return figure


class Solid:
    """A shape to turn: its points, and its mesh once that is at hand."""

    def __init__(self) -> None:
        self.scene = ui.scene(width=480, height=480, grid=False, background_color="#ffffff").classes("solid")
        self.scene.props["aria-label"] = "the shape in 3-D; drag to turn it"
        self.scene.props["role"] = "img"
        self.scene.move_camera(*_EYE, 0, 0, 0, duration=0)

    def show(self, points: Float[np.ndarray, "N 3"]) -> None:
        """Show points of the unit sphere, y up, colored by height."""
        shown = np.round(points[:_MOST].astype(np.float64), 3)[:, [0, 2, 1]] * (1, -1, 1)
        height = (shown[:, 2] + 1) / 2
        colors = np.stack([np.interp(height, (0, 0.5, 1), channel) for channel in _HEIGHT_COLORS], axis=1)
        with self.scene as scene:
            scene.clear()
            scene.point_cloud(shown.tolist(), np.round(colors, 3).tolist(), point_size=0.025)
            scene.move_camera(*_EYE, 0, 0, 0, duration=0)

    def show_mesh(self, address: str) -> None:
        """Show the STL file at an address instead."""
        with self.scene as scene:
            scene.clear()
            scene.stl(address).material("#9db4d0")
            scene.spot_light(intensity=6, distance=0, decay=0, angle=1.2).move(-3, -4, 5)
