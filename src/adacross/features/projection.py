"""Features in the plane, and what chance would give."""

import numpy as np
from jaxtyping import Float, Float64, Int64

from adacross.features.metrics import chance_precision

_FEWEST_FOR_TSNE = 30  # below, neighbourhoods of a few points say nothing


def project(features: Float[np.ndarray, "n D"], seed: int) -> tuple[Float64[np.ndarray, "n 2"], str]:
    """Lay features out in the plane, after scaling each to length 1 as retrieval does.

    t-SNE (van der Maaten and Hinton 2008) from the principal components; PCA for fewer than 30 shapes or
    for features that are all the same.

    Returns:
        `(n, 2)` coordinates and the name of the projection.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features.astype(np.float64) / np.maximum(length, 1e-12)
    components = _principal_components(unit, 50)
    plane = np.zeros((len(unit), 2))
    plane[:, : min(2, components.shape[1])] = components[:, :2]
    spread = plane.std(axis=0).max(initial=0.0)
    if len(unit) < _FEWEST_FOR_TSNE or spread < 1e-9:
        return plane, "PCA"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(
        perplexity=min(30.0, (len(unit) - 1) / 3),
        init=plane / spread * 1e-4,  # scikit-learn's own scale of a PCA start
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(
        1
    ):  # so few points: on busy cores OpenMP's threads wait for each other for minutes
        return np.asarray(tsne.fit_transform(components), dtype=np.float64), "t-SNE"


def nearest_same_class(
    features: Float[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"]
) -> tuple[float | None, float | None]:
    """Return how often the nearest other shape (cosine) is of the same class, and how often a random one.

    None where no class has two shapes.
    """
    sizes = np.bincount(labels)
    pairs = (sizes * (sizes - 1)).sum()
    if not pairs:
        return None, None
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    found = float((labels[similarity.argmax(axis=1)] == labels).mean())
    return found, float(pairs / (len(labels) * (len(labels) - 1)))


def random_precision(labels: Int64[np.ndarray, " n"]) -> float | None:
    """Return the mean average precision of a random ranking of a gallery that holds the queries themselves.

    None where labels are missing.
    """
    size = len(labels)
    if size < 2 or (labels < 0).any():
        return None
    return chance_precision(np.bincount(labels)[labels], size)


def _principal_components(rows: Float64[np.ndarray, "n D"], count: int) -> Float64[np.ndarray, "n K"]:
    """Coordinates along the `count` largest principal axes, signs fixed."""
    left, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return (left * singular * np.where(signs == 0, 1.0, signs))[:, :count]
