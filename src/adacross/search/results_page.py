"""What was found as a file: a picture, or one HTML page that needs nothing beside it."""

import base64
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from adacross.data.collection.collection import Collection
from adacross.errors import check_ending
from adacross.io.files import whole_file
from adacross.search.drawing import draw_sheet, png, query_picture, shape_picture
from adacross.search.index import Neighbours

ENDINGS, WRITES = (".png", ".html"), "expected a file that ends in .png or .html"
_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1080px; padding: 1.5rem 1.25rem 3rem; background: #fdfdfb; color: #1b1c1e;
  font: 15px/1.45 -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0 0 1rem; overflow-wrap: anywhere; }
.query { width: 180px; margin: 0 0 1.5rem; }
.found { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 1.2rem 1rem; }
figure { margin: 0; min-width: 0; }
img { display: block; width: 100%; aspect-ratio: 1; border-radius: 6px; background: #fff;
  box-shadow: 0 0 0 1px #e2e1db; }
figcaption { margin-top: 0.35rem; display: flex; justify-content: space-between; gap: 0.5rem; }
figcaption span:last-child { font-variant-numeric: tabular-nums; color: #5a5e65; }
small { display: block; color: #5a5e65; overflow-wrap: anywhere; }
"""


def write_results(found: Neighbours, collection: Collection, path: Path) -> None:
    """Write a query and what was found as a picture or as a page, whole or not at all.

    Raises:
        UserError: another ending than .png or .html, or a folder that cannot be written.
    """
    check_ending(path, ENDINGS, WRITES)
    if path.suffix.lower() == ".html":
        with whole_file(path) as temporary:
            temporary.write_text(results_page(found, collection), encoding="utf-8", errors="replace")
    else:
        sheet = draw_sheet(found, collection)
        with whole_file(path) as temporary:
            sheet.save(temporary, "PNG", optimize=True)


def results_page(found: Neighbours, collection: Collection) -> str:
    """The query above, what was found below it, the most similar first."""
    name = escape(found.query.name)
    query = _figure(query_picture(found.query, collection), "query", "", found.query.name)
    each = zip(found.indices, found.ids, found.classes, found.similarities, strict=True)
    figures = [
        _figure(shape_picture(collection, int(i)), class_name or f"rank {rank}", f"{similarity:.3f}", own)
        for rank, (i, own, class_name, similarity) in enumerate(each, 1)
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>nearest to {name}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Nearest to {name} in {escape(collection.info.name)}</h1>\n"
        f"<div class='query'>{query}</div>\n<div class='found'>\n" + "\n".join(figures) + "\n</div>"
        "</body></html>\n"
    )


def _figure(picture: UInt8[np.ndarray, "H W 3"], title: str, value: str, name: str) -> str:
    source = "data:image/png;base64," + base64.b64encode(png(picture)).decode()
    return (
        f"<figure><img src='{source}' alt='{escape(name, quote=True)}'>"
        f"<figcaption><span>{escape(title)}</span><span>{value}</span></figcaption>"
        f"<small>{escape(name)}</small></figure>"
    )
