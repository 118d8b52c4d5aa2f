"""`adacross search`: a query or a folder of them on the command line, or a page in the browser."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adacross.console import Table, console, words
from adacross.data.shape import Axis
from adacross.errors import UserError, check_ending, check_least, listed, one_of
from adacross.io.files import check_free, whole_file
from adacross.search.calibrate import explained
from adacross.search.index import Orientation, SearchIndex
from adacross.search.query import IMAGES, SHAPES
from adacross.search.results import ENDINGS, Neighbors, write_results
from adacross.search.rows import match_rows, to_csv

if TYPE_CHECKING:
    from rich.console import RenderableType

WRITES = "expected a file that ends in .png or .html, or in .csv"


@dataclass(frozen=True)
class Matches:
    """Results of several queries.

    Attributes:
        found: the results of each query.
        skipped: why a file is no query, a sentence each.
    """

    found: list[Neighbors]
    skipped: list[str]

    def table(self) -> "RenderableType":
        """Render the first result of each query, and the files that were skipped."""
        from rich.console import Group

        table = Table("query", "nearest", "class", "likeness")
        for one in self.found:
            nearest = zip(one.ids[:1], one.classes[:1], one.likeness[:1], strict=True)
            for name, class_name, likeness in nearest:
                table.add_row(one.query.name, name, class_name or "", likeness)
        return Group(table, *(words(f"skipped: {reason}") for reason in self.skipped))


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
    orientation: Orientation = "up",
    device: str | None = None,
    store: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    serve: bool = False,
    no_browser: bool = False,
    overwrite: bool = False,
) -> Neighbors | Matches | None:
    """Find the shapes nearest to an image, a mesh, a cloud or a shape; without a query, open a search page.

    Images can be queries with a run of crosspoint, crossnet or adacrossnet, which has an image tower. The
    features are computed once and cached in `features/` of the run, or of the collection for an encoder.

    Args:
        encoder: a run, an encoder folder, hf://owner/name, builtin-small, builtin-base or builtin-any.
        collection: the collection to search.
        query: a shape's id in the collection or a part of it that no other has, a mesh, point cloud or image
            file, or a folder of these.
        top: number of shapes to find.
        classes: search only in these classes.
        output: file of the results to write: .csv, or of one query an image, .png or .html.
        labels: CSV file (id, class) that the page's labels are written to; by default one beside the
            collection, with its name.
        points: points per cloud; by default as in the encoder's training.
        up: up axis of the query's file; by default z for OFF and STL, y otherwise.
        orientation: up, or any to compare the query in 48 orientations, for parts that lie in no fixed way.
        device: cpu or cuda; cuda if available.
        store: folder or s3:// address of a LanceDB database for the features, which then need not fit into
            memory; the default from 500,000 shapes on.
        host: address of the page; 127.0.0.1 is visible on this machine only. Any other asks for a token,
            which is part of the address that is printed, or the value of ADACROSS_TOKEN.
        port: port of the page; the next free one if it is taken.
        serve: answer programs, too: POST /api/search and /api/embed, described in /openapi.json; no browser
            is opened.
        no_browser: do not open a browser.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such collection, encoder or query, a damaged file, or an image without an image tower.
    """
    one_of("up axis", up or "y", ("x", "y", "z"))
    target = check_ending(output, (*ENDINGS, ".csv"), WRITES) if output else None
    folder = Path(query) if query is not None and Path(query).is_dir() else None
    if folder and target and target.suffix.lower() != ".csv":
        raise UserError(
            f"{output}: results of a folder are written as CSV; expected a file that ends in .csv."
        )
    if target:
        check_free(target, overwrite)
    if labels:
        check_ending(labels, ".csv", "labels are kept as CSV")
    if query is None and target:
        raise UserError("--output needs a query; give one: --query photo.png")
    check_least(top=top)
    index = SearchIndex(collection, encoder, points=points, device=device, store=store)
    if query is None:
        from adacross.search.page import serve as serve_page

        place = index.collection.folder
        file = Path(labels) if labels else place.with_name(f"{place.name}-labels.csv")
        serve_page(index, host, port, file, browser=not (no_browser or serve), api=serve)
        return None
    found, skipped = list[Neighbors](), list[str]()
    for path in _queries_in(folder) if folder else [query]:
        try:
            neighbors = explained(
                index, index.search(path, top, classes=classes, up=up, orientation=orientation)
            )
            found.append(neighbors)
        except UserError as error:
            if not folder:
                raise
            skipped.append(str(error))
    if target and target.suffix.lower() == ".csv":
        with whole_file(target) as temporary:
            rows = [row for one in found for row in match_rows(index, one)]
            temporary.write_text(to_csv(rows), encoding="utf-8", newline="")
    elif target:
        write_results(found[0], target)
    return Matches(found, skipped) if folder else found[0]


def _queries_in(folder: Path) -> list[Path]:
    """Return the files of shapes and images in a folder and below it, in order; UserError without any."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    queries = [path for path in files if path.suffix.lower() in (*IMAGES, *SHAPES)]
    if not queries:
        raise UserError(f"{folder} holds no shape and no image. Expected files of {listed(SHAPES)}.")
    if len(queries) < len(files):
        console.print(f"{len(files) - len(queries):,} other files in {folder} are neither shapes nor images.")
    return queries
