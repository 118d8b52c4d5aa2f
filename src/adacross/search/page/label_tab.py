"""The tab "Label": the most informative shapes, each with its suggested class, and the CSV file of labels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from nicegui import run, ui

from adacross.errors import UserError
from adacross.labeling.labels import change_label, read_labels
from adacross.labeling.propose import Proposal, propose
from adacross.search.index import SearchIndex
from adacross.search.page.widgets import Alert, button, card, text

T = TypeVar("T")
BATCH = 12  # shapes at a time


@dataclass(eq=False)
class LabelFile:
    """Classes by shape's id, and their file, which other pages and programs may change, too."""

    path: Path  # the CSV file; every change reads it, changes one label, and writes it
    index: SearchIndex  # of the shapes
    # its content when last read or written; replaced as a whole, for other threads
    classes_by_id: dict[str, str]

    @classmethod
    def read(cls, path: Path, index: SearchIndex) -> "LabelFile":
        """Read a file of labels; a missing one is empty."""
        return cls(path, index, read_labels(path, index.collection.ids) if path.exists() else {})

    @property
    def classes(self) -> list[str]:
        """The collection's classes and those of the file."""
        return sorted({*self.index.collection.info.classes, *self.classes_by_id.values()})

    def assign(self, shapes: int | list[int], name: str | None) -> dict[str, str]:
        """Label shapes and their copies in the file, or remove the labels (None); return all labels there.

        Raises:
            UserError: an empty name, or a file that cannot be read or written; then nothing is changed.
        """
        if name is not None and not (name := name.strip()):
            raise UserError("the class has no name; choose one, or type a new one.")
        ids, create, copy_of = self.index.collection.ids, not self.classes_by_id, self.index.facts.copy_of
        rows = np.flatnonzero(np.isin(copy_of, copy_of[shapes])).tolist()
        self.classes_by_id = change_label(self.path, ids, [ids[i] for i in rows], name, create=create)
        return self.classes_by_id

    def propose(self, ask: int) -> tuple[Proposal, list[str]]:
        """Propose classes for all shapes but copies from the file's labels; also return the classes' names.

        The arrays of the proposal are of all shapes; `order` names no copy, nor what a copy's label says.
        """
        ids = self.index.collection.ids
        if self.classes_by_id or self.path.exists():
            self.classes_by_id = read_labels(self.path, ids)
        labels = self.classes_by_id
        names = sorted(set(labels.values()))
        known = np.array([names.index(labels[i]) if i in labels else -1 for i in ids], dtype=np.int64)
        firsts, of = np.unique(self.index.facts.copy_of, return_inverse=True)
        known_of_firsts = np.full(len(firsts), -1, dtype=np.int64)
        np.maximum.at(known_of_firsts, of, known)
        proposal = propose(self.index.features[firsts], known_of_firsts, ask=ask)
        return Proposal(proposal.label[of], proposal.confidence[of], firsts[proposal.order]), names


class LabelTab:
    """Shapes to label, a dozen at a time; every click is saved to `labels`."""

    def __init__(self, index: SearchIndex, labels: LabelFile) -> None:
        self.index = index
        self.labels = labels
        self.on_open: Callable[[int], object] = lambda i: None
        self.waiting: set[int] = set()  # shapes of this batch without a label
        self.started = False
        with ui.element("div").classes("labeling"):
            with ui.element("div").classes("above"):
                self.heading = text("h2", "")
                self.note = text("small", "")
            self.error = Alert()
            self.grid = ui.element("div").classes("grid roomy")
            self.more = button("Suggest more", self.propose, "main")

    async def show(self) -> None:
        """Suggest the first batch, once."""
        if not self.started:
            self.started = True
            await self.propose()

    async def propose(self) -> None:
        """Show the most informative shapes without a label."""
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
                self.labels.classes,
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
        if name is None or await self._run(self.labels.assign, i, name) is None:
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
        if await self._run(self.labels.assign, i, None) is None:
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
            self.error.show(message)

    def _update(self) -> None:
        labeled, count = len(self.labels.classes_by_id), len(self.index.collection)
        kinds = len(set(self.labels.classes_by_id.values()))
        self.heading.set_text(f"{labeled:,} of {count:,} shapes labeled, {kinds} classes")
        self.note.set_text(
            f"Most informative shapes first. Every click is saved to {self.labels.path.name}."
            + ("" if kinds > 1 else " Classes are suggested once two are labeled.")
        )
