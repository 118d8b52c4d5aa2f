"""How often are the shapes that a search finds of the query's class, with whitened features and without?

    python benchmarks/neighbours.py COLLECTION ENCODER [--out FILE]

Every shape of the collection is a query once. Nothing is chosen by the result: classes are only counted.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import machine
from rich.console import Console
from rich.table import Table

from adacross.io.files import write_json
from adacross.search import SearchIndex

FIRST = (1, 10)  # neighbours that are looked at


def precision(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The share of the first neighbours that are of the query's class, a mean over all shapes."""
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
    index = SearchIndex.build(given.collection, given.encoder)
    plain = replace(index.features, whitening=None)
    labels = index.collection.labels
    results = {
        "features as they are": precision(plain.compared, labels),
        f"whitened, {index.features.compared.shape[1]} axes": precision(index.features.compared, labels),
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
