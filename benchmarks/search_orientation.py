"""Turned parts in a search: shapes of a collection, read anew with other points and turned, search for
themselves, upright and in any orientation.

    python benchmarks/search_orientation.py COLLECTION ENCODER [--queries 100]
"""

import argparse

import numpy as np
from jaxtyping import Float32

from adacross import read_shape, sample_points
from adacross.console import Table, console, progress_bar
from adacross.errors import UserError
from adacross.evaluation.corruptions import rotate
from adacross.search.index import SearchIndex

AXES = {"as in the collection": (0, 1, 2), "90° about up": (2, 1, 0), "90° about x": (0, 2, 1)}


def turns(points: Float32[np.ndarray, "N 3"], i: int) -> dict[str, Float32[np.ndarray, "N 3"]]:
    """Return a cloud in four orientations by name."""
    found = {}
    for name, order in AXES.items():
        signs = np.array([1, 1, 1 if order == (0, 1, 2) else -1], np.float32)  # a rotation, no mirror
        found[name] = np.ascontiguousarray(points[:, order] * signs)
    return found | {"any rotation": rotate("any", points[None], 0, np.array([i]))[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection")
    parser.add_argument("encoder")
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    index = SearchIndex(options.collection, options.encoder)
    files = index.collection.files()
    known = np.random.default_rng(0).permutation([i for i, file in enumerate(files) if file])
    if not len(known):
        raise UserError(f"the files of {options.collection} are gone; expected those it was prepared from.")
    ranks: dict[tuple[str, str], list[int]] = {}
    with progress_bar("queries") as progress:
        for i in progress.track(known[: options.queries].tolist()):
            points = sample_points(read_shape(files[i]), index.points, seed=1)
            for name, cloud in turns(points, i).items():
                for orientation in ("up", "any"):
                    query = index.encode(index.query(cloud), orientation)
                    similarity = index.similarities(query)
                    ranks.setdefault((name, orientation), []).append(int((similarity > similarity[i]).sum()))
    table = Table(
        title=f"{options.encoder}: a shape among {len(index):,}, by {len(known[: options.queries])} queries"
    )
    for column in ("the query is", "upright: first", "among 10", "any: first", "among 10"):
        table.add_column(column)
    for name in dict.fromkeys(name for name, _ in ranks):
        shares = [np.mean(np.array(ranks[name, way]) < top) for way in ("up", "any") for top in (1, 10)]
        table.add_row(name, *(f"{100 * share:.0f} %" for share in shares))
    console.print(table)


if __name__ == "__main__":
    main()
