"""Retrieval metrics, a value a query, and their expectations under a random ranking."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64


def unit_rows(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
    """Scale rows to length 1, so that the product of two is their cosine; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def cosine_ranking(
    queries: Float[np.ndarray, "q D"], gallery: Float[np.ndarray, "g D"]
) -> Int64[np.ndarray, "q g"]:
    """Rank the gallery for every query, the most similar first, by cosine."""
    return np.argsort(-(unit_rows(queries) @ unit_rows(gallery).T), axis=1, kind="stable")


def without_self(ranking: Int64[np.ndarray, "n n"]) -> Int64[np.ndarray, "n m"]:
    """Return the ranking of a gallery that is the queries themselves, each query left out of its own row."""
    others = ranking != np.arange(len(ranking))[:, None]
    return ranking[others].reshape(len(ranking), len(ranking) - 1)


def recall_at(
    ranking: Int64[np.ndarray, "n n"], ranks: Sequence[int]
) -> dict[int, Float64[np.ndarray, " n"]]:
    """Return, by k, 1 for queries whose counterpart (the item of their own number) is among the first k."""
    position = (ranking == np.arange(len(ranking))[:, None]).argmax(axis=1)
    return {k: (position < k).astype(np.float64) for k in ranks}


def hit_at(
    ranking: Int64[np.ndarray, "q g"],
    query_labels: Int64[np.ndarray, " q"],
    gallery_labels: Int64[np.ndarray, " all"],
    ranks: Sequence[int],
) -> dict[int, Float64[np.ndarray, " q"]]:
    """Return, by k, 1 for queries with an item of their class among the first k, else 0.

    `gallery_labels` are in the order in which the ranking numbers the gallery. NaN for queries of a class
    that the gallery lacks.
    """
    relevant = gallery_labels[ranking] == query_labels[:, None]
    found = relevant.any(axis=1)
    return {k: np.where(found, relevant[:, :k].any(axis=1), np.nan) for k in ranks}


def average_precision(
    ranking: Int64[np.ndarray, "q g"],
    query_labels: Int64[np.ndarray, " q"],
    gallery_labels: Int64[np.ndarray, " all"],
) -> Float64[np.ndarray, " q"]:
    """Return the average precision of the items of each query's class; arguments as for `hit_at`.

    It is the mean, over the relevant items, of the precision at each one's rank; NaN for queries of a class
    that the gallery lacks. scikit-learn's `average_precision_score` gives the same, 700 times slower on
    2,468 queries and items.
    """
    relevant = gallery_labels[ranking] == query_labels[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    count = relevant.sum(axis=1)
    return np.where(count > 0, (precision * relevant).sum(axis=1) / np.maximum(count, 1), np.nan)


def chance_hit_at(relevant: Int64[np.ndarray, " q"], gallery: int, ranks: Sequence[int]) -> dict[int, float]:
    """Return the expected mean of `hit_at` of a random ranking: 1 - C(g - R, k) / C(g, k), mean over queries.

    `relevant` is R of every query, the number of gallery items of its class; queries of R = 0 do not count.
    `gallery` is g, the number of all items.
    """
    from scipy import stats

    counted = relevant[relevant > 0]
    missed = {k: stats.hypergeom.pmf(0, gallery, counted, min(k, gallery)) for k in ranks}
    return {k: float(1 - missed[k].mean()) if len(counted) else 0.0 for k in ranks}


def chance_precision(relevant: Int64[np.ndarray, " q"], gallery: int) -> float:
    """Return the expected mean of `average_precision` of a random ranking; arguments as for `chance_hit_at`.

    Rank i is relevant with probability R / g, and then each earlier one with (R - 1) / (g - 1): the mean is
    (H + (R - 1) / (g - 1) (g - H)) / g with the harmonic number H of g.
    """
    counted = relevant[relevant > 0]
    if not len(counted):
        return 0.0
    harmonic = (1.0 / np.arange(1, gallery + 1)).sum()
    others = (counted - 1) / max(gallery - 1, 1)
    return float(((harmonic + others * (gallery - harmonic)) / gallery).mean())
