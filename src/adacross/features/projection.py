"""Features in two dimensions, and how often neighbors share a class."""

import numpy as np
from jaxtyping import Float, Float64, Int64

from adacross.features.metrics import unit_rows

_FEWEST_FOR_TSNE = 30  # neighborhoods of fewer points say nothing


def project(features: Float[np.ndarray, "n D"], seed: int) -> tuple[Float64[np.ndarray, "n 2"], str]:
    """Embed features in two dimensions, after scaling each to length 1 as retrieval does.

    t-SNE (van der Maaten and Hinton 2008) of the first 50 principal components; PCA for fewer than 30 shapes
    or for identical features.

    Returns:
        `(n, 2)` coordinates and the name of the projection.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features.astype(np.float64) / np.maximum(length, 1e-12)
    plane = np.zeros((len(unit), 2))
    if len(unit) < 2:
        return plane, "PCA"
    with np.errstate(invalid="ignore"):  # explained variance of identical features
        components = PCA(min(50, *unit.shape), svd_solver="full").fit_transform(unit)
    plane[:, : min(2, components.shape[1])] = components[:, :2]
    spread = plane.std(axis=0).max()
    if len(unit) < _FEWEST_FOR_TSNE or spread < 1e-9:
        return plane, "PCA"
    tsne = TSNE(
        perplexity=min(30.0, (len(unit) - 1) / 3),
        init=plane / spread * 1e-4,  # scikit-learn's own scale of a PCA start
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(1):  # on busy cores the threads of so small a problem wait for each other
        return np.asarray(tsne.fit_transform(components), dtype=np.float64), "t-SNE"


def nearest_same_class(
    features: Float[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"]
) -> tuple[float | None, float | None]:
    """Return how often the nearest other shape (by cosine) has the same class, and how often a random one.

    None if no class has two shapes.
    """
    sizes = np.bincount(labels)
    pairs = (sizes * (sizes - 1)).sum()
    if not pairs:
        return None, None
    unit = unit_rows(features)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    share = float((labels[similarity.argmax(axis=1)] == labels).mean())
    return share, float(pairs / (len(labels) * (len(labels) - 1)))
