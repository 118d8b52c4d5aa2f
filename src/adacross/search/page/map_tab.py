"""The tab "Map": every shape as a dot, near similar ones."""

import html
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int64
from nicegui import events, run, ui

from adacross.data.rendering.palette import SYMBOLS, palette
from adacross.features.projection import clusters_of
from adacross.search.index import SearchIndex
from adacross.search.map import Layout, compute_map
from adacross.search.page.selection import Selection
from adacross.search.page.widgets import CONFIG, button, text

_HELP = (
    "Close dots are similar to the encoder ({method}); distances between far ones mean little. "
    "Hover for a preview, click to open a shape; scroll to zoom, drag to pan, or to select with the lasso."
)
_FONT = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"
_PLAIN = "#2f74bb"
_NONE = "#9a9da3"
_COLORS = {"class": "Class", "cluster": "Cluster", "size": "Size"}
_SIZES = 5  # groups of shapes by size


class MapTab:
    """The map, which is computed when the tab is first opened."""

    def __init__(self, index: SearchIndex, selection: Selection) -> None:
        self.index = index
        self.selection = selection
        self.on_open: Callable[[int], object] = lambda i: None
        self.layout: Layout | None = None
        self.drawn = False
        self.dragmode = "pan"
        labeled = bool((index.collection.labels >= 0).any())
        colors = {name: words for name, words in _COLORS.items() if name != "class" or labeled}
        if np.isnan(index.facts.largest).all():
            del colors["size"]
        with ui.element("div").classes("map-tab"):
            with ui.element("div").classes("options"):
                self.color = ui.select(
                    colors, label="Color by", value=next(iter(colors)), on_change=self._draw
                )
                self.color.props("dense outlined")
                self.lasso = button("Select with the lasso", self._toggle, "quiet")
                self.lasso.props["aria-pressed"] = "false"
                self.lasso.on("click", js_handler="(event) => useLasso(event.currentTarget)")
                self.help = text("p", "", "note")
            self.box = ui.element("div")

    async def show(self) -> None:
        """Draw the map, once."""
        if not self.drawn:
            self.drawn = True
            await self._draw()

    async def _draw(self) -> None:
        self.box.clear()
        with self.box, ui.element("div").classes("waiting"):
            ui.spinner(size="2rem")
            text("p", "Computing the map. It is cached for the next time.")
        figure = await run.io_bound(self._figure, self.color.value)
        self.box.clear()
        if figure is None or self.layout is None:  # the server is stopping
            return
        self.help.set_text(_HELP.format(method=self.layout.method))
        with self.box:
            plot = ui.plotly(figure).classes("map")
        plot.props["aria-label"] = "map of the collection"
        plot.props["role"] = "img"
        plot.on("plotly_hover", js_handler="(event) => showShape(event)")
        plot.on("plotly_unhover", js_handler="() => hideShape()")
        plot.on("plotly_click", self._clicked, js_handler="(event) => emit(event.points[0].customdata)")
        chosen = "(event) => event && emit(event.points.map((point) => point.customdata))"
        plot.on("plotly_selected", self._selected, js_handler=chosen)

    def _figure(self, color: str) -> dict[str, Any]:
        self.layout = self.layout or compute_map(self.index)
        figure = map_figure(self.layout, groups_of(self.index, self.layout, color))
        figure["layout"]["dragmode"] = self.dragmode
        return figure

    def _toggle(self) -> None:
        """Remember for the next drawing what the browser has done already."""
        self.dragmode = "pan" if self.dragmode == "lasso" else "lasso"
        self.lasso.props["aria-pressed"] = "true" if self.dragmode == "lasso" else "false"

    def _clicked(self, event: events.GenericEventArguments) -> Any:
        if isinstance(event.args, int) and 0 <= event.args < len(self.index):
            return self.on_open(event.args)
        return None

    def _selected(self, event: events.GenericEventArguments) -> None:
        given = event.args if isinstance(event.args, list) else []
        self.selection.set(i for i in given if isinstance(i, int) and 0 <= i < len(self.index))


def groups_of(index: SearchIndex, layout: Layout, color: str) -> list[tuple[str, Int64[np.ndarray, " k"]]]:
    """Return the shapes that have one color each, by the name of their class, cluster or range of sizes."""
    if color == "cluster":
        of, rest = clusters_of(layout.xy), "no cluster"
        names = [f"cluster {number}" for number in range(1, int(of.max(initial=-1)) + 2)]
    elif color == "size":
        sides, rest = index.facts.largest, "size not known"
        bounds = np.unique(np.nanquantile(sides, np.linspace(0, 1, _SIZES + 1)))
        of = np.searchsorted(bounds[1:-1], sides, side="right")
        of = np.where(np.isnan(sides), -1, of)
        names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(bounds.tolist())] or [
            f"{bounds[0]:.3g}"
        ]
    else:
        of, names, rest = index.collection.labels, index.collection.info.classes, "no class"
    groups = [(name, np.flatnonzero(of == number)) for number, name in enumerate(names)]
    return [group for group in [*groups, (rest, np.flatnonzero(of < 0))] if len(group[1])]


def map_figure(layout: Layout, groups: list[tuple[str, Int64[np.ndarray, " k"]]]) -> dict[str, Any]:
    """Return a Plotly figure with a trace for each group of shapes; `customdata` are the shapes' indices."""
    colors = palette(len(groups)) if len(groups) > 1 else [_PLAIN]
    if groups[-1][0].startswith("no "):
        colors[-1] = _NONE
    xy = layout.xy.astype(np.float64)
    size = 8 if len(xy) <= 3000 else 6 if len(xy) <= 15_000 else 4
    traces = [
        {
            "type": "scattergl",
            "mode": "markers",
            "name": html.escape(name, quote=False),
            "meta": name,
            "x": [float(f"{value:.4g}") for value in xy[rows, 0]],
            "y": [float(f"{value:.4g}") for value in xy[rows, 1]],
            "customdata": rows.tolist(),
            "hoverinfo": "none",
            "marker": {"size": size, "opacity": 0.85, "color": color, "symbol": SYMBOLS[rank % len(SYMBOLS)]},
        }
        for rank, ((name, rows), color) in enumerate(zip(groups, colors, strict=True))
    ]
    hidden = {"visible": False}
    return {
        "data": traces,
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 4, "r": 4, "t": 4, "b": 4},
            "xaxis": hidden,
            "yaxis": hidden | {"scaleanchor": "x"},
            "hovermode": "closest",
            "hoverdistance": 12,
            "showlegend": len(traces) > 1,
            "legend": {"font": {"size": 12}, "itemsizing": "constant"},
            "font": {"family": _FONT},
            "uirevision": "keep",
        },
        "config": CONFIG,
    }
