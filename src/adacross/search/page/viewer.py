"""A dialog with one shape as an interactive point cloud, and the shapes similar to it."""

from collections.abc import Callable
from functools import partial

import numpy as np
from nicegui import ui

from adacross.search.index import SearchIndex
from adacross.search.page.widgets import LARGE, button, card, cloud, cloud_figure, text

NEAR = 6


class Viewer:
    """The dialog.

    Args:
        index: of the shapes.
        on_search: called with a shape's index to search with it.
    """

    def __init__(self, index: SearchIndex, on_search: Callable[[int], None]) -> None:
        self.index = index
        self.on_search = on_search
        self.shown = 0
        with ui.dialog() as self.dialog, ui.element("div").classes("viewer"):
            with ui.element("div").classes("heading"):
                self.title = text("h2", "")
                self.name = text("small", "")
                button("✕", self.dialog.close, "close", "close")
            self.cloud = cloud(np.zeros((0, 3)), large=True)
            with ui.element("div").classes("beside"):
                text("h3", "Similar shapes")
                self.near = ui.element("div").classes("near")
                button("Search with this shape", self._search, "main")

    def open(self, i: int) -> None:
        """Show shape `i`."""
        self.shown = i
        collection = self.index.collection
        self.title.set_text(self.index.class_of(i) or collection.ids[i])
        self.name.set_text(collection.ids[i])
        self.name.set_visibility(self.index.class_of(i) is not None)
        self.cloud.update_figure(cloud_figure(collection.points(np.array([i]))[0], LARGE))
        neighbors = self.index.search(i, NEAR)
        self.near.clear()
        with self.near:
            rows = zip(
                neighbors.indices.tolist(),
                neighbors.ids,
                neighbors.classes,
                neighbors.similarities,
                strict=True,
            )
            for other, name, kind, similarity in rows:
                card(other, kind or name, f"{similarity:.3f}", name, partial(self.open, other))
        self.dialog.open()

    def _search(self) -> None:
        self.dialog.close()
        self.on_search(self.shown)
