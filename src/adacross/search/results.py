"""The shapes nearest to a query: as a table, in a notebook, as an image or an HTML page."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from adacross.console import Table
from adacross.data.collection.collection import Collection
from adacross.data.collection.contact_sheet import fitted
from adacross.data.rendering.notebook import cloud_image, figure_html, gallery_html
from adacross.errors import check_ending, shortened
from adacross.io.files import whole_file
from adacross.search.query import Query
from adacross.search.scale import Scale

ENDINGS, WRITES = (".png", ".html"), "expected a file that ends in .png or .html"
TILE, CAPTION, GAP, COLUMNS = 200, 46, 12, 5
_INK, _FAINT, _PAPER, _LINE = (27, 28, 30), (90, 94, 101), (255, 255, 255), (226, 225, 219)
_STYLE = """:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1080px; padding: 1.5rem 1.25rem 3rem; background: #fdfdfb; color: #1b1c1e;
  font: 15px/1.45 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }"""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The shapes nearest to a query, the most similar first."""

    query: Query
    collection: Collection  # that was searched
    space: str  # "shapes" (the encoder's features) or "images" (the joint space of clouds and images)
    indices: Int64[np.ndarray, " k"]  # into the collection
    similarities: Float32[np.ndarray, " k"]  # cosine similarities, at most 1
    scale: Scale | None = None  # of the similarities, where the collection is large enough for one

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def ids(self) -> tuple[str, ...]:
        """The shapes' ids."""
        return tuple(self.collection.ids[i] for i in self.indices)

    @property
    def classes(self) -> tuple[str | None, ...]:
        """The names of their classes, None where there is none."""
        names = self.collection.info.classes
        return tuple(names[label] if label >= 0 else None for label in self.collection.labels[self.indices])

    @property
    def likeness(self) -> tuple[str, ...]:
        """The similarities in words; "" without a scale."""
        return tuple(self.scale.word(value) if self.scale else "" for value in self.similarities.tolist())

    def table(self) -> Table:
        """Render as a rich table: rank, id, class, similarity, and the same in words."""
        table = Table(
            title=f"nearest to {self.query.name}", caption=self.scale.summary() if self.scale else None
        )
        for name in ("rank", "id", "class", "similarity", *(["likeness"] if self.scale else [])):
            table.add_column(name, justify="right" if name in ("rank", "similarity") else "left")
        rows = zip(self.ids, self.classes, self.similarities, self.likeness, strict=True)
        for rank, (name, class_name, similarity, word) in enumerate(rows, 1):
            cells = (str(rank), name, shortened(class_name or ""), f"{similarity:.3f}")
            table.add_row(*cells, *([word] if self.scale else []))
        return table

    def __repr__(self) -> str:
        return f"Neighbors(of {self.query.name!r}: {', '.join(self.ids[:3])}{', ...' * (len(self) > 3)})"

    def _repr_html_(self) -> str:
        """Render the query, and the results below it, for notebooks and `--output results.html`."""
        rows = zip(self.indices, self.ids, self.classes, self.similarities, strict=True)
        figures = [
            figure_html(
                self.collection.thumbnail(int(i)),
                class_name or f"rank {rank}",
                value=f"{similarity:.3f}",
                name=name,
            )
            for rank, (i, name, class_name, similarity) in enumerate(rows, 1)
        ]
        query = figure_html(
            query_image(self.query, self.collection), "query", name=self.query.name, width="160px"
        )
        return f"{query}<hr>{gallery_html(figures)}"


def query_image(query: Query, collection: Collection) -> UInt8[np.ndarray, "S S 3"]:
    """Return an image of a query."""
    if query.index is not None:
        return collection.thumbnail(query.index)
    if query.image is not None:
        return query.image
    return cloud_image(np.zeros((0, 3)) if query.points is None else query.points)


def write_results(neighbors: Neighbors, path: Path) -> None:
    """Write a query and its results as an image or as one HTML page, whole or not at all."""
    check_ending(path, ENDINGS, WRITES)
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".html":
            temporary.write_text(_page(neighbors), encoding="utf-8", errors="replace")
        else:
            draw_sheet(neighbors).save(temporary, "PNG", optimize=True)


def _page(neighbors: Neighbors) -> str:
    title = escape(f"Nearest to {neighbors.query.name} in {neighbors.collection.info.name}")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{neighbors._repr_html_()}</body></html>\n"
    )


def draw_sheet(neighbors: Neighbors) -> Image.Image:
    """Draw the query on the left and the results beside it, in rows of `COLUMNS`."""
    rows = max(1, -(-len(neighbors) // COLUMNS))
    wide, tall = TILE + GAP, TILE + CAPTION + GAP
    sheet = Image.new("RGB", ((COLUMNS + 1) * wide + 3 * GAP, rows * tall + GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    query = neighbors.query
    sheet.paste(_tile(query_image(query, neighbors.collection), ["query", query.name]), (GAP, GAP))
    line = wide + GAP
    draw.line([(line, GAP), (line, sheet.height - GAP)], fill=_LINE, width=1)
    results = zip(neighbors.indices, neighbors.ids, neighbors.classes, neighbors.similarities, strict=True)
    for place, (i, name, class_name, similarity) in enumerate(results):
        title = f"{class_name}  {similarity:.3f}" if class_name else f"{similarity:.3f}"
        tile = _tile(neighbors.collection.thumbnail(int(i)), [title, name])
        sheet.paste(tile, (line + GAP + place % COLUMNS * wide, GAP + place // COLUMNS * tall))
    return sheet


def _tile(image: UInt8[np.ndarray, "H W 3"], lines: list[str]) -> Image.Image:
    """Return an image with a dark and a faint line of text below it."""
    tile = Image.new("RGB", (TILE, TILE + CAPTION), _PAPER)
    draw = ImageDraw.Draw(tile)
    tile.paste(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.LANCZOS), (0, 0))
    draw.rectangle([(0, 0), (TILE - 1, TILE - 1)], outline=_LINE)
    for place, (text, size, color) in enumerate(zip(lines, (14, 11), (_INK, _FAINT), strict=True)):
        short = fitted(text, size, TILE - 2, end=True)
        draw.text((1, TILE + 5 + 20 * place), short, fill=color, font=ImageFont.load_default(size))
    return tile
