"""`adacross duplicates`: groups of copies among many shapes.

Shapes that agree in all rotation-free moments are candidates for exact copies; those with the most similar
profiles, for near ones. Every candidate is aligned and measured, surface to surface, before
it is called a copy. Nothing is deleted.
"""

import json
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee
from scipy.spatial import cKDTree

from adacross.console import console, progress_bar
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import DESCRIPTION
from adacross.data.formats.invariants import AGREE, Signature
from adacross.data.isolated import TIMEOUT, find_apart
from adacross.data.workers.local import Request, WorkerCrash, each
from adacross.duplicates.groups import RELATIONS, Copy, Duplicates, Relation
from adacross.duplicates.serve import PAIRS, SIGNATURE, Place, file_place, item_place, read_pairs, row_place
from adacross.errors import UserError, check_ending
from adacross.io.files import check_free

EXACT = 0.1  # largest distance between two meshes of one surface, in per cent of the diagonal
SAME_SIZE = 1e-3  # relative difference of sizes of which nothing is made
SIMILAR = 0.03  # mean difference of profiles of near copies; stretching by 5 % makes 0.005 to 0.017
NEIGHBORS = 4  # most similar shapes that are looked at
_TOGETHER = 8  # candidates of one shape that a process compares at a time


class Link(NamedTuple):
    """A copy, by the places of the two shapes."""

    reference: int
    copy: int
    distance: float  # the largest between the surfaces, in percent of the diagonal
    mirrored: bool


@dataclass(frozen=True)
class _Shape:
    """One of the shapes that are compared."""

    id: str
    place: Place
    signature: Signature


def find_duplicates(
    source: str | Path | Collection,
    *,
    against: str | Path | Collection | None = None,
    size: Literal["on", "off"] = "on",
    mirrored: bool = True,
    threshold: float = 2.0,
    output: str | None = None,
    page: str | None = None,
    workers: int | None = None,
    timeout: float = TIMEOUT,
    overwrite: bool = False,
) -> Duplicates:
    """Find groups of copies among shapes: identical, rescaled, mirrored, or nearly equal.

    A copy may lie elsewhere, be turned, and be meshed differently. Shapes of a collection are read in their
    source if that is still there; otherwise their stored points are compared. Nothing is deleted.

    Args:
        source: collection or folder of shapes.
        against: another collection or folder: find the copies of its shapes among those of SOURCE.
        size: on, or off to call a rescaled copy identical.
        mirrored: look for mirrored copies, too.
        threshold: largest distance between near copies, in percent of the diagonal of the bounding box.
        output: CSV file to write: group, id, relation, factor, distance_percent, reference.
        page: HTML file to write, with images.
        workers: processes that read and compare; one per core by default.
        timeout: seconds that reading one shape may take.
        overwrite: replace existing output files.

    Raises:
        UserError: a source that is not there, an option out of range, an output file that is there.

    Example:
        >>> from adacross.data.procedural import make_mesh
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> cup = make_mesh("cup", 0)
        >>> for name, scale in (("cup", 1.0), ("inches", 1 / 25.4)):
        ...     corners = "".join(f"v {x} {y} {z}\\n" for x, y, z in cup.vertices * scale)
        ...     faces = "".join(f"f {a} {b} {c}\\n" for a, b, c in cup.faces + 1)
        ...     _ = (folder / f"{name}.obj").write_text(corners + faces)
        >>> for copy in find_duplicates(folder).copies:
        ...     print(copy.id, copy.relation, round(copy.factor, 4))
        cup.obj reference 1.0
        inches.obj rescaled 0.0394
    """
    if not 0 < threshold <= 20:
        raise UserError(
            f"threshold is {threshold}; expected percent of the diagonal, above 0 and at most 20."
        )
    targets = [Path(check_ending(name, end, "duplicates writes CSV and a page")) if name else None
               for name, end in ((output, ".csv"), (page, ".html"))]  # fmt: skip
    for target in targets:
        if target:
            check_free(target, overwrite)
    count = workers or os.cpu_count() or 1
    places = _places(source)
    first = len(places)
    if against is not None:
        places += _renamed(_places(against), {name for name, *_ in places}, against)
    shapes, skipped = _described(places, count, timeout)
    mine = {id(place) for _, place, _ in places[:first]}
    ours = sum(id(shape.place) in mine for shape in shapes) if against is not None else 0
    compared = _Comparison(shapes, ours, size == "on", mirrored, threshold, count, timeout)
    found = Duplicates(compared.copies(), len(shapes), skipped)
    if targets[0]:
        found.to_csv(targets[0])
    if targets[1]:
        from adacross.duplicates.page import write_page

        write_page(targets[1], found, {shape.id: shape.place for shape in shapes}, count)
    if written := [str(target) for target in targets if target]:
        console.print(f"the copies are in {' and '.join(written)}", soft_wrap=True)
    return found


Placed = tuple[str, Place, Signature | None]  # id, place, and the signature if `prepare` kept it


def _places(source: str | Path | Collection) -> list[Placed]:
    """Return every shape of a collection or a folder."""
    if isinstance(source, Collection) or (Path(source) / DESCRIPTION).is_file():
        collection = source if isinstance(source, Collection) else Collection.open(source)
        files = collection.files()
        gone = sum(path is None for path in files)
        if gone:
            console.print(
                f"{gone:,} of {len(files):,} shapes have no file of their own that is still there: their "
                "stored points are compared, which tells less than a surface.",
                style="yellow",
            )
        return [
            (name, row_place(collection.folder, row) if path is None else file_place(path), kept)
            for row, (name, path, kept) in enumerate(
                zip(collection.ids, files, collection.signatures(), strict=True)
            )
        ]
    index = find_apart(str(source))
    return [(item.id, item_place(item, index.format), None) for item in index.items]


def _renamed(places: list[Placed], taken: set[str], source: str | Path | Collection) -> list[Placed]:
    """Put the folder's name before every id of a second source if both sources have the same ids."""
    if taken.isdisjoint(name for name, *_ in places):
        return places
    folder = source.folder if isinstance(source, Collection) else Path(source)
    return [(f"{folder.resolve().name}/{name}", place, kept) for name, place, kept in places]


def _described(
    places: Sequence[Placed], workers: int, timeout: float
) -> tuple[list[_Shape], list[tuple[str, str]]]:
    """Describe every shape; return those that could be read, in order, and the others with the reason."""
    found = {number: kept for number, (_, _, kept) in enumerate(places) if kept}
    todo = [number for number in range(len(places)) if number not in found]
    requests: list[Request] = [{"place": places[number][1]} for number in todo]
    skipped: dict[int, str] = {}
    for place, answer in _answers("describing", SIGNATURE, requests, workers, timeout):
        said: Any = {"error": answer.reason} if isinstance(answer, WorkerCrash) else json.loads(answer)
        if described := None if isinstance(said, dict) else Signature.read(said):
            found[todo[place]] = described
        else:
            skipped[todo[place]] = said["error"]
    shapes = [_Shape(*places[i][:2], found[i]) for i in sorted(found)]
    return shapes, [(places[i][0], skipped[i]) for i in sorted(skipped)]


def _answers(
    doing: str, function: str, requests: Sequence[Request], workers: int, timeout: float
) -> Generator[tuple[int, bytes | WorkerCrash], None, None]:
    with progress_bar("shapes" if function == SIGNATURE else "comparisons") as progress:
        task = progress.add_task(doing, total=len(requests), note="")
        with closing(each(function, requests, max(1, min(workers, len(requests))), timeout)) as answers:
            for answer in answers:
                progress.advance(task)
                yield answer


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Shapes, and the options under which pairs of them are copies.

    With `ours` above 0 the first `ours` shapes are compared only with the others.
    """

    shapes: list[_Shape]
    ours: int
    same_size: bool
    mirrored: bool
    threshold: float
    workers: int
    timeout: float

    def links(self) -> dict[int, Link]:
        """Return for each shape that is a copy the one that it is a copy of: exact copies, then near ones."""
        if not self.shapes:
            return {}
        links = self._exact()
        return links | self._near([i for i in range(len(self.shapes)) if i not in links])

    def _split(self, members: Iterable[int]) -> tuple[list[int], list[int]]:
        """Return those that others may be copies of, and those that may be copies."""
        members = list(members)
        if not self.ours:
            return members, members
        return [i for i in members if i >= self.ours], [i for i in members if i < self.ours]

    def _exact(self) -> dict[int, Link]:
        """Compare what agrees in its invariants with the first of it, the rest with the second, and so on."""
        count = len(self.shapes)
        tree = cKDTree(np.stack([shape.signature.invariants for shape in self.shapes]))
        pairs = tree.query_pairs(AGREE, p=np.inf, output_type="ndarray")
        graph = coo_matrix((np.ones(len(pairs)), pairs.T), (count, count))
        _, component = connected_components(graph, directed=False)
        order = np.argsort(component, kind="stable")
        alike = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
        clusters = [self._split(members.tolist()) for members in alike]
        links: dict[int, Link] = {}
        while True:
            stars: dict[int, list[int]] = {}
            for place, members in enumerate(clusters):
                references, pool = ([i for i in some if i not in links] for some in members)
                pool = [i for i in pool if i not in references[:1]]
                if references and pool:
                    stars[references[0]] = pool
                clusters[place] = references[1:], pool
            if not stars:
                return links
            for link in self._compared(stars, exact=True):
                if link.distance <= EXACT:
                    links[link.copy] = link

    def _near(self, members: list[int]) -> dict[int, Link]:
        """Compare shapes with those of the most similar profiles; each is a copy of one at most."""
        references, pool = self._split(members)
        if not (references and pool):
            return {}
        profiles = np.stack([shape.signature.profile for shape in self.shapes])
        _, nearest = cKDTree(profiles[references]).query(
            profiles[pool], k=NEIGHBORS + 1, p=1, distance_upper_bound=SIMILAR * profiles.shape[1]
        )
        pairs: set[tuple[int, int]] = set()
        for i, near in zip(pool, nearest.tolist(), strict=True):
            others = [references[n] for n in near if n < len(references) and references[n] != i][:NEIGHBORS]
            pairs |= {(j, i) if self.ours else (min(i, j), max(i, j)) for j in others}
        stars = _in_order(pairs, len(self.shapes))
        links = [link for link in self._compared(stars, exact=False) if link.distance <= self.threshold]
        return _best(links, symmetric=not self.ours)

    def _compared(self, stars: dict[int, list[int]], *, exact: bool) -> Iterator[Link]:
        """Align and measure each shape's candidates."""
        most = max(self.threshold, EXACT) / 100
        options = {"mirrored": self.mirrored, "enough": EXACT / 1000 if exact else most / 4, "most": most}
        requests: list[Request] = []
        pairs: list[tuple[int, list[int]]] = []
        for one, others in stars.items():
            for start in range(0, len(others), _TOGETHER):
                some = others[start : start + _TOGETHER]
                pairs.append((one, some))
                places = [self.shapes[i].place for i in some]
                requests.append({"one": self.shapes[one].place, "others": places, "options": options})
        timeout = self.timeout * _TOGETHER
        doing = "comparing what agrees" if exact else "comparing what is similar"
        for number, answer in _answers(doing, PAIRS, requests, self.workers, timeout):
            one, others = pairs[number]
            if isinstance(answer, WorkerCrash):
                console.print(f"{self.shapes[one].id} was not compared: {answer.reason}", style="yellow")
                continue
            for other, (distance, mirrored) in zip(others, read_pairs(answer), strict=False):
                yield Link(one, other, distance, mirrored)

    def copies(self) -> list[Copy]:
        """Return the groups' members, the best evidence first."""
        links = self.links()
        groups: dict[int, list[int]] = {}
        for copy in links:
            root = copy
            while root in links:
                root = links[root].reference
            groups.setdefault(root, []).append(copy)

        def evidence(root: int) -> tuple[float, int, int]:
            return max(links[i].distance for i in groups[root]), -len(groups[root]), root

        rows: list[Copy] = []
        for number, root in enumerate(sorted(groups, key=evidence), 1):
            name = self.shapes[root].id
            rows.append(Copy(number, name, "reference", 1.0, 0.0, name))
            members = [self._row(number, links[i]) for i in groups[root]]
            rows += sorted(
                members, key=lambda row: (RELATIONS.index(row.relation), row.distance_percent, row.id)
            )
        return rows

    def _row(self, group: int, link: Link) -> Copy:
        one, other = self.shapes[link.reference], self.shapes[link.copy]
        factor = other.signature.size / one.signature.size
        resized = self.same_size and abs(factor - 1) > SAME_SIZE
        relation: Relation = "rescaled" if resized else "identical"
        if link.distance > EXACT:
            relation = "near"
        elif link.mirrored:
            relation = "mirrored"
        return Copy(group, other.id, relation, factor, link.distance, one.id)


def _in_order(pairs: set[tuple[int, int]], count: int) -> dict[int, list[int]]:
    """Return the second shapes of pairs by the first, in an order in which shapes come up close together."""
    rows, columns = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(2 * len(rows)), (np.r_[rows, columns], np.r_[columns, rows])), (count, count))
    stars: dict[int, list[int]] = {i: [] for i in reverse_cuthill_mckee(graph.tocsr(), True).tolist()}
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        stars[i].append(j)
    return {i: others for i, others in stars.items() if others}


def _best(links: list[Link], *, symmetric: bool) -> dict[int, Link]:
    """Choose for each copy one reference, so that no reference is a copy itself.

    With `symmetric`, either shape of a link may be the reference: the one with the most links is.
    """
    around: dict[int, list[Link]] = {}
    for link in links:
        around.setdefault(link.reference, []).append(link)
        if symmetric:
            around.setdefault(link.copy, []).append(link._replace(reference=link.copy, copy=link.reference))
    chosen: dict[int, Link] = {}
    taken: set[int] = set()
    for reference in sorted(around, key=lambda i: (-len(around[i]), i)):
        if reference in chosen:
            continue
        for link in around[reference]:
            held = chosen.get(link.copy)
            if link.copy not in taken and (held is None or link.distance < held.distance):
                chosen[link.copy] = link
        taken.add(reference)
    return chosen
