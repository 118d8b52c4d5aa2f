"""Boxes, arrows, clouds and small pictures as SVG, in colors that follow the page's light or dark theme."""

import base64
import io
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

# The site sets the same names for its own themes (docs/theme/extra.css); alone, a file follows the system's.
_LIGHT = "--ink:#1f2a37;--soft:#5d6b7a;--line:#8b98a5;--three:#2f6fde;--two:#c46a12;--loss:#0b7f63;--tint:.09"
_DARK = "--ink:#e6eaf0;--soft:#a3afbd;--line:#7d8996;--three:#7fb0ff;--two:#f2a65a;--loss:#53d3ae;--tint:.16"
STYLE = f"""
.diagram {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ .diagram {{ {_DARK} }} }}
.diagram text {{ font: 14.5px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: var(--ink) }}
.diagram .small {{ font-size: 12.5px; fill: var(--soft) }}
.diagram .strong {{ font-weight: 600 }}
.diagram .box {{ stroke-width: 1.6; fill-opacity: var(--tint) }}
.diagram .three {{ stroke: var(--three); fill: var(--three) }}
.diagram .two {{ stroke: var(--two); fill: var(--two) }}
.diagram .loss {{ stroke: var(--loss); fill: var(--loss) }}
.diagram .plain {{ stroke: var(--line); fill: var(--line) }}
.diagram .dots {{ fill: none; stroke-linecap: round }}
.diagram .hidden {{ stroke-opacity: 0.22 }}
.diagram .arrow {{ fill: none; stroke: var(--line); stroke-width: 1.6 }}
.diagram .tip {{ fill: var(--line) }}
.diagram .dashed {{ stroke-dasharray: 5 4 }}
"""


@dataclass
class Sketch:
    """A drawing `width` x `height` that grows by its methods; every place is in its own pixels.

    Kinds are the classes of the style: three (clouds), two (pictures), loss, plain.
    """

    name: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, classes: str = "", anchor: str = "middle") -> None:
        """A line of words around, from or up to `x`, its middle at `y`."""
        self.parts.append(
            f'<text x="{x:g}" y="{y + 5:g}" class="{classes}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, kind: str, *lines: str, round_: float = 8) -> None:
        """A box with up to three lines in its middle, the first one strong, the others small."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{round_:g}" class="box {kind}"/>'
        )
        top = y + h / 2 - 10 * (len(lines) - 1)
        for row, line in enumerate(lines):
            self.text(x + w / 2, top + 20 * row, line, "small" if row else "strong")

    def arrow(self, *corners: tuple[float, float], dashed: bool = False, tip: bool = True) -> None:
        """A line through the corners, with a tip at its end."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in corners)
        end = f' marker-end="url(#{self.name}-tip)"' if tip else ""
        self.parts.append(f'<path d="{path}" class="arrow{" dashed" if dashed else ""}"{end}/>')

    def dots(self, seen: np.ndarray, x: float, y: float, r: float, kind: str, size: float = 1.5) -> None:
        """Points `(n, 2)` of the unit circle, y up, around (x, y) with radius `r`."""
        places = np.round(np.stack([x + r * seen[:, 0], y - r * seen[:, 1]], 1), 1)
        path = "".join(f"M{px:g} {py:g}h0" for px, py in places)  # lines without length have round ends
        self.parts.append(f'<path d="{path}" class="dots {kind}" stroke-width="{2 * size:g}"/>')

    def picture(self, pixels: np.ndarray, x: float, y: float, side: float) -> None:
        """An image `(H, W)`, `(H, W, 3)` or, with opacity, `(H, W, 4)`, uint8, with its corner at (x, y)."""
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "webp", quality=80)
        url = base64.b64encode(data.getvalue()).decode()
        self.parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" '
            f'href="data:image/webp;base64,{url}"/>'
            f'<rect x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" class="arrow"/>'
        )

    def save(self, folder: Path) -> None:
        """Write `<name>.svg`."""
        tip = (
            f'<defs><marker id="{self.name}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>'
        )
        body = "\n".join(self.parts)
        size = f'viewBox="0 0 {self.width} {self.height}"'
        (folder / f"{self.name}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" {size}>'
            f"<style>{STYLE}</style>{tip}\n{body}\n</svg>\n",
            encoding="utf-8",
        )
