"""One shape in a dialog: to turn, and the shapes nearest to it."""

from collections.abc import Callable
from functools import partial

import numpy as np
from nicegui import ui

from adacross.search.index import SearchIndex
from adacross.search.page.parts import LARGE, button, card, cloud, cloud_figure, text

NEAR = 6


class Viewer:
    """A dialog that shows a shape, and leads on to those most like it.

    Args:
        index: where the shape is from.
        on_search: called with a shape's index to search with it on the page.
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
                text("h3", "Most like it")
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
        found = self.index.nearest(i, NEAR)
        self.near.clear()
        with self.near:
            each = zip(found.indices.tolist(), found.ids, found.classes, found.similarities, strict=True)
            for other, name, kind, similarity in each:
                card(other, kind or name, f"{similarity:.3f}", name, partial(self.open, other))
        self.dialog.open()

    def _search(self) -> None:
        self.dialog.close()
        self.on_search(self.shown)
