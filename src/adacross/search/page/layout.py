"""Layout of the page: a heading, three tabs, and a dialog with one shape."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from nicegui import ui

from adacross.search.index import SearchIndex
from adacross.search.page.label_tab import LabelFile, LabelTab
from adacross.search.page.map_tab import MapTab
from adacross.search.page.search_tab import SearchTab
from adacross.search.page.widgets import LARGE, button, card, cloud, cloud_figure, text

NEAR = 6
_HERE = Path(__file__).parent


class Viewer:
    """The dialog; `on_search` is called with a shape's index to search with it."""

    def __init__(self, index: SearchIndex, on_search: Callable[[int], None]) -> None:
        self.index = index
        self.on_search = on_search
        self.shown = 0
        with ui.dialog() as self.dialog, ui.element("div").classes("viewer"):
            with ui.element("div").classes("heading"):
                self.title = text("h2", "")
                self.name = text("small", "")
                button("✕", self.dialog.close, "close", "close")
            self.cloud = cloud(np.zeros((0, 3)), LARGE)
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
            for other, similarity in zip(neighbors.indices.tolist(), neighbors.similarities, strict=True):
                name, kind = collection.ids[other], self.index.class_of(other)
                card(other, kind or name, f"{similarity:.3f}", name, partial(self.open, other))
        self.dialog.open()

    def _search(self) -> None:
        self.dialog.close()
        self.on_search(self.shown)


def build_page(index: SearchIndex, labels: LabelFile | None) -> None:
    """Build one visitor's page."""
    ui.add_css((_HERE / "style.css").read_text(encoding="utf-8"))
    ui.add_body_html(f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>")
    ui.colors(primary="#1d5d9f", positive="#1a7445", negative="#ad3f28")
    info = index.collection.info
    with ui.element("header").classes("top"):
        with ui.element("div").classes("name"):
            text("h1", info.name)
            classes = f" in {len(info.classes)} classes" if info.classes else ""
            text("p", f"{len(index.collection):,} shapes{classes}")
        with ui.tabs().props("no-caps inline-label align=right") as tabs:
            search_tab, map_tab, label_tab = (ui.tab(name) for name in ("Search", "Map", "Label"))
    with ui.tab_panels(tabs, value=search_tab, animated=False).classes("panels"):
        with ui.tab_panel(search_tab):
            search = SearchTab(index)
        with ui.tab_panel(map_tab):
            map_ = MapTab(index)
        with ui.tab_panel(label_tab):
            label = LabelTab(index, labels)

    def search_with(i: int) -> None:
        tabs.set_value("Search")
        search.search_with(i)

    viewer = Viewer(index, search_with)
    search.on_open = map_.on_open = label.on_open = viewer.open
    search.browse()

    async def show_tab() -> None:
        if tabs.value == "Map":
            await map_.show()
        elif tabs.value == "Label":
            await label.show()

    tabs.on_value_change(show_tab)
