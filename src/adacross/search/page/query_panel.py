"""The files and shapes that a visitor searches with: dropped, chosen, pasted or photographed."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import WeakMethod

from nicegui import events, run, ui

from adacross.data.rendering.notebook import data_uri
from adacross.data.shape import Axis
from adacross.errors import UserError
from adacross.search.index import SearchIndex
from adacross.search.page.widgets import LARGEST, Alert, Solid, button, image, text
from adacross.search.query import IMAGES, SHAPES, Query, read_query

_DROP = """
<div class="drop">
  <b>Drop files</b>, paste an image, or click to choose
  <small>{kinds}</small>
  <q-uploader-add-trigger />
</div>
"""
_TIMEOUT = 60.0  # seconds for reading a file
_AXES: dict[str, str] = {"": "default of the file type", "x": "x", "y": "y", "z": "z"}
MOST = 50  # queries that are kept


class QueryPanel:
    """Queries, of which one is searched with; `on_change` is called when that is another one."""

    def __init__(self, index: SearchIndex, on_change: Callable[[], Awaitable[None]]) -> None:
        self.index = index
        self.on_change = on_change
        self.queries: list[Query] = []
        self.active: Query | None = None
        images = index.joint is not None
        # FastAPI keeps an upload's route, and with it the handlers, when the page has gone. They refer to
        # this panel weakly, or the page would be kept, too.
        uploaded, rejected = WeakMethod(self._uploaded), WeakMethod(self._rejected)
        self.uploader = ui.upload(
            multiple=True,
            auto_upload=True,
            max_file_size=LARGEST,
            on_upload=lambda event: (handler := uploaded()) and handler(event),
            on_rejected=lambda: (handler := rejected()) and handler(),
        ).classes("uploader")
        kinds = "images, meshes or point clouds" if images else "meshes or point clouds"
        self.uploader.add_slot("header", _DROP.format(kinds=kinds))
        self.uploader.add_slot("list", "<div></div>")
        if images:
            button("Take a photo", lambda: None, "quiet camera").on("click", js_handler="() => takePhoto()")
        self.error = Alert()
        self.list = ui.element("div").classes("queries")
        self.preview = ui.element("div").classes("query")
        self.axis: ui.select | None = None
        self._show()

    def add_axis(self) -> None:
        """Add the choice of the axis that points up in files."""
        self.axis = ui.select(_AXES, label="Up axis of files", value="").props("dense outlined")

    async def use(self, query: Query | None) -> None:
        """Search with a query; with none, forget all."""
        self.error.show("")
        if query is None:
            self.queries = []
        elif all(query is not one for one in self.queries):
            self.queries = [*self.queries, query][-MOST:]
        self.active = query
        self._show()
        await self.on_change()

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        """Read an uploaded file, and search with it."""
        suffix = Path(event.file.name).suffix.lower()
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"query{suffix if suffix in (*IMAGES, *SHAPES) else '.unknown'}"
            await event.file.save(path)
            try:
                query = await run.io_bound(self._read, path, event.file.name)
                if query is not None:
                    await self.use(query)
            except UserError as error:
                self.error.show(str(error))
        self.uploader.reset()

    def _read(self, path: Path, name: str) -> Query:
        """Read and encode a file, so that every error is raised here."""
        up: Axis | None = self.axis.value or None if self.axis else None
        size = self.index.image_size
        query = read_query(path, points=self.index.points, size=size, up=up, name=name, timeout=_TIMEOUT)
        return self.index.encode(query)

    def _rejected(self) -> None:
        self.error.show(f"The file is larger than {LARGEST // 2**20} MB, the limit for a query.")

    def _show(self) -> None:
        """Show the active query, and the others by name."""
        query = self.active
        self.list.clear()
        self.list.set_visibility(len(self.queries) > 1)
        with self.list:
            for one in self.queries:
                pressed = button(one.name, partial(self.use, one), "quiet", f"search with {one.name}")
                pressed.props["aria-pressed"] = "true" if one is query else "false"
        self.preview.clear()
        self.preview.set_visibility(query is not None)
        if query is None:
            return
        with self.preview:
            if query.points is not None:
                Solid().show(query.points)
            elif query.image is not None:
                image(data_uri(query.image), f"the query {query.name}")
            with ui.element("div").classes("line"):
                text("span", query.name, "title").props["title"] = query.name
                button("✕", partial(self.use, None), "small", "clear the query")
