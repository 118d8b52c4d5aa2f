"""A map of a whole collection: its features in two dimensions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from scipy.spatial import cKDTree

from adacross.features.projection import project
from adacross.search.index import SearchIndex

LANDMARKS = 2000  # shapes that t-SNE embeds: seconds for these, hours for a large collection
NEAREST = 3  # landmarks that place another shape
BLOCK = 2048
CLUSTERED = 10_000  # dots that HDBSCAN looks at, in seconds
ALIKE = 5  # nearest shapes that say how strange one is


@dataclass(frozen=True, eq=False)
class Layout:
    """Coordinates of all shapes."""

    xy: Float32[np.ndarray, "n 2"]  # ; only their neighborhoods carry meaning
    method: str  # how they were computed, as text


def compute_map(index: SearchIndex, landmarks: int = LANDMARKS) -> Layout:
    """Embed a collection by t-SNE of at most `landmarks` shapes; the result is cached.

    Similarity is that of `search`. Every other shape is placed among the `NEAREST` landmarks most similar to
    it, weighted by similarity.
    """
    count = len(index)
    xy = index.cache.load_or_compute("map2", lambda: {"xy": _embed(index.vectors, landmarks)}, count)["xy"]
    if count <= landmarks:
        return Layout(xy, "t-SNE" if count >= 30 else "PCA")
    return Layout(xy, f"t-SNE of {landmarks:,} shapes, the others placed among the {NEAREST} most similar")


def _embed(features: Float32[np.ndarray, "n D"], landmarks: int) -> Float32[np.ndarray, "n 2"]:
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


def clusters(layout: Layout) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each dot of a map, 0 for the largest, -1 for none.

    HDBSCAN looks at most at `CLUSTERED` of the dots; the others belong to the cluster of the nearest of them.
    """
    from sklearn.cluster import HDBSCAN

    count = len(layout.xy)
    some = np.random.default_rng(0).permutation(count)[:CLUSTERED]
    found = HDBSCAN(min_cluster_size=max(5, len(some) // 100), copy=True).fit_predict(layout.xy[some])
    sizes = np.bincount(found[found >= 0], minlength=1)
    place = np.append(np.argsort(np.argsort(-sizes, kind="stable")), -1)  # -1 picks the last
    nearest = cKDTree(layout.xy[some]).query(layout.xy)[1]
    return place[found][nearest].astype(np.int64)


def strangeness(index: SearchIndex) -> Float32[np.ndarray, " n"]:
    """Return how far each shape is from its `ALIKE` nearest: 1 minus their mean similarity; cached."""
    return index.cache.load_or_compute("strange", lambda: {"far": _far(index.vectors)}, len(index))["far"]


def _far(vectors: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, " n"]:
    near = min(ALIKE + 1, len(vectors))  # itself among them
    far = np.zeros(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        similarity = vectors[start : start + BLOCK] @ vectors.T
        nearest = -np.partition(-similarity, near - 1, axis=1)[:, :near]
        far[start : start + BLOCK] = 1 - (nearest.sum(axis=1) - 1) / max(near - 1, 1)
    return far
