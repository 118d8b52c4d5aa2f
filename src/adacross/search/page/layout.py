"""Layout of the page: a heading, four tabs, a dialog with one shape, and the bar of selected ones."""

from pathlib import Path

from nicegui import ui

from adacross.search.index import SearchIndex
from adacross.search.page.duplicates_tab import DuplicatesTab
from adacross.search.page.label_tab import LabelFile, LabelTab
from adacross.search.page.map_tab import MapTab
from adacross.search.page.search_tab import SearchTab
from adacross.search.page.selection import Selection
from adacross.search.page.viewer import Viewer
from adacross.search.page.widgets import text

_HERE = Path(__file__).parent


def build_page(index: SearchIndex, labels: LabelFile) -> None:
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
        with ui.tabs().props("no-caps inline-label align=right outside-arrows mobile-arrows") as tabs:
            names = ("Search", "Map", "Duplicates", "Label")
            search_tab, map_tab, duplicates_tab, label_tab = (ui.tab(name) for name in names)
    panels = ui.tab_panels(tabs, value=search_tab, animated=False).classes("panels")
    selection = Selection(index, labels)
    with panels:
        with ui.tab_panel(search_tab):
            search = SearchTab(index, selection)
        with ui.tab_panel(map_tab):
            map_ = MapTab(index, selection)
        with ui.tab_panel(duplicates_tab):
            duplicates = DuplicatesTab(index)
        with ui.tab_panel(label_tab):
            label = LabelTab(index, labels)

    async def search_with(i: int) -> None:
        tabs.set_value("Search")
        await search.search_with(i)

    viewer = Viewer(index, search_with)
    search.on_open = map_.on_open = duplicates.on_open = label.on_open = viewer.open

    async def show_tab() -> None:
        if tabs.value == "Map":
            await map_.show()
        elif tabs.value == "Label":
            await label.show()

    tabs.on_value_change(show_tab)
    search.browse()
