"""Figures of merit for retrieval."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64


def cosine_ranking(
    queries: Float[np.ndarray, "q D"], gallery: Float[np.ndarray, "g D"]
) -> Int64[np.ndarray, "q g"]:
    """For every query the gallery's indices from the most to the least similar by cosine."""
    unit = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (queries, gallery)
    ]
    return np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")


def recall_at(
    queries: Float[np.ndarray, "n D"], gallery: Float[np.ndarray, "n D"], ranks: Sequence[int]
) -> dict[int, float]:
    """Share of queries whose own counterpart (the same row) is among the first k, for each k of `ranks`."""
    ranking = cosine_ranking(queries, gallery)
    position = (ranking == np.arange(len(queries))[:, None]).argmax(axis=1)
    return {k: float((position < k).mean()) for k in ranks}


def mean_average_precision(
    ranking: Int64[np.ndarray, "q g"],
    query_labels: Int64[np.ndarray, " q"],
    gallery_labels: Int64[np.ndarray, " g"],
) -> float:
    """Mean over queries of the average precision of the shapes of the query's class.

    Average precision is the mean, over the relevant items, of the precision at each one's rank. Queries of a
    class that the gallery lacks do not count.
    """
    relevant = gallery_labels[ranking] == query_labels[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    count = relevant.sum(axis=1)
    average = (precision * relevant).sum(axis=1)[count > 0] / count[count > 0]
    return float(average.mean()) if len(average) else 0.0
