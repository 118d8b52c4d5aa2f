"""The part "Search": a query on the left, what is most like it on the right."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from weakref import WeakMethod

import numpy as np
from jaxtyping import UInt8
from nicegui import events, run, ui

from adacross.data.shape import Axis
from adacross.errors import UserError
from adacross.search.index import NO_CLASS, Neighbours, SearchIndex
from adacross.search.page.parts import LARGEST, button, card, cloud, image, text
from adacross.search.query import PICTURES, SHAPES, Query, read_query

_DROP = """
<div class="drop">
  <b>Drop a file</b> or click to choose
  <small>{kinds}</small>
  <q-uploader-add-trigger />
</div>
"""
_PATIENCE = 60  # seconds that reading a file may take
_ORDERS = {"similarity": "Similarity", "class": "Class", "name": "Name"}
_AXES: dict[str, str] = {"": "as usual for the file's type", "x": "x", "y": "y", "z": "z"}


class SearchPart:
    """Everything of the part and its state: the query, the classes, the order.

    Args:
        index: what is searched.
    """

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.on_open: Callable[[int], None] = lambda i: None
        self.asked: Query | None = None
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
        pictures = self.index.knows_pictures
        # FastAPI keeps an upload's route, and with it the handlers, when the page has gone. They refer to
        # this part weakly, or the page would be kept, too.
        uploaded, rejected = WeakMethod(self._uploaded), WeakMethod(self._rejected)
        upload = ui.upload(
            auto_upload=True,
            max_file_size=LARGEST,
            on_upload=lambda event: (handler := uploaded()) and handler(event),
            on_rejected=lambda: (handler := rejected()) and handler(),
        ).classes("uploader")
        kinds = "a picture, a mesh or a cloud" if pictures else "a mesh or a cloud"
        upload.add_slot("header", _DROP.format(kinds=kinds))
        upload.add_slot("list", "<div></div>")
        self.uploader = upload
        self.trouble = text("p", "", "trouble")
        self.trouble.props["role"] = "alert"
        self.trouble.set_visibility(False)
        self.shown = ui.element("div").classes("query")
        names = sorted(self.index.collection.info.classes)
        if names and (self.index.collection.labels < 0).any():
            names.append(NO_CLASS)
        self.classes = ui.select(names, label="Classes", multiple=True, clearable=True, with_input=True)
        self.classes.props("dense outlined use-chips options-dense").set_visibility(bool(names))
        self.order = ui.select(_ORDERS, label="Order by", value="similarity").props("dense outlined")
        self.top = ui.select([12, 24, 48, 96], label="Shapes", value=24).props("dense outlined")
        self.axis = ui.select(_AXES, label="Axis that points up in files", value="").props("dense outlined")
        for control in (self.classes, self.order, self.top):
            control.on_value_change(self.refresh)

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        """Read a file that was dropped, and search with it."""
        self.heading.set_text(f"Reading {event.file.name} …")
        suffix = Path(event.file.name).suffix.lower()
        self.uploader.reset()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"query{suffix if suffix in (*PICTURES, *SHAPES) else '.unknown'}"
            await event.file.save(path)
            try:
                self.asked = await run.io_bound(self._read, path, event.file.name)
                self.trouble.set_visibility(False)
                self._show_query()
            except UserError as error:
                self._wrong(str(error))
        self.refresh()

    def _read(self, path: Path, name: str) -> Query:
        """Read a file and encode it: what cannot be searched for is said here, too."""
        up: Axis | None = self.axis.value or None
        side = self.index.picture_side
        query = read_query(path, points=self.index.points, size=side, up=up, name=name, timeout=_PATIENCE)
        return self.index.encoded(query)

    def _rejected(self) -> None:
        self._wrong(f"That file is larger than {LARGEST // 2**20} MB, the most that a query may have.")

    def _wrong(self, words: str) -> None:
        self.trouble.set_text(words)
        self.trouble.set_visibility(True)

    def with_shape(self, i: int) -> None:
        """Search with a shape of the collection."""
        self.asked = self.index.query(i)
        self.trouble.set_visibility(False)
        ui.run_javascript("scrollTo({ top: 0 })")  # before the grid is emptied, in which the button may lie
        self._show_query()
        self.refresh()

    def browse(self) -> None:
        """Show some shapes of the collection, without a query."""
        self.asked = None
        self._show_query()
        self.refresh()

    def _show_query(self) -> None:
        self.shown.clear()
        query = self.asked
        self.shown.set_visibility(query is not None)
        if query is None:
            return
        with self.shown:
            if query.points is not None:
                cloud(query.points)
            elif query.picture is not None:
                image(_data_uri(query.picture), f"the query {query.name}")
            with ui.element("div").classes("line"):
                text("span", query.name, "title").props["title"] = query.name
                button("✕", self.browse, "small", "forget the query")

    def refresh(self) -> None:
        """Search again and show what was found."""
        wanted = list(self.classes.value or []) or None
        if self.asked is None:
            chosen = self._some(wanted)
            self.heading.set_text("A look at the collection")
            self.note.set_text("Click a shape to turn it and to see what is most like it.")
            self._fill(chosen, [""] * len(chosen))
            return
        start = perf_counter()
        found = self.index.nearest(self.asked, int(self.top.value), classes=wanted)
        passed = perf_counter() - start
        space = "compared with the picture" if found.compared == "pictures" else "compared as shapes"
        within = f" in {len(wanted)} of the classes" if wanted else ""
        self.heading.set_text(f"Most like {self.asked.name}")
        self.note.set_text(f"{len(found.ids)} shapes{within}, {space}, found in {1000 * passed:.0f} ms")
        places = self._ordered(found)
        self._fill(found.indices[places].tolist(), [f"{found.similarities[place]:.3f}" for place in places])

    def _ordered(self, found: Neighbours) -> list[int]:
        places = list(range(len(found.ids)))
        if self.order.value == "class":
            places.sort(key=lambda place: (found.classes[place] or "", place))
        elif self.order.value == "name":
            places.sort(key=lambda place: found.ids[place])
        return places

    def _some(self, wanted: list[str] | None) -> list[int]:
        """Shapes spread over the collection, of the classes that are wanted."""
        ids = self.index.collection.ids
        rows = np.flatnonzero(self.index.allowed(wanted))
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
                    button("similar", partial(self.with_shape, i), "similar", f"search with {ids[i]}")
            if not chosen:
                text("p", "No shape is of these classes.")


def _data_uri(picture: UInt8[np.ndarray, "S S 3"]) -> str:
    import base64

    from adacross.search.drawing import png

    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()
