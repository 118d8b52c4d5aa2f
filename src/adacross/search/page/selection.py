"""Shapes that a visitor has selected: labeled, saved or forgotten together."""

from collections.abc import Callable, Iterable

from nicegui import run, ui

from adacross.errors import UserError
from adacross.search.index import SearchIndex
from adacross.search.page.label_tab import LabelFile
from adacross.search.page.widgets import Alert, button, text
from adacross.search.rows import shape_row, to_csv


class Selection:
    """The selected shapes, and the bar at the foot of the page that says what can be done with them."""

    def __init__(self, index: SearchIndex, labels: LabelFile) -> None:
        self.index = index
        self.labels = labels
        self.chosen: dict[int, None] = {}  # in the order of selection
        self.on_change: list[Callable[[], None]] = []
        with ui.element("div").classes("selection") as self.bar:
            self.bar.props["role"] = "region"
            self.bar.props["aria-label"] = "Selected shapes"
            self.count = text("b", "")
            self.name = ui.select(
                labels.classes, label="Class", with_input=True, new_value_mode="add-unique"
            ).props("dense outlined options-dense")
            button("Label", self._label, "main")
            button("Download CSV", self._download, "quiet")
            button("Clear", lambda: self.set([]), "quiet", "clear the selection")
            self.error = Alert()
        self.set([])

    def toggle(self, i: int) -> None:
        """Select a shape, or no longer."""
        self.set([one for one in self.chosen if one != i] if i in self.chosen else [*self.chosen, i])

    def set(self, chosen: Iterable[int]) -> None:
        """Select only these shapes."""
        self.chosen = dict.fromkeys(chosen)
        self.count.set_text(f"{len(self.chosen):,} selected")
        self.bar.set_visibility(bool(self.chosen))
        for changed in self.on_change:
            changed()

    async def _label(self) -> None:
        try:
            await run.io_bound(self.labels.assign, list(self.chosen), self.name.value or "")
        except UserError as error:
            self.error.show(str(error))
            return
        self.error.show("")
        ui.notify(f"{len(self.chosen):,} shapes labeled {self.name.value}: {self.labels.path.name}")
        self.set([])

    def _download(self) -> None:
        ui.download.content(to_csv([shape_row(self.index, i) for i in self.chosen]), "selected.csv")
