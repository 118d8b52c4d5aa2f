"""Pictures of shapes, and a sheet of what was found."""

from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from adacross.data.collection import Collection
from adacross.data.contact_sheet import Font, fitted
from adacross.data.render import orbit, render_cloud
from adacross.data.shape import Cloud
from adacross.errors import UserError
from adacross.files import whole_file
from adacross.search.index import Neighbours
from adacross.search.query import Query

TILE, CAPTION, GAP, COLUMNS = 200, 46, 12, 5
DRAWN = 192  # pixels of a picture that is drawn from points
ENDINGS = (".png", ".html")
_INK, _FAINT, _PAPER, _LINE = (27, 28, 30), (90, 94, 101), (255, 255, 255), (226, 225, 219)


def shape_picture(collection: Collection, i: int) -> UInt8[np.ndarray, "S S 3"]:
    """The first stored picture of shape `i`, or one drawn from its points where there is none."""
    if collection.info.views:
        return collection.view(i, 0)
    return cloud_picture(collection.points(np.array([i]))[0])


def cloud_picture(points: Float[np.ndarray, "N 3"], size: int = DRAWN) -> UInt8[np.ndarray, "S S 3"]:
    """A picture drawn from points."""
    drawn: UInt8[np.ndarray, "S S 3"] = render_cloud(Cloud(points.astype(np.float32)), orbit(1), size)[0]
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


def check_output(output: str) -> Path:
    """A path that `write_results` can write.

    Raises:
        UserError: another ending.
    """
    path = Path(output)
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"output is {output}; expected a file that ends in {' or '.join(ENDINGS)}.")
    return path


def write_results(found: Neighbours, collection: Collection, path: Path) -> None:
    """Write a query and what was found as a picture or as a page, whole or not at all.

    Raises:
        UserError: another ending than .png or .html, or a folder that cannot be written.
    """
    if check_output(str(path)).suffix.lower() == ".html":
        from adacross.search.results_page import results_page

        with whole_file(path) as temporary:
            temporary.write_text(results_page(found, collection), encoding="utf-8", errors="replace")
    else:
        sheet = draw_sheet(found, collection)
        with whole_file(path) as temporary:
            sheet.save(temporary, "PNG", optimize=True)


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
        draw.text((1, TILE + 5 + 20 * place), _fitted(text, size), fill=color, font=_font(size))
    return tile


def _fitted(text: str, size: int) -> str:
    """The end of a text that is wider than a tile: ids differ there."""
    return fitted(text, _font(size), TILE - 2, lambda count: f"…{text[len(text) - count :]}")


@lru_cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
