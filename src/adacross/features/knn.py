"""Nearest-neighbor classification of features."""

import numpy as np
from jaxtyping import Float, Int64

from adacross.features.metrics import unit_rows

NEIGHBORS = 5


def knn(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    k: int = NEIGHBORS,
) -> Int64[np.ndarray, " m"]:
    """Predict the class with the largest sum of cosines among the k nearest training features.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn(train, np.array([0, 0, 1]), np.array([[1.0, 0.2], [0.1, 1.0]]), k=1)
        array([0, 1])
    """
    known, asked = unit_rows(train), unit_rows(test)
    classes, codes = np.unique(train_labels, return_inverse=True)
    one_hot, count = np.eye(len(classes)), min(k, len(train))
    predicted = []
    for start in range(0, len(test), 1024):
        cosines = asked[start : start + 1024] @ known.T
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        votes = np.take_along_axis(cosines, nearest, axis=1) + 1.0  # never negative
        predicted.append((one_hot[codes[nearest]] * votes[..., None]).sum(axis=1).argmax(axis=1))
    return classes[np.concatenate(predicted)].astype(np.int64)
