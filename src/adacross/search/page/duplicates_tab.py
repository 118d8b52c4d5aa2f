"""The tab "Duplicates": groups of copies, as `adacross duplicates` finds them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from nicegui import run, ui

from adacross.console import console, progress_seen
from adacross.duplicates.find import find_duplicates
from adacross.duplicates.groups import Copy, Duplicates
from adacross.errors import UserError
from adacross.search.index import SearchIndex
from adacross.search.page.widgets import Alert, button, card, text

PAGE = 20  # groups that are added at a time


class DuplicatesTab:
    """The tab and its state: options, what was found, and how much of it is shown."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.places = {name: i for i, name in enumerate(index.collection.ids)}
        self.on_open: Callable[[int], object] = lambda i: None
        self.found: Duplicates | None = None
        self.shown = 0
        self.progress = ("", 0.0)
        self.said = ""
        with ui.element("div").classes("duplicates"):
            with ui.element("div").classes("above"):
                text("h2", "Copies in the collection")
                self.note = text(
                    "p",
                    "Identical, rescaled, mirrored and nearly equal shapes, however they lie, compared "
                    "surface to surface. Nothing is deleted.",
                    "note",
                )
            with ui.element("div").classes("options"):
                self.size = ui.checkbox("Sizes count", value=True)
                self.mirrored = ui.checkbox("Mirrored ones, too", value=True)
                self.threshold = ui.number("Near: at most % apart", value=2.0, min=0.1, max=20, step=0.5)
                self.threshold.props("dense outlined")
                self.start = button("Find copies", self.find, "main")
                self.save = button("Download as CSV", self._download, "quiet")
            self.bar = ui.linear_progress(0.0, show_value=False).props("instant-feedback")
            self.bar.props["aria-label"] = "progress"
            self.error = Alert()
            self.groups = ui.element("div").classes("groups")
            self.more = button("Show more", self.show_more, "quiet more")
        for hidden in (self.bar, self.more, self.save):
            hidden.set_visibility(False)

    async def find(self) -> None:
        """Look for copies, and show them."""
        self.start.props["disabled"] = True
        self.error.show("")
        self.bar.set_visibility(True)
        with self.groups:
            clock = ui.timer(0.3, self._tick)
        try:
            found = await run.io_bound(self._find)
            if found is None:  # the server is stopping
                return
            self.found, self.shown = found, 0
            self.note.set_text(f"{found.summary()} {self.said}")
            self.groups.clear()
            self.show_more()
        except UserError as error:
            self.error.show(str(error))
        finally:
            clock.cancel()
            self.bar.set_visibility(False)
            del self.start.props["disabled"]

    def _find(self) -> Duplicates:
        def seen(doing: str, share: float) -> None:
            self.progress = doing, share

        with progress_seen(seen), console.capture() as said:
            found = find_duplicates(
                self.index.collection,
                size="on" if self.size.value else "off",
                mirrored=bool(self.mirrored.value),
                threshold=float(self.threshold.value or 2.0),
            )
        self.said = " ".join(said.get().split())  # what the terminal would have shown
        return found

    def _tick(self) -> None:
        doing, share = self.progress
        self.bar.set_value(share)
        self.note.set_text(f"{doing.capitalize()}: {100 * share:.0f} %" if doing else "Starting …")

    def show_more(self) -> None:
        """Show the next groups."""
        groups = self.found.groups if self.found else []
        with self.groups:
            for group in groups[self.shown : self.shown + PAGE]:
                with ui.element("div").classes("grid group"):
                    for copy in group:
                        self._card(copy)
        self.shown = min(self.shown + PAGE, len(groups))
        self.more.set_visibility(self.shown < len(groups))
        self.save.set_visibility(bool(groups))

    def _card(self, copy: Copy) -> None:
        i = self.places[copy.id]
        size = self.index.facts.size(i)
        below = " · ".join(filter(None, [copy.evidence(), size]))
        card(i, copy.relation, "", copy.id, partial(self.on_open, i), below)

    def _download(self) -> None:
        if self.found:
            with TemporaryDirectory() as folder:
                self.found.to_csv(path := Path(folder) / "copies.csv")
                ui.download.content(path.read_bytes(), path.name)
