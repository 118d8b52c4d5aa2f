"""The dialog with one shape: its mesh to turn, its size and file, and what is like it."""

from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
from nicegui import run, ui

from adacross.search.calibrate import explained
from adacross.search.index import SearchIndex
from adacross.search.page import media
from adacross.search.page.widgets import Solid, button, card, text

NEAR = 6


class Viewer:
    """The dialog; `on_search` is called with a shape's index to search with it."""

    def __init__(self, index: SearchIndex, on_search: Callable[[int], Awaitable[None]]) -> None:
        self.index = index
        self.files = index.collection.files()
        self.on_search = on_search
        self.shown = 0
        with ui.dialog() as self.dialog, ui.element("div").classes("viewer"):
            self.dialog.props["aria-label"] = "A shape"
            with ui.element("div").classes("heading"):
                self.title = text("h2", "")
                self.name = text("small", "")
                button("✕", self.dialog.close, "close", "close")
            with ui.element("div"):
                self.solid = Solid()
                self.facts = ui.element("p").classes("facts")
            with ui.element("div").classes("beside"):
                text("h3", "Similar shapes")
                self.near = ui.element("div").classes("near")
                button("Search with this shape", self._search, "main")

    async def open(self, i: int) -> None:
        """Show shape `i`."""
        self.shown = i
        collection = self.index.collection
        kind = self.index.class_of(i)
        self.title.set_text(kind or collection.ids[i])
        self.name.set_text(collection.ids[i])
        self.name.set_visibility(kind is not None)
        self.solid.show(collection.points(np.array([i]))[0])
        self._describe(i)
        self.dialog.open()
        neighbors = await run.io_bound(lambda: explained(self.index, self.index.search(i, NEAR)))
        if neighbors is None or self.shown != i:  # the server is stopping, or another shape is shown
            return
        self.near.clear()
        with self.near:
            for other, word in zip(neighbors.indices.tolist(), neighbors.likeness, strict=True):
                name = collection.ids[other]
                card(other, self.index.class_of(other) or name, word, name, partial(self.open, other))
        file = self.files[i]
        content = await run.io_bound(media.mesh, file) if file else None
        if content and self.shown == i:
            self.solid.show_mesh(f"/mesh/{i}")

    def _describe(self, i: int) -> None:
        """Show the size, and the file to download."""
        self.facts.clear()
        size, file = self.index.facts.size(i), self.files[i]
        with self.facts:
            if size:
                text("span", f"{size} in the file's unit")
            if file:
                link = ui.link("Download the file", f"/file/{i}")
                link.props["title"] = str(file)
                text("code", str(file))

    async def _search(self) -> None:
        self.dialog.close()
        await self.on_search(self.shown)
