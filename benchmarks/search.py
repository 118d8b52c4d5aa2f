"""How long does a search in 50,000 shapes take, once the query is encoded? And their map?

The features are drawn, in clusters as an encoder's are: time does not depend on what the numbers mean. A
search is `SearchIndex.search`, all of it: the product with every shape, the class filter, the choice of the
first 48, names and classes.

    python benchmarks/search.py [--shapes 50000] [--turns 30] [--quick] [--out FILE]
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import Timing, machine
from rich.console import Console
from rich.table import Table

from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.features.collection import FeatureCache
from adacross.io.files import write_json
from adacross.search.index import SearchIndex
from adacross.search.map import compute_map
from adacross.search.query import Query

DIMS = (256, 1024, 2048)  # PointNet and DGCNN have 1,024 or 2,048
GOAL, TOP, CLASSES = 0.1, 48, 40


def made_up(shapes: int, dim: int, folder: Path) -> SearchIndex:
    """An index of features in clusters, without a collection's files."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, shapes)
    centers = rng.standard_normal((CLASSES, dim), dtype=np.float32)
    rows = centers[labels] + rng.standard_normal((shapes, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    classes = [f"class {number}" for number in range(CLASSES)]
    info = CollectionInfo(1, "made up", "", "", "y", shapes, 64, 0, 0, classes, [], {})
    collection = Collection.__new__(Collection)  # what a search asks of a collection, and no more
    collection.info, collection.labels = info, labels.astype(np.int64)
    collection.ids = [f"{classes[label]}/{i:06d}" for i, label in enumerate(labels)]
    index = SearchIndex.__new__(SearchIndex)  # no encoder either
    index.collection, index.features, index.vectors, index.joint = collection, rows, rows, None
    index.cache = FeatureCache(folder, f"{shapes}-{dim}")
    return index


def searches(index: SearchIndex, turns: int, classes: list[str] | None) -> Timing:
    """Searches with shapes from all over the collection."""
    seconds = []
    for turn in range(turns + 1):
        query = Query("one", index=turn * 997 % len(index.collection.ids))
        start = time.perf_counter()
        index.search(query, TOP, classes=classes)
        seconds.append(time.perf_counter() - start)
    return Timing.of(seconds[1:])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=50_000)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="toy size: whether it runs at all")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    shapes = 3000 if options.quick else options.shapes
    table = Table(title=f"search in {shapes:,} shapes: the {TOP} nearest, milliseconds (quartiles)")
    for name in ("features", "all classes", "5 of 40 classes", f"goal: {1000 * GOAL:.0f} ms"):
        table.add_column(name, justify="right")
    found: dict[str, Any] = {"shapes": shapes, "top": TOP, "goal": GOAL, "searches": [], "machine": machine()}
    with TemporaryDirectory() as folder:
        for dim in DIMS[:1] if options.quick else DIMS:
            index = made_up(shapes, dim, Path(folder))
            names = index.collection.info.classes[:5]
            every, some = (searches(index, options.turns, classes) for classes in (None, names))
            found["searches"].append({"dim": dim, "all": vars(every), "some": vars(some)})
            table.add_row(
                str(dim),
                *(f"{1e3 * t.median:.1f} ({1e3 * t.low:.1f}-{1e3 * t.high:.1f})" for t in (every, some)),
                "met" if every.high < GOAL else "not met",
            )
            if dim == DIMS[1] or options.quick:
                start = time.perf_counter()
                compute_map(index)
                found["map"] = {"dim": dim, "seconds": time.perf_counter() - start}
    console = Console()
    console.print(table)
    console.print(
        f"map of {shapes:,} shapes ({found['map']['dim']} features): {found['map']['seconds']:.1f} s"
    )
    if options.out:
        write_json(options.out, found)


if __name__ == "__main__":
    main()
