"""The page's frame: a heading, and the three parts as tabs."""

from pathlib import Path

from nicegui import ui

from adacross.search.index import SearchIndex
from adacross.search.page.label import LabelPart
from adacross.search.page.labels import Labels
from adacross.search.page.parts import text
from adacross.search.page.plane import MapPart
from adacross.search.page.search import SearchPart
from adacross.search.page.viewer import Viewer

_HERE = Path(__file__).parent


def build_page(index: SearchIndex, labels: Labels | None) -> None:
    """Put one visitor's page together."""
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
            search = SearchPart(index)
        with ui.tab_panel(map_tab):
            plane = MapPart(index)
        with ui.tab_panel(label_tab):
            label = LabelPart(index, labels)

    def search_with(i: int) -> None:
        tabs.set_value("Search")
        search.with_shape(i)

    viewer = Viewer(index, search_with)
    search.on_open = plane.on_open = label.on_open = viewer.open
    search.browse()

    async def shown() -> None:
        if tabs.value == "Map":
            await plane.show()
        elif tabs.value == "Label":
            await label.show()

    tabs.on_value_change(shown)
