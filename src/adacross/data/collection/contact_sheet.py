"""Contact sheet: some shapes of every class of a collection, their views and their clouds."""

from bisect import bisect_left
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image, ImageColor, ImageDraw, ImageFont

from adacross.console import plain
from adacross.data.collection.collection import Collection
from adacross.data.rendering.palette import palette
from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud, Shape
from adacross.errors import UserError
from adacross.io.files import whole_file

CELL = 112
CAPTION = 132
ROWS = 48  # most shapes on a sheet
FEW = 24  # least shapes, where there are that many
VIEWS = 4
CLOUDS = 2
_INK, _FAINT, _PAPER, _CLUTTER = (20, 20, 20), (110, 110, 110), (255, 255, 255), (190, 190, 190)
# From low to high: dark blue, teal, green, yellow; evenly spaced in lightness, so it survives gray printing.
_HEIGHTS = np.array([(49, 54, 149), (38, 130, 142), (94, 180, 90), (253, 215, 50)], dtype=np.float64)


def write_contact_sheet(collection: Collection, path: Path) -> None:
    """Write a PNG with a row for each of some shapes: name, four views, the cloud from two sides.

    Clouds are colored by part (clutter gray) or by height. UserError for an empty or damaged collection.
    """
    chosen = choose(collection)
    if len(chosen) == 0:
        raise UserError(f"{collection.folder} holds no shapes, so there is nothing to draw.")
    blocks = 2 if len(chosen) > FEW // 2 else 1
    tall = -(-len(chosen) // blocks)
    views = min(VIEWS, collection.info.views)
    wide = CAPTION + (views + CLOUDS) * CELL
    sheet = Image.new("RGB", (blocks * wide, tall * CELL), _PAPER)
    for place, i in enumerate(chosen):
        row = draw_row(collection[int(i)], collection, views)
        sheet.paste(row, (place // tall * wide, place % tall * CELL))
    with whole_file(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)


def choose(collection: Collection) -> Int64[np.ndarray, " k"]:
    """Choose as many shapes of every class (of some, where there are very many), at most `ROWS` in all."""
    labels = collection.labels
    present = np.unique(labels)
    shown = present[np.linspace(0, len(present) - 1, min(ROWS, len(present))).astype(int)]
    groups = [np.flatnonzero(labels == label) for label in shown]
    each = max(1, -(-FEW // max(len(groups), 1)))
    picked = [g[np.unique(np.linspace(0, len(g) - 1, min(each, len(g))).astype(int))] for g in groups]
    return np.concatenate(picked)[:ROWS] if picked else np.zeros(0, dtype=np.int64)


def draw_row(shape: Shape, collection: Collection, views: int) -> Image.Image:
    """Draw one shape's caption, views and cloud, `CELL` pixels high."""
    row = Image.new("RGB", (CAPTION + (views + CLOUDS) * CELL, CELL), _PAPER)
    classes = collection.info.classes
    name = "(no class)" if shape.label is None or not classes else classes[shape.label]
    draw, small = ImageDraw.Draw(row), ImageFont.load_default(10)
    draw.text((8, 30), fitted(name, 13, CAPTION - 12), fill=_INK, font=ImageFont.load_default(13))
    draw.text((8, 50), fitted(shape.id, 10, CAPTION - 12, end=True), fill=_FAINT, font=small)
    draw.text((8, 64), shape.split, fill=_FAINT, font=small)
    turns = np.linspace(0, len(shape.views) - 1, views).astype(int)
    if shape.part is None:
        y = shape.points[:, 1]
        level = (y - y.min()) / max(float(np.ptp(y)), 1e-9) * (len(_HEIGHTS) - 1)
        channels = [np.interp(level, np.arange(len(_HEIGHTS)), channel) for channel in _HEIGHTS.T]
        colors = np.stack(channels, 1).astype(np.uint8)
    else:  # a color for each part; clutter is gray
        names = [*map(ImageColor.getrgb, palette(int(shape.part.max()) + 1)), _CLUTTER]
        colors = np.array(names, dtype=np.uint8)[shape.part]
    clouds = render_cloud(PointCloud(shape.points, colors=colors), orbit(CLOUDS), CELL - 2)
    for place, picture in enumerate([*shape.views[turns], *clouds]):
        image = Image.fromarray(picture).resize((CELL - 2, CELL - 2), Image.Resampling.LANCZOS)
        row.paste(image, (CAPTION + place * CELL + 1, 1))
    return row


def fitted(text: str, size: int, wide: int, *, end: bool = False) -> str:
    """Return as much of a text's beginning (or its `end`) as is `wide` pixels wide in the default font."""
    font = ImageFont.load_default(size)
    text = plain(text).replace("\n", " ")
    if len(text) <= wide and font.getlength(text) <= wide:  # a letter is wider than a pixel
        return text

    def cut(kept: int) -> str:
        return f"…{text[len(text) - kept :]}" if end else f"{text[:kept]}…"

    return cut(bisect_left(range(1, wide), True, key=lambda kept: font.getlength(cut(kept)) > wide))
