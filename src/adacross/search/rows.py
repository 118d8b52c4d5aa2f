"""Results as rows of a CSV file."""

import math
from collections.abc import Iterable, Sequence

from adacross.console import csv_text
from adacross.search.index import SearchIndex
from adacross.search.results import Neighbors

_SHAPE = ("id", "class", "length", "width", "height", "path")
_MATCH = ("query", "rank", "similarity", "likeness")

Row = dict[str, str]


def shape_row(index: SearchIndex, i: int) -> Row:
    """Describe a shape; its sides are in the source's unit, the longest first."""
    sides = sorted(index.facts.sizes[i].tolist(), reverse=True)
    values = ["" if math.isnan(side) else f"{side:.6g}" for side in sides]
    described = (index.collection.ids[i], index.class_of(i) or "", *values, index.facts.paths[i])
    return dict(zip(_SHAPE, described, strict=True))


def match_rows(index: SearchIndex, neighbors: Neighbors) -> Iterable[Row]:
    """Describe what was found, best first."""
    found = zip(neighbors.indices.tolist(), neighbors.similarities.tolist(), neighbors.likeness, strict=True)
    for rank, (i, similarity, likeness) in enumerate(found, 1):
        match = (neighbors.query.name, str(rank), f"{similarity:.4f}", likeness)
        yield dict(zip(_MATCH, match, strict=True)) | shape_row(index, i)


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows of the same columns as CSV."""
    return csv_text(rows, list(rows[0]) if rows else [*_MATCH, *_SHAPE])
