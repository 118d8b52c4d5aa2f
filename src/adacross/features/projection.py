"""Features in two dimensions, and how often neighbors share a class."""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from scipy.spatial import cKDTree

from adacross.features.metrics import unit_rows

LANDMARKS = 2000  # shapes that t-SNE embeds: seconds for these, hours for a large collection
NEAREST = 3  # landmarks that place another shape
BLOCK = 2048
CLUSTERED = 10_000  # dots that HDBSCAN looks at, in seconds
_FEWEST_FOR_TSNE = 30  # neighborhoods of fewer points say nothing


def project(features: Float[np.ndarray, "n D"], seed: int) -> tuple[Float64[np.ndarray, "n 2"], str]:
    """Embed features in two dimensions, after scaling each to length 1; return the projection's name, too.

    t-SNE (van der Maaten and Hinton 2008) of the first 50 principal components; PCA for fewer than 30 shapes
    or for identical features.
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
    start = plane / spread * 1e-4  # scikit-learn's own scale of a PCA start
    tsne = TSNE(perplexity=min(30.0, (len(unit) - 1) / 3), init=start, random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # on busy cores the threads of so small a problem wait for each other
        return np.asarray(tsne.fit_transform(components), dtype=np.float64), "t-SNE"


def map_of(features: Float[np.ndarray, "n D"], landmarks: int = LANDMARKS) -> Float32[np.ndarray, "n 2"]:
    """Map features of length 1 by t-SNE of at most `landmarks` of them.

    Every other row is placed among the `NEAREST` landmarks most similar to it, weighted by similarity.
    """
    count = len(features)
    if count <= landmarks:
        return project(features, seed=0)[0].astype(np.float32)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:landmarks])
    known = project(features[chosen], seed=0)[0]
    xy = np.empty((count, 2), dtype=np.float32)
    for start in range(0, count, BLOCK):
        similarity = features[start : start + BLOCK] @ features[chosen].T
        near = np.argpartition(-similarity, NEAREST, axis=1)[:, : NEAREST + 1]
        weight = np.take_along_axis(similarity, near, axis=1)
        weight -= weight.min(axis=1, keepdims=True)  # of the farthest of the four: 0
        weight += 1e-6
        weight /= weight.sum(axis=1, keepdims=True)
        xy[start : start + BLOCK] = (weight[:, :, None] * known[near]).sum(axis=1)
    xy[chosen] = known
    return xy


def clusters_of(xy: Float[np.ndarray, "n 2"]) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each dot of a map, 0 for the largest, -1 for none.

    HDBSCAN (Campello et al. 2013) looks at most at `CLUSTERED` of the dots; the others belong to the cluster
    of the nearest of them.
    """
    from sklearn.cluster import HDBSCAN

    some = np.random.default_rng(0).permutation(len(xy))[:CLUSTERED]
    smallest = max(5, len(some) // 100)
    if len(some) <= smallest:
        return np.full(len(xy), -1)
    found = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(xy[some])
    sizes = np.bincount(found[found >= 0], minlength=1)
    place = np.append(np.argsort(np.argsort(-sizes, kind="stable")), -1)  # -1 picks the last
    nearest = cKDTree(xy[some]).query(xy)[1]
    return place[found][nearest].astype(np.int64)


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
