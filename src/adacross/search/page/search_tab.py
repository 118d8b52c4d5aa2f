"""The tab "Search": the query on the left, the results on the right."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from weakref import WeakMethod

import numpy as np
from nicegui import events, run, ui

from adacross.data.rendering.notebook import data_uri
from adacross.data.shape import Axis
from adacross.errors import UserError
from adacross.search.index import NO_CLASS, SearchIndex
from adacross.search.page.widgets import LARGEST, Alert, button, card, cloud, image, text
from adacross.search.query import IMAGES, SHAPES, Query, read_query
from adacross.search.results import Neighbors

_DROP = """
<div class="drop">
  <b>Drop a file</b> or click to choose
  <small>{kinds}</small>
  <q-uploader-add-trigger />
</div>
"""
_TIMEOUT = 60  # seconds for reading a file
_ORDERS = {"similarity": "Similarity", "class": "Class", "name": "Name"}
_AXES: dict[str, str] = {"": "default of the file type", "x": "x", "y": "y", "z": "z"}


class SearchTab:
    """The tab and its state: query, classes, order."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.on_open: Callable[[int], None] = lambda i: None
        self.query: Query | None = None
        self.seed = 0
        with ui.element("div").classes("columns"):
            with ui.element("aside"):
                self._controls()
            with ui.element("section").classes("results"):
                with ui.element("div").classes("above"):
                    self.heading = text("h2", "")
                    self.note = text("small", "")
                self.grid = ui.element("div").classes("grid")

    def _controls(self) -> None:
        images = self.index.joint is not None
        # FastAPI keeps an upload's route, and with it the handlers, when the page has gone. They refer to
        # this tab weakly, or the page would be kept, too.
        uploaded, rejected = WeakMethod(self._uploaded), WeakMethod(self._rejected)
        upload = ui.upload(
            auto_upload=True,
            max_file_size=LARGEST,
            on_upload=lambda event: (handler := uploaded()) and handler(event),
            on_rejected=lambda: (handler := rejected()) and handler(),
        ).classes("uploader")
        kinds = "an image, a mesh or a point cloud" if images else "a mesh or a point cloud"
        upload.add_slot("header", _DROP.format(kinds=kinds))
        upload.add_slot("list", "<div></div>")
        self.uploader = upload
        self.error = Alert()
        self.preview = ui.element("div").classes("query")
        names = sorted(self.index.collection.info.classes)
        if names and (self.index.collection.labels < 0).any():
            names.append(NO_CLASS)
        self.classes = ui.select(names, label="Classes", multiple=True, clearable=True, with_input=True)
        self.classes.props("dense outlined use-chips options-dense").set_visibility(bool(names))
        self.order = ui.select(_ORDERS, label="Order by", value="similarity").props("dense outlined")
        self.top = ui.select([12, 24, 48, 96], label="Shapes", value=24).props("dense outlined")
        self.axis = ui.select(_AXES, label="Up axis of files", value="").props("dense outlined")
        for control in (self.classes, self.order, self.top):
            control.on_value_change(self.refresh)

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        """Read an uploaded file, and search with it."""
        self.heading.set_text(f"Reading {event.file.name} …")
        suffix = Path(event.file.name).suffix.lower()
        self.uploader.reset()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"query{suffix if suffix in (*IMAGES, *SHAPES) else '.unknown'}"
            await event.file.save(path)
            try:
                self.query = await run.io_bound(self._read, path, event.file.name)
                self.error.show("")
                self._show_query()
            except UserError as error:
                self.error.show(str(error))
        self.refresh()

    def _read(self, path: Path, name: str) -> Query:
        """Read and encode a file, so that every error is raised here."""
        up: Axis | None = self.axis.value or None
        size = self.index.image_size
        query = read_query(path, points=self.index.points, size=size, up=up, name=name, timeout=_TIMEOUT)
        return self.index.encode(query)

    def _rejected(self) -> None:
        self.error.show(f"The file is larger than {LARGEST // 2**20} MB, the limit for a query.")

    def search_with(self, i: int) -> None:
        """Search with a shape of the collection."""
        self.query = self.index.query(i)
        self.error.show("")
        ui.run_javascript("scrollTo({ top: 0 })")  # before the grid is emptied, in which the button may lie
        self._show_query()
        self.refresh()

    def browse(self) -> None:
        """Show a selection of the collection, without a query."""
        self.query = None
        self._show_query()
        self.refresh()

    def _show_query(self) -> None:
        self.preview.clear()
        query = self.query
        self.preview.set_visibility(query is not None)
        if query is None:
            return
        with self.preview:
            if query.points is not None:
                cloud(query.points)
            elif query.image is not None:
                image(data_uri(query.image), f"the query {query.name}")
            with ui.element("div").classes("line"):
                text("span", query.name, "title").props["title"] = query.name
                button("✕", self.browse, "small", "clear the query")

    def refresh(self) -> None:
        """Search again and show the results."""
        wanted = list(self.classes.value or []) or None
        if self.query is None:
            selection = self._selection(wanted)
            self.heading.set_text("Browse the collection")
            self.note.set_text("Click a shape to view it in 3-D and to see similar shapes.")
            self._fill(selection, [""] * len(selection))
            return
        start = perf_counter()
        neighbors = self.index.search(self.query, int(self.top.value), classes=wanted)
        passed = perf_counter() - start
        kind = "image-to-shape" if neighbors.space == "images" else "shape-to-shape"
        within = f" of {len(wanted)} classes" if wanted else ""
        self.heading.set_text(f"Similar to {self.query.name}")
        self.note.set_text(f"{len(neighbors)} shapes{within}, {kind} search in {1000 * passed:.0f} ms")
        places = self._order(neighbors)
        self._fill(
            neighbors.indices[places].tolist(), [f"{neighbors.similarities[place]:.3f}" for place in places]
        )

    def _order(self, neighbors: Neighbors) -> list[int]:
        places = list(range(len(neighbors)))
        if self.order.value == "class":
            places.sort(key=lambda place: (neighbors.classes[place] or "", place))
        elif self.order.value == "name":
            places.sort(key=lambda place: neighbors.ids[place])
        return places

    def _selection(self, wanted: list[str] | None) -> list[int]:
        """Return shapes spread over the collection, of some classes."""
        ids = self.index.collection.ids
        rows = np.flatnonzero(self.index.candidates(wanted))
        count = min(int(self.top.value), len(rows))
        chosen = rows[np.linspace(0, len(rows) - 1, count).astype(int)].tolist() if count else []
        if self.order.value == "name":
            chosen.sort(key=lambda i: ids[i])
        else:
            chosen.sort(key=lambda i: self.index.class_of(i) or "")
        return chosen

    def _fill(self, chosen: list[int], values: list[str]) -> None:
        ids = self.index.collection.ids
        self.grid.clear()
        with self.grid:
            for i, value in zip(chosen, values, strict=True):
                title = self.index.class_of(i) or ids[i]
                with card(i, title, value, ids[i], partial(self.on_open, i)):
                    button("similar", partial(self.search_with, i), "similar", f"search with {ids[i]}")
            if not chosen:
                text("p", "No shapes of these classes.")
