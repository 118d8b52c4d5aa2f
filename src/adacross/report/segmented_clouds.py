"""Point clouds colored by part: truth, predictions and errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from adacross.data.rendering.palette import part_colors
from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud
from adacross.evaluation.segmentation.training import Example
from adacross.report.drawing import BALL, GIVEN, LIGHT, PREDICTED, ROOM, SIDE, webp
from adacross.report.html import Html, image, percent, tag

STARTS = ("pre-trained", "from scratch")
_IMAGE = 160  # CSS pixels
_OTHER = "#2f3033"  # another category's part
_NONE = "#b9bbbd"  # no part is known


def segmented_clouds(examples: Sequence[Example], names: Sequence[str], of: str) -> list[Html]:
    """Return rows of images: truth, both predictions, and where they are wrong.

    Args:
        examples: what an evaluation kept.
        names: of all parts.
        of: what the networks were, for the text.
    """
    if not examples:
        return []
    text = (
        f"Random test shapes; networks of the first seed, {of}. Below the "
        "predictions: the share of correct points. The last two images mark errors."
    )
    right, wrong = (_rgb(color) for color in (GIVEN, PREDICTED))
    legend = tag("p", _key(right, "right"), _key(wrong, "wrong"), class_="legend")
    rows = [_row(_Shown.of(example, names), example) for example in examples]
    return [tag("h3", "Truth and predictions"), tag("p", text), legend, tag("div", *rows)]


@dataclass(frozen=True)
class _Shown:
    """An example ready to be drawn: its points, three labellings, and what its colors mean."""

    points: Int64[np.ndarray, "N 3"]
    labels: tuple[Int64[np.ndarray, " N"], ...]
    meaning: dict[int, tuple[str, str]]  # from part to name and color

    @classmethod
    def of(cls, example: Example, names: Sequence[str]) -> "_Shown":
        """Give a color to every part of the shape's own category that occurs."""
        labels = tuple(np.array(part) for part in (example.truth, example.pretrained, example.scratch))
        present = sorted({int(part) for part in np.unique(np.concatenate(labels)) if part >= 0})
        prefix = f"{example.category}/"
        own = present
        if any(names[part].startswith(prefix) for part in present):
            own = [part for part in present if names[part].startswith(prefix)]
        colors = part_colors(str(part) for part in own)
        named = [names[part].removeprefix(prefix) for part in own]
        meaning = dict(zip(own, zip(named, colors, strict=True), strict=True))
        return cls(np.array(example.points), labels, meaning)

    def colors(self, label: Int64[np.ndarray, " N"]) -> UInt8[np.ndarray, "N 3"]:
        """Return the color of every point."""
        known = {part: color for part, (_, color) in self.meaning.items()} | {-1: _NONE}
        return np.array([_bytes(known.get(int(part), _OTHER)) for part in label], dtype=np.uint8)


def _row(shown: _Shown, example: Example) -> Html:
    truth, *predicted = shown.labels
    known: Bool[np.ndarray, " N"] = np.asarray(truth >= 0)
    figures = [("truth", shown.colors(truth))]
    wrong: list[tuple[str, np.ndarray]] = []
    for name, label in zip(STARTS, predicted, strict=True):
        right = float((label == truth)[known].mean()) if known.any() else 0.0
        figures.append((f"{name}, {percent(right, 0)}", shown.colors(label)))
        wrong.append((f"{name}, wrong", _marked(known & (label != truth))))
    what = example.category or example.id
    boxes = [
        tag("figure", image(_drawn(shown.points, colors), f"{what}: {name}", _IMAGE),
            tag("figcaption", name))
        for name, colors in [*figures, *wrong]
    ]  # fmt: skip
    keys = [_key(color, name) for name, color in shown.meaning.values()]
    everything = np.concatenate(shown.labels)
    if not np.isin(everything, [-1, *shown.meaning]).all():
        keys.append(_key(_OTHER, "another category's"))
    if not known.all():
        keys.append(_key(_NONE, "unknown"))
    title = [tag("b", what), *([tag("small", example.id)] if example.category else [])]
    head = tag("p", *title, class_="completion-name")
    legend = tag("p", *keys, class_="legend")
    return tag("div", head, *boxes, legend, class_="segmented", role="group", aria_label=what)


def _drawn(points: Int64[np.ndarray, "N 3"], colors: UInt8[np.ndarray, "N 3"]) -> bytes:
    """Return a cloud as balls, `(N, 3)` in thousandths."""
    cloud = PointCloud(
        (ROOM * points / 1000).astype(np.float32),
        colors=(colors / LIGHT).clip(0, 255).round().astype(np.uint8),
    )
    ball = BALL * ROOM / math.sqrt(len(points))
    return webp(render_cloud(cloud, orbit(1), SIDE, ball)[0], _IMAGE)


def _marked(wrong: Bool[np.ndarray, " N"]) -> UInt8[np.ndarray, "N 3"]:
    return np.array([GIVEN, PREDICTED], dtype=np.uint8)[wrong.astype(int)]


def _bytes(color: str) -> tuple[int, int, int]:
    """ "#rrggbb" as numbers."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def _rgb(color: tuple[int, int, int]) -> str:
    return f"rgb{color}"


def _key(background: str, text: str) -> Html:
    return tag("span", tag("i", class_="patch", style=f"background:{background}"), text)
