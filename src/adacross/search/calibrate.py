"""Calibration of similarities: shapes of a collection search for themselves."""

from dataclasses import replace

import numpy as np

from adacross.encoders.inputs import MIN_POINTS
from adacross.search.index import SearchIndex
from adacross.search.query import Query
from adacross.search.results import Neighbors
from adacross.search.scale import Kind, Scale

ASKED: dict[Kind, int] = {"shapes": 64, "turned shapes": 16, "images": 64}  # queries
FEWEST = 20  # shapes of a collection of which anything can be said
_SAME, _VERY_LIKE, _LIKE = 0.05, 0.99, 0.9  # quantiles: of shapes with themselves, of pairs of shapes
_MOST_FIRST = 0.5  # share of queries that must find their shape first before anything is called the same


def explained(index: SearchIndex, neighbors: Neighbors) -> Neighbors:
    """Return results with the scale of their query's kind."""
    query = neighbors.query
    turned = query.vectors is not None and len(query.vectors) > 1
    kind: Kind = "images" if query.image is not None else "turned shapes" if turned else "shapes"
    return replace(neighbors, scale=measure_scale(index, kind))


def measure_scale(index: SearchIndex, kind: Kind) -> Scale | None:
    """Let shapes of a collection search for themselves; None if too few are there, or none has images.

    The result is cached.
    """
    collection = index.collection
    without_images = not collection.info.views or index.joint is None
    if len(collection) < FEWEST or (kind == "images" and without_images):
        return None
    arrays = index.cache.load_or_compute(
        f"scale-{kind.replace(' ', '-')}", lambda: {"figures": _figures(index, kind)}, 6
    )
    asked, *figures = arrays["figures"].tolist()
    return Scale(kind, int(asked), *figures)


def _figures(index: SearchIndex, kind: Kind) -> np.ndarray:
    """Return the fields of a `Scale` after its kind."""
    collection, rng = index.collection, np.random.default_rng(0)
    test = collection.indices("test")
    rows = rng.permutation(test if len(test) >= FEWEST else np.arange(len(collection)))[: ASKED[kind]]
    own, others, better = [], [], []
    for i in rows.tolist():
        similarities = index.similarities(_query(index, i, kind))
        own.append(similarities[i])
        others.append(np.delete(similarities, i))
        better.append(int((others[-1] > own[-1]).sum()))
    ranks, strangers = np.array(better), np.concatenate(others)
    first = float((ranks < 1).mean())
    same = float(np.quantile(own, _SAME)) if first >= _MOST_FIRST else 2.0
    bounds = np.quantile(strangers, (_VERY_LIKE, _LIKE)).tolist()
    return np.array([len(rows), first, (ranks < 10).mean(), same, *bounds])


def _query(index: SearchIndex, i: int, kind: Kind) -> Query:
    if kind == "images":
        return index.encode(index.query(index.collection.view(i, index.collection.info.views - 1)))
    stored = index.collection.points(np.array([i]))[0]
    other = stored[-max(MIN_POINTS, min(index.points, len(stored) // 2)) :]
    if kind == "shapes":
        return index.encode(index.query(other))
    turned_by_90_degrees = other[:, [2, 1, 0]] * np.array([1, 1, -1], np.float32)
    return index.encode(index.query(turned_by_90_degrees), "any")
