"""Nearest-neighbor classification of features."""

import numpy as np
from jaxtyping import Float, Int64

NEIGHBORS = 5


def knn(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    k: int = NEIGHBORS,
) -> Int64[np.ndarray, " m"]:
    """Predict the class with the largest sum of 1 + cosine among the k nearest training features.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn(train, np.array([0, 0, 1]), np.array([[1.0, 0.2], [0.1, 1.0]]), k=1)
        array([0, 1])
    """
    from sklearn.neighbors import KNeighborsClassifier

    votes = KNeighborsClassifier(min(k, len(train)), weights=lambda apart: 2 - apart, metric="cosine")
    return votes.fit(train, train_labels).predict(test).astype(np.int64)
