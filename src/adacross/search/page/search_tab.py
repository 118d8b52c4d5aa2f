"""The tab "Search": the query and its filters on the left, the results on the right."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import perf_counter

import numpy as np
from jaxtyping import Int64
from nicegui import run, ui

from adacross.search.calibrate import explained
from adacross.search.index import NO_CLASS, Orientation, SearchIndex
from adacross.search.map import strangeness
from adacross.search.page.query_panel import QueryPanel
from adacross.search.page.selection import Selection
from adacross.search.page.widgets import button, card, text
from adacross.search.query import Query
from adacross.search.results import Neighbors
from adacross.search.rows import match_rows, shape_row, to_csv
from adacross.search.scale import WORDS

PAGE = 24  # shapes that are added at a time
LISTED = 10_000  # rows of a CSV file, at most
_ORDERS = {
    "similarity": "Similarity",
    "class": "Class",
    "name": "Name",
    "size": "Size, largest first",
    "strange": "Strangest first",
}
_LEAST = {"": "any", "same": "the same", "very like": "very like, or the same", "like": "like, or more so"}


@dataclass(frozen=True, eq=False)
class Hits:
    """Shapes that are listed, in order, and the words beside each."""

    indices: Int64[np.ndarray, " k"]
    words: dict[int, str]  # likeness, by shape
    copies: dict[int, int]  # further shapes of the same content that are not listed, by shape
    neighbors: Neighbors | None  # with a query


class SearchTab:
    """The tab and its state: queries, filters, order, and how much is shown."""

    def __init__(self, index: SearchIndex, selection: Selection) -> None:
        self.index = index
        self.selection = selection
        self.on_open: Callable[[int], object] = lambda i: None
        self.hits = Hits(np.zeros(0, dtype=np.int64), {}, {}, None)
        self.shown = 0
        self.turn = 0  # of refreshing; a later one makes those that are under way void
        self.marks: dict[int, ui.element] = {}
        with ui.element("div").classes("columns"):
            with ui.element("aside"):
                self.queries = QueryPanel(index, self.refresh)
                self._filters()
            with ui.element("section").classes("results"):
                with ui.element("div").classes("above"):
                    self.heading = text("h2", "")
                    self.note = text("small", "")
                    self.measured = text("p", "", "measured")
                self.grid = ui.element("div").classes("grid")
                self.more = button("Show more", self.show_more, "quiet more")
                self.save = button("Download as CSV", self._download, "quiet")
        selection.on_change.append(self._mark)

    def _filters(self) -> None:
        facts, collection = self.index.facts, self.index.collection
        self.text = ui.input("Name, part number or class").props("dense outlined clearable debounce=250")
        names = sorted(collection.info.classes)
        if names and (collection.labels < 0).any():
            names.append(NO_CLASS)
        self.classes = ui.select(names, label="Classes", multiple=True, clearable=True, with_input=True)
        self.classes.props("dense outlined use-chips options-dense").set_visibility(bool(names))
        with ui.element("div").classes("pair") as sizes:
            self.least = ui.number("Longest side ≥").props("dense outlined clearable debounce=250")
            self.most = ui.number("Longest side ≤").props("dense outlined clearable debounce=250")
        sizes.set_visibility(not np.isnan(facts.largest).all())
        self.likeness = ui.select(_LEAST, label="Similarity at least", value="").props("dense outlined")
        self.order = ui.select(_ORDERS, label="Order by", value="similarity").props("dense outlined")
        self.turned = ui.checkbox("Parts lie in any orientation")
        self.turned.set_visibility(self.index.encoder.inputs.up != "any")
        self.single = ui.checkbox("Show copies once", value=True)
        self.single.set_visibility(bool((facts.copy_of != np.arange(len(self.index))).any()))
        self.queries.add_axis()
        for control in (self.text, self.classes, self.least, self.most, self.likeness, self.order):
            control.on_value_change(self.refresh)
        for box in (self.turned, self.single):
            box.on_value_change(self.refresh)

    async def search_with(self, i: int) -> None:
        """Search with a shape of the collection."""
        ui.run_javascript("scrollTo({ top: 0 })")  # before the grid is emptied, in which the button may lie
        await self.queries.use(self.index.query(i))

    def browse(self) -> None:
        """Show the collection, on a page without a query."""
        self._fill(self._find(None, None, self._among()), 0.0)

    async def refresh(self) -> None:
        """Search again and show the results."""
        self.turn += 1
        turn = self.turn
        start = perf_counter()
        hits = await run.io_bound(self._find, self.queries.active, self._wanted(), self._among())
        if hits is not None and turn == self.turn:  # or the server is stopping, or something else is searched
            self._fill(hits, perf_counter() - start)

    def _wanted(self) -> list[str] | None:
        """Return the chosen classes, None for all."""
        return list(self.classes.value or []) or None

    def _fill(self, hits: Hits, passed: float) -> None:
        """Show results that took `passed` seconds."""
        query, wanted = self.queries.active, self._wanted()
        self.hits, self.shown = hits, 0
        count = f"{len(hits.indices):,} shapes{f' of {len(wanted)} classes' if wanted else ''}"
        scale = hits.neighbors.scale if hits.neighbors else None
        if hits.neighbors and query:
            kind = "image-to-shape" if hits.neighbors.space == "images" else "shape-to-shape"
            self.heading.set_text(f"Similar to {query.name}")
            self.note.set_text(f"{count}, {kind} search in {1000 * passed:.0f} ms")
        else:
            self.heading.set_text("Browse the collection")
            self.note.set_text(f"{count}. Click one to turn it and to see what is like it.")
        self.measured.set_text(scale.summary() if scale else "")
        self.measured.set_visibility(scale is not None)
        self.measured.classes(remove="warning", add="warning" if scale and scale.finds_little else None)
        self.marks = {}
        self.grid.clear()
        if not len(hits.indices):
            with self.grid:
                text("p", "No shape is like that. Take a filter away.")
        self.save.set_visibility(bool(len(hits.indices)))
        self.show_more()

    def _among(self) -> Int64[np.ndarray, " k"]:
        """Return the shapes that the text and the sizes allow, those that a text fits best first."""
        facts = self.index.facts
        found = facts.find(self.text.value or "")
        low, high = self.least.value, self.most.value
        if low is not None or high is not None:
            sides = facts.largest[found]
            fits = (sides >= (0 if low is None else low)) & (sides <= (np.inf if high is None else high))
            found = found[fits]
        return found

    def _find(self, query: Query | None, classes: list[str] | None, among: Int64[np.ndarray, " k"]) -> Hits:
        """Search, or list shapes without a query; runs in a thread."""
        index, neighbors, words = self.index, None, dict[int, str]()
        if query is None:
            found = among[index.candidates(classes)[among]]
            if not self.text.value:  # a mixed selection comes first
                found = np.random.default_rng(0).permutation(found)
        else:
            mask = np.zeros(len(index), dtype=bool)
            mask[among] = True
            orientation: Orientation = "any" if self.turned.value else "up"
            results = index.search(query, len(index), classes=classes, orientation=orientation, among=mask)
            neighbors = explained(index, results)
            found = neighbors.indices
            words = dict(zip(found.tolist(), neighbors.likeness, strict=True))
            if self.likeness.value and neighbors.scale:
                least = WORDS.index(self.likeness.value)
                found = np.array(
                    [i for i in found.tolist() if WORDS.index(words[i]) <= least], dtype=np.int64
                )
        copies: dict[int, int] = {}
        if self.single.value:
            _, first, counts = np.unique(index.facts.copy_of[found], return_index=True, return_counts=True)
            copies = dict(zip(found[first].tolist(), (counts - 1).tolist(), strict=True))
            found = found[np.sort(first)]
        return Hits(self._ordered(found), words, copies, neighbors)

    def _ordered(self, found: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
        ids = self.index.collection.ids
        rows = found.tolist()
        match self.order.value:
            case "class":
                rows.sort(key=lambda i: self.index.class_of(i) or "")
            case "name":
                rows.sort(key=lambda i: ids[i])
            case "size":
                return found[np.argsort(-self.index.facts.largest[found], kind="stable")]
            case "strange":
                return found[np.argsort(-strangeness(self.index)[found], kind="stable")]
        return np.array(rows, dtype=np.int64)

    def show_more(self) -> None:
        """Show the next shapes."""
        facts, ids = self.index.facts, self.index.collection.ids
        with self.grid:
            for i in self.hits.indices[self.shown : self.shown + PAGE].tolist():
                title = self.index.class_of(i) or ids[i]
                more = self.hits.copies.get(i, 0)
                below = " · ".join(filter(None, [facts.size(i), f"{more:,} more copies" if more else ""]))
                with card(i, title, self.hits.words.get(i, ""), ids[i], partial(self.on_open, i), below):
                    button("similar", partial(self.search_with, i), "similar", f"search with {ids[i]}")
                    self.marks[i] = button("", partial(self.selection.toggle, i), "mark", f"select {ids[i]}")
        self.shown = min(self.shown + PAGE, len(self.hits.indices))
        self.more.set_visibility(self.shown < len(self.hits.indices))
        self._mark()

    def _mark(self) -> None:
        """Show which of the cards are selected."""
        for i, mark in self.marks.items():
            mark.props["aria-pressed"] = "true" if i in self.selection.chosen else "false"

    def _download(self) -> None:
        hits = self.hits
        if hits.neighbors is None:
            rows = [shape_row(self.index, i) for i in hits.indices[:LISTED].tolist()]
        else:
            wanted = set(hits.indices.tolist())
            found = zip(hits.neighbors.indices.tolist(), match_rows(self.index, hits.neighbors), strict=True)
            rows = list(islice((row for i, row in found if i in wanted), LISTED))
        ui.download.content(to_csv(rows), "shapes.csv")
