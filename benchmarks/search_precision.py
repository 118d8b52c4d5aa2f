"""Precision of the search: the share of the first results of the query's class, with and without whitening.

    python benchmarks/search_precision.py COLLECTION ENCODER [--out FILE]

Every shape of the collection is a query once. Nothing is chosen by the result: classes are only counted.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import machine
from rich.console import Console
from rich.table import Table

from adacross.io.files import write_json
from adacross.search.index import SearchIndex

FIRST = (1, 10)  # ranks


def precision(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the mean share of the first results that are of the query's class."""
    found = dict.fromkeys(FIRST, 0.0)
    for start in range(0, len(rows), 1024):
        places = np.arange(start, min(start + 1024, len(rows)))
        similar = rows[places] @ rows.T
        similar[np.arange(len(places)), places] = -np.inf
        near = np.argsort(-similar, axis=1)[:, : max(FIRST)]
        right = labels[near] == labels[places][:, None]
        for first in FIRST:
            found[first] += float(right[:, :first].mean(axis=1).sum())
    return {f"first {first}": found[first] / len(rows) for first in FIRST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("encoder")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    index = SearchIndex(given.collection, given.encoder)
    labels = index.collection.labels
    results = {
        "features as they are": precision(index.features, labels),
        f"whitened, {index.vectors.shape[1]} axes": precision(index.vectors, labels),
    }
    name = index.collection.info.name
    table = Table("compared by", *results["features as they are"], title=f"{name}: of the query's class")
    for what, row in results.items():
        table.add_row(what, *(f"{100 * value:.1f} %" for value in row.values()))
    Console().print(table)
    if given.out:
        about = {"collection": name, "encoder": given.encoder, "shapes": len(labels), "points": index.points}
        write_json(given.out, about | {"precision": results, "machine": machine()})


if __name__ == "__main__":
    main()
