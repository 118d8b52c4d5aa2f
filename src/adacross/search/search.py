"""`adacross search`: a query on the command line, or a page in the browser."""

from pathlib import Path

from adacross.data.shape import Axis
from adacross.errors import UserError, check_ending, one_of
from adacross.io.files import check_free
from adacross.search.index import SearchIndex
from adacross.search.results import ENDINGS, WRITES, Neighbors, write_results


def search(
    encoder: str,
    collection: str,
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
    """Find the shapes nearest to an image, a mesh, a cloud or a shape; without a query, open a search page.

    Images can be queries with a run of crosspoint, crossnet or adacrossnet, which has an image tower. The
    features are computed once and cached in `features/` of the run, or of the collection for an encoder.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small.
        collection: the collection to search.
        query: a shape's id in the collection, or a mesh, point cloud or image file.
        top: number of shapes to find.
        classes: search only in these classes.
        output: image of the results to write, .png or .html.
        labels: CSV file (id, class) for the page's Label tab; written at each click.
        points: points per cloud; by default as in the encoder's training.
        up: up axis of the query's file; by default z for OFF and STL, y otherwise.
        device: cpu or cuda; cuda if available.
        host: address of the page; 127.0.0.1 is visible on this machine only.
        port: port of the page; the next free one if it is taken.
        no_browser: do not open a browser.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such collection, encoder or query, a damaged file, or an image without an image tower.
    """
    one_of("up axis", up or "y", ("x", "y", "z"))
    target = check_ending(output, ENDINGS, WRITES) if output else None
    if target:
        check_free(target, overwrite)
    if labels:
        check_ending(labels, ".csv", "labels are kept as CSV")
    if query is None and target:
        raise UserError("--output needs a query; give one: --query photo.png")
    index = SearchIndex(collection, encoder, points=points, device=device)
    if query is None:
        from adacross.search.page import serve

        serve(index, host, port, Path(labels) if labels else None, browser=not no_browser)
        return None
    neighbors = index.search(query, top, classes=classes, up=up)
    if target:
        write_results(neighbors, target)
    return neighbors
