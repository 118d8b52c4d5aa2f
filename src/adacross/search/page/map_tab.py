"""The tab "Map": every shape as a dot, near similar ones."""

import html
from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import events, run, ui

from adacross.data.rendering.palette import SYMBOLS, palette
from adacross.search.index import SearchIndex
from adacross.search.map import Layout, compute_map
from adacross.search.page.widgets import CONFIG, text

_HELP = (
    "Close dots are similar to the encoder ({method}); distances between far ones mean little. "
    "Hover for a preview, click to open a shape; scroll to zoom, drag to pan."
)
_FONT = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"
_PLAIN = "#1d5d9f"
_NO_CLASS = "#9a9da3"


class MapTab:
    """The map, which is computed when the tab is first opened."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.on_open: Callable[[int], None] = lambda i: None
        self.drawn = False
        self.box = ui.element("div").classes("map-tab")

    async def show(self) -> None:
        """Draw the map, once."""
        if self.drawn:
            return
        self.drawn = True
        with self.box:
            with ui.element("div").classes("waiting") as waiting:
                ui.spinner(size="2rem")
                text("p", "Computing the map. It is cached for the next time.")
            layout = await run.io_bound(compute_map, self.index)
            waiting.delete()
            if layout is None:  # the server is stopping
                return
            text("p", _HELP.format(method=layout.method), "note")
            plot = ui.plotly(map_figure(self.index, layout)).classes("map")
        plot.on("plotly_hover", js_handler="(event) => showShape(event)")
        plot.on("plotly_unhover", js_handler="() => hideShape()")
        plot.on("plotly_click", self._clicked, js_handler="(event) => emit(event.points[0].customdata)")

    def _clicked(self, event: events.GenericEventArguments) -> None:
        if isinstance(event.args, int) and 0 <= event.args < len(self.index.collection):
            self.on_open(event.args)


def map_figure(index: SearchIndex, layout: Layout) -> dict[str, Any]:
    """Return a Plotly figure with a trace for each class; `customdata` are the shapes' indices."""
    labels, names = index.collection.labels, index.collection.info.classes
    groups = [(name, np.flatnonzero(labels == label)) for label, name in enumerate(names)]
    groups = [(name, rows) for name, rows in groups if len(rows)]
    colors = palette(len(groups))
    if len(rest := np.flatnonzero(labels < 0)):
        groups.append(("no class" if groups else "", rest))
        colors.append(_NO_CLASS if len(groups) > 1 else _PLAIN)
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
            "dragmode": "pan",
            "hovermode": "closest",
            "hoverdistance": 12,
            "showlegend": len(traces) > 1,
            "legend": {"font": {"size": 12, "color": "#1b1c1e"}, "itemsizing": "constant"},
            "font": {"family": _FONT},
            "uirevision": "keep",
        },
        "config": CONFIG,
    }
