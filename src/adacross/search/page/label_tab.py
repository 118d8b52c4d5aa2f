"""The tab "Label": the most informative shapes, each with its suggested class."""

from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import run, ui

from adacross.errors import UserError
from adacross.search.index import SearchIndex
from adacross.search.page.label_file import LabelFile
from adacross.search.page.widgets import button, card, text

T = TypeVar("T")
BATCH = 12  # shapes at a time


class LabelTab:
    """Shapes to label, a dozen at a time; every click is saved to `labels`, None without `--labels`."""

    def __init__(self, index: SearchIndex, labels: LabelFile | None) -> None:
        self.index = index
        self.labels = labels
        self.on_open: Callable[[int], None] = lambda i: None
        self.waiting: set[int] = set()  # shapes of this batch without a label
        self.started = False
        with ui.element("div").classes("labeling"):
            with ui.element("div").classes("above"):
                self.heading = text("h2", "")
                self.note = text("small", "")
            self.error = text("p", "", "error")
            self.error.props["role"] = "alert"
            self.error.set_visibility(False)
            self.grid = ui.element("div").classes("grid roomy")
            self.more = button("Suggest more", self.propose, "main")
        if labels is None:
            self.heading.set_text("Labeling needs a file")
            self.note.set_text("Start the page with --labels labels.csv to label shapes here.")
            self.more.set_visibility(False)

    async def show(self) -> None:
        """Suggest the first batch, once."""
        if self.labels is not None and not self.started:
            self.started = True
            await self.propose()

    async def propose(self) -> None:
        """Show the most informative shapes without a label."""
        if self.labels is None:
            return
        self.grid.clear()
        with self.grid, ui.element("div").classes("waiting"):
            ui.spinner(size="2rem")
            text("p", "Suggesting …")
        answer = await self._run(self.labels.propose, BATCH)
        if answer is None:  # an error, or the server is stopping
            self.grid.clear()
            return
        proposal, names = answer
        self.grid.clear()
        self.waiting = set(proposal.order.tolist())
        with self.grid:
            for i in proposal.order.tolist():
                label = int(proposal.label[i])
                self._card(i, names[label] if label >= 0 else None, float(proposal.confidence[i]))
            if not self.waiting:
                text("p", "All shapes are labeled.")
        self.more.set_visibility(bool(self.waiting))
        self._update()

    def _card(self, i: int, proposed: str | None, confidence: float) -> None:
        """Show a shape, its suggested class to confirm, and a choice of others."""
        name = self.index.collection.ids[i]
        value = f"{100 * confidence:.0f} %" if proposed else ""
        figure = card(i, proposed or "Which class?", value, name, lambda: self.on_open(i))
        with figure, ui.element("div").classes("choice"):
            choice = ui.select(
                self.labels.classes if self.labels else [],
                label="other class" if proposed else "class",
                with_input=True,
                new_value_mode="add-unique",
            ).props("dense outlined options-dense")
            choice.on_value_change(lambda event: self._assign(i, event.value, figure))
            if proposed:
                button(
                    "✓ Confirm",
                    lambda: self._assign(i, proposed, figure),
                    "confirm",
                    f"confirm {proposed} {name}",
                )

    async def _assign(self, i: int, name: str | None, figure: ui.element) -> None:
        """Label a shape; after the last of a batch, suggest the next."""
        labels = self.labels
        if labels is None or name is None or await self._run(labels.assign, i, name) is None:
            return
        self.waiting.discard(i)
        figure.clear()
        figure.classes(add="done")
        with figure, card(i, f"✓ {name}", "", self.index.collection.ids[i], lambda: self.on_open(i)):
            button("undo", lambda: self._undo(i, figure), "similar", f"undo {name}")
        self._update()
        if not self.waiting:
            await self.propose()

    async def _undo(self, i: int, figure: ui.element) -> None:
        labels = self.labels
        if labels is None or await self._run(labels.assign, i, None) is None:
            return
        self.waiting.add(i)
        figure.delete()
        with self.grid:
            self._card(i, None, 0.0)
        self._update()

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T | None:
        """Return the result of work on the file; None if it failed, which the page then explains."""
        message = ""
        try:
            return await run.io_bound(work, *arguments)  # None if the server is stopping
        except UserError as error:
            message = str(error)
            return None
        finally:
            self.error.set_text(message)
            self.error.set_visibility(bool(message))

    def _update(self) -> None:
        if self.labels is None:
            return
        labeled, count = len(self.labels.classes_by_id), len(self.index.collection)
        kinds = len(set(self.labels.classes_by_id.values()))
        self.heading.set_text(f"{labeled:,} of {count:,} shapes labeled, {kinds} classes")
        self.note.set_text(
            f"Most informative shapes first. Every click is saved to {self.labels.path.name}."
            + ("" if kinds > 1 else " Classes are suggested once two are labeled.")
        )
