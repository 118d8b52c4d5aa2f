"""Pictures of shapes, and a sheet of what was found."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from adacross.data.collection.collection import Collection
from adacross.data.collection.contact_sheet import fitted
from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud
from adacross.search.index import Neighbours
from adacross.search.query import Query

TILE, CAPTION, GAP, COLUMNS = 200, 46, 12, 5
DRAWN = 192  # pixels of a picture that is drawn from points
_INK, _FAINT, _PAPER, _LINE = (27, 28, 30), (90, 94, 101), (255, 255, 255), (226, 225, 219)


def shape_picture(collection: Collection, i: int) -> UInt8[np.ndarray, "S S 3"]:
    """The first stored picture of shape `i`, or one drawn from its points where there is none."""
    if collection.info.views:
        return collection.view(i, 0)
    return cloud_picture(collection.points(np.array([i]))[0])


def cloud_picture(points: Float[np.ndarray, "N 3"], size: int = DRAWN) -> UInt8[np.ndarray, "S S 3"]:
    """A picture drawn from points."""
    drawn: UInt8[np.ndarray, "S S 3"] = render_cloud(PointCloud(points.astype(np.float32)), orbit(1), size)[0]
    return drawn


def query_picture(query: Query, collection: Collection) -> UInt8[np.ndarray, "S S 3"]:
    """What a query looks like."""
    if query.own is not None:
        return shape_picture(collection, query.own)
    if query.picture is not None:
        return query.picture
    return cloud_picture(np.zeros((0, 3)) if query.points is None else query.points)


def png(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """A picture as a PNG file's bytes."""
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def draw_sheet(found: Neighbours, collection: Collection) -> Image.Image:
    """The query on the left, what was found beside it, in rows of `COLUMNS`."""
    rows = max(1, -(-len(found.indices) // COLUMNS))
    wide, tall = TILE + GAP, TILE + CAPTION + GAP
    sheet = Image.new("RGB", ((COLUMNS + 1) * wide + 3 * GAP, rows * tall + GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(_tile(query_picture(found.query, collection), ["query", found.query.name]), (GAP, GAP))
    line = wide + GAP
    draw.line([(line, GAP), (line, sheet.height - GAP)], fill=_LINE, width=1)
    each = zip(found.indices, found.ids, found.classes, found.similarities, strict=True)
    for place, (i, name, class_name, similarity) in enumerate(each):
        words = f"{class_name}  {similarity:.3f}" if class_name else f"{similarity:.3f}"
        tile = _tile(shape_picture(collection, int(i)), [words, name])
        sheet.paste(tile, (line + GAP + place % COLUMNS * wide, GAP + place // COLUMNS * tall))
    return sheet


def _tile(picture: UInt8[np.ndarray, "H W 3"], lines: list[str]) -> Image.Image:
    """A picture with a dark and a faint line below."""
    tile = Image.new("RGB", (TILE, TILE + CAPTION), _PAPER)
    draw = ImageDraw.Draw(tile)
    tile.paste(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS), (0, 0))
    draw.rectangle([(0, 0), (TILE - 1, TILE - 1)], outline=_LINE)
    for place, (text, size, color) in enumerate(zip(lines, (14, 11), (_INK, _FAINT), strict=True)):
        draw.text(
            (1, TILE + 5 + 20 * place), fitted(text, size, TILE - 2, end=True), fill=color, font=_font(size)
        )
    return tile


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
