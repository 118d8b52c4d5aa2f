"""Common colors, axes and JSON of the figures.

Colors that must follow the reader's light or dark theme are names of the page's CSS variables ("--ink");
`report.js` replaces them under every key that ends in "color" or "colorscale" when it draws.
"""

import html
import json
import math
from typing import Any

import numpy as np
from jaxtyping import Float

LINES = ("--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6")
_FONT = (
    "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif"
)


def plot_text(text: str) -> str:
    """Return `text` so that Plotly, which reads a subset of HTML in labels, shows it literally."""
    return html.escape(text, quote=False)


def numbers(values: Float[np.ndarray, " n"], digits: int = 4) -> list[float | None]:
    """Return an array as JSON numbers of `digits` significant digits; what is not finite becomes null."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.tolist()]


def embed_json(value: Any) -> str:
    """Return JSON that is safe inside a script element, whatever the strings in it are.

    `<`, `>` and `&` are written as escapes, so neither a closing tag nor a comment can appear.

    Raises:
        ValueError: for a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def layout(**changes: Any) -> dict[str, Any]:
    """Return the figures' common Plotly layout with `changes` on top."""
    common: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 12, "color": "--muted"},
        "margin": {"l": 52, "r": 12, "t": 12, "b": 40},
        "hoverlabel": {
            "bgcolor": "--panel",
            "bordercolor": "--line",
            "font": {"family": _FONT, "color": "--ink"},
        },
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": "--ink"}},
        "uirevision": "keep",
    }
    return common | changes


def axis(title: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return one axis in the page's style."""
    style: dict[str, Any] = {
        "gridcolor": "--line",
        "linecolor": "--line",
        "zeroline": False,
        "automargin": True,
        "fixedrange": False,
    }
    if title is not None:
        style["title"] = {"text": title, "standoff": 8}
    return style | changes
