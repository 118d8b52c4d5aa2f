"""`adacross search`: a query on the command line, or a page in the browser."""

from pathlib import Path

from adacross.data.source import Axis
from adacross.errors import UserError, check_ending, one_of
from adacross.io.files import check_free
from adacross.search.index import SearchIndex
from adacross.search.results import ENDINGS, WRITES, Neighbors, write_results


def search(
    collection: str,
    encoder: str,
    query: str | None = None,
    top: int = 10,
    classes: list[str] | None = None,
    output: str | None = None,
    labels: str | None = None,
    points: int | None = None,
    up: Axis | None = None,
    device: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    no_browser: bool = False,
    overwrite: bool = False,
) -> Neighbors | None:
    """The shapes nearest to a picture, a mesh, a cloud or a shape; without a query, a page to search on.

    Pictures can be queries with a run of crosspoint, crossnet or adacrossnet, which has an image tower. The
    features are computed once and cached in `features/` of the run, or of the collection for an encoder.

    Args:
        collection: a prepared collection: what is searched.
        encoder: a run, an encoder folder, hf://owner/name, or builtin-small (in the package).
        query: a shape's id in the collection, or the file of a mesh, a cloud or a picture.
        top: how many shapes to find.
        classes: search only in these.
        output: where to write a picture of what was found, .png or .html.
        labels: CSV file (id, class) for the page's part "Label": read if it is there, written at each click.
        points: points of each cloud; as many as the encoder was trained with by default.
        up: the axis that points up in the query's file (x, y or z); by default z for OFF, y for all else.
        device: cpu or cuda; cuda if there is one.
        host: the page's address; 127.0.0.1 shows it to this machine only.
        port: the page's port; the next free one where it is taken.
        no_browser: do not open the page in a browser.
        overwrite: replace a file that has the name given with --output.

    Raises:
        UserError: no such collection, encoder or query, a damaged file, or a picture without an image tower.
    """
    one_of("up axis", up or "y", ("x", "y", "z"))
    target = check_ending(output, ENDINGS, WRITES) if output else None
    if target:
        check_free(target, overwrite)
    if labels:
        check_ending(labels, ".csv", "labels are kept as CSV")
    if query is None:
        if target:
            raise UserError("--output needs a query; give one: --query photo.png")
        from adacross.search.page import serve

        serve(
            SearchIndex(collection, encoder, points=points, device=device),
            host=host,
            port=port,
            labels=Path(labels) if labels else None,
            browser=not no_browser,
        )
        return None
    index = SearchIndex(collection, encoder, points=points, device=device)
    neighbors = index.search(query, top, classes=classes, up=up)
    if target:
        write_results(neighbors, target)
    return neighbors
