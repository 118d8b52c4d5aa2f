"""The part "Label": the shapes most worth a label, with the class that is proposed for each."""

from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import run, ui

from adacross.errors import UserError
from adacross.search.index import SearchIndex
from adacross.search.page.labels import Labels
from adacross.search.page.parts import button, card, text

T = TypeVar("T")
ASK = 12  # shapes at a time


class LabelPart:
    """Shapes to label, a dozen at a time; every click is written.

    Args:
        index: of the shapes.
        labels: what was given, None where no file was named to keep it.
    """

    def __init__(self, index: SearchIndex, labels: Labels | None) -> None:
        self.index = index
        self.labels = labels
        self.on_open: Callable[[int], None] = lambda i: None
        self.waiting: set[int] = set()  # shapes of this dozen that have no label yet
        self.begun = False
        with ui.element("div").classes("labelling"):
            with ui.element("div").classes("above"):
                self.heading = text("h2", "")
                self.note = text("small", "")
            self.trouble = text("p", "", "trouble")
            self.trouble.props["role"] = "alert"
            self.trouble.set_visibility(False)
            self.grid = ui.element("div").classes("grid roomy")
            self.more = button("Propose the next ones", self.propose, "main")
        if labels is None:
            self.heading.set_text("Labels need a file")
            self.note.set_text("Start the page with --labels labels.csv to label shapes here.")
            self.more.set_visibility(False)

    async def show(self) -> None:
        """Propose the first dozen, if that has not been done."""
        if self.labels is not None and not self.begun:
            self.begun = True
            await self.propose()

    async def propose(self) -> None:
        """Choose the shapes most worth labelling next, and show them."""
        if self.labels is None:
            return
        self.grid.clear()
        with self.grid, ui.element("div").classes("waiting"):
            ui.spinner(size="2rem")
            text("p", "Proposing …")
        answer = await self._tried(self.labels.propose, ASK)
        if answer is None:  # the page says why, or the server is being stopped
            self.grid.clear()
            return
        found, names = answer
        self.grid.clear()
        self.waiting = set(found.order.tolist())
        with self.grid:
            for i in found.order.tolist():
                label = int(found.label[i])
                self._card(i, names[label] if label >= 0 else None, float(found.confidence[i]))
            if not self.waiting:
                text("p", "Every shape has a label.")
        self.more.set_visibility(bool(self.waiting))
        self._say()

    def _card(self, i: int, proposed: str | None, confidence: float) -> None:
        """A shape, its proposed class to confirm, and a choice of others."""
        own = self.index.collection.ids[i]
        title = proposed or "which class?"
        value = f"{100 * confidence:.0f} %" if proposed else ""
        with (
            card(i, title, value, own, lambda: self.on_open(i)) as figure,
            ui.element("div").classes("choice"),
        ):
            choice = ui.select(
                self.labels.classes if self.labels else [],
                label="another class" if proposed else "class",
                with_input=True,
                new_value_mode="add-unique",
            ).props("dense outlined options-dense")
            choice.on_value_change(lambda event: self._give(i, event.value, figure))
            if proposed:
                button(
                    "✓ Confirm",
                    lambda: self._give(i, proposed, figure),
                    "confirm",
                    f"confirm {proposed} {own}",
                )

    async def _give(self, i: int, name: str | None, figure: ui.element) -> None:
        """Label a shape; when the dozen is done, propose the next."""
        labels = self.labels
        if labels is None or name is None or await self._tried(labels.give, i, name) is None:
            return
        self.waiting.discard(i)
        figure.clear()
        figure.classes(add="done")
        with figure:
            shown = card(i, f"✓ {name}", "", self.index.collection.ids[i], lambda: self.on_open(i))
            with shown:
                button("undo", lambda: self._take_back(i, figure), "similar", f"undo {name}")
        self._say()
        if not self.waiting:
            await self.propose()

    async def _take_back(self, i: int, figure: ui.element) -> None:
        labels = self.labels
        if labels is None or await self._tried(labels.take_back, i) is None:
            return
        self.waiting.add(i)
        figure.delete()
        with self.grid:
            self._card(i, None, 0.0)
        self._say()

    async def _tried(self, work: Callable[..., T], *given: Any) -> T | None:
        """Return what work on the file returned; None if it failed, and then the page says why."""
        trouble = ""
        try:
            return await run.io_bound(work, *given)  # None if the server is being stopped
        except UserError as error:
            trouble = str(error)
            return None
        finally:
            self.trouble.set_text(trouble)
            self.trouble.set_visibility(bool(trouble))

    def _say(self) -> None:
        if self.labels is None:
            return
        given, count = len(self.labels.given), len(self.index.collection)
        kinds = len(set(self.labels.given.values()))
        self.heading.set_text(f"{given:,} of {count:,} shapes labelled, {kinds} classes")
        self.note.set_text(
            f"These are most worth a label. Every click is written to {self.labels.path.name}."
            + ("" if kinds > 1 else " Classes are proposed once two have been given.")
        )
