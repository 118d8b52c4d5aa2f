"""Retrieval metrics."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64


def cosine_ranking(
    queries: Float[np.ndarray, "q D"], gallery: Float[np.ndarray, "g D"]
) -> Int64[np.ndarray, "q g"]:
    """Rank the gallery for every query, the most similar first, by cosine."""
    unit = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (queries, gallery)
    ]
    return np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")


def recall_at(
    queries: Float[np.ndarray, "n D"], gallery: Float[np.ndarray, "n D"], ranks: Sequence[int]
) -> dict[int, float]:
    """Return the share of queries whose counterpart (the same row) is among the first k, by k."""
    ranking = cosine_ranking(queries, gallery)
    position = (ranking == np.arange(len(queries))[:, None]).argmax(axis=1)
    return {k: float((position < k).mean()) for k in ranks}


def mean_average_precision(
    ranking: Int64[np.ndarray, "q g"],
    query_labels: Int64[np.ndarray, " q"],
    gallery_labels: Int64[np.ndarray, " all"],
) -> float:
    """Return the mean over queries of the average precision of the shapes of the query's class.

    Average precision is the mean, over the relevant items, of the precision at each one's rank. Queries of a
    class that the gallery lacks do not count. `gallery_labels` are of the gallery as the ranking numbers it.
    """
    relevant = gallery_labels[ranking] == query_labels[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    count = relevant.sum(axis=1)
    average = (precision * relevant).sum(axis=1)[count > 0] / count[count > 0]
    return float(average.mean()) if len(average) else 0.0


def without_self(ranking: Int64[np.ndarray, "n n"]) -> Int64[np.ndarray, "n m"]:
    """Return the ranking of a gallery that is the queries themselves, each query left out of its own row."""
    others = ranking != np.arange(len(ranking))[:, None]
    return ranking[others].reshape(len(ranking), len(ranking) - 1)


def hit_at(
    ranking: Int64[np.ndarray, "q g"],
    query_labels: Int64[np.ndarray, " q"],
    gallery_labels: Int64[np.ndarray, " all"],
    ranks: Sequence[int],
) -> dict[int, float]:
    """Return the share of queries with a shape of their class among the first k, for each k of `ranks`.

    Queries of a class that the gallery lacks do not count. `gallery_labels` are of the gallery as the ranking
    numbers it.
    """
    relevant = gallery_labels[ranking] == query_labels[:, None]
    relevant = relevant[relevant.any(axis=1)]
    return {k: float(relevant[:, :k].any(axis=1).mean()) if len(relevant) else 0.0 for k in ranks}


def chance_hit_at(relevant: Int64[np.ndarray, " q"], gallery: int, ranks: Sequence[int]) -> dict[int, float]:
    """Return the exact `hit_at` of a random ranking: 1 - C(g - R, k) / C(g, k), mean over queries.

    Args:
        relevant: R of every query, the number of gallery items of its class.
        gallery: g, its size.
        ranks: the k.
    """
    counted = relevant[relevant > 0].astype(np.float64)
    hits = {}
    for k in ranks:
        drawn = np.arange(min(k, gallery))
        missed = np.clip(gallery - counted[:, None] - drawn, 0, None) / (gallery - drawn)
        hits[k] = float(1 - missed.prod(axis=1).mean()) if len(counted) else 0.0
    return hits


def chance_precision(relevant: Int64[np.ndarray, " q"], gallery: int) -> float:
    """Return the expected `mean_average_precision` of a random ranking.

    Rank i is relevant with probability R / g, and then each earlier one with (R - 1) / (g - 1): the mean is
    (H + (R - 1) / (g - 1) (g - H)) / g with the harmonic number H of g.
    """
    counted = relevant[relevant > 0]
    if not len(counted):
        return 0.0
    harmonic = (1.0 / np.arange(1, gallery + 1)).sum()
    others = (counted - 1) / max(gallery - 1, 1)
    return float(((harmonic + others * (gallery - harmonic)) / gallery).mean())
