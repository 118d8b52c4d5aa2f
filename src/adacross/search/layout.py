"""A map of a whole collection: its features in the plane."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from adacross.features.projection import project
from adacross.search.index import SearchIndex

LANDMARKS = 2000  # shapes that t-SNE lays out: seconds for these, hours for a large collection
NEAREST = 3  # landmarks that say where another shape stands
BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each shape stands.

    Attributes:
        xy: `(n, 2)` coordinates, nothing but their neighbourhoods means anything.
        how: how they were made, for people.
    """

    xy: Float32[np.ndarray, "n 2"]
    how: str


def map_of(index: SearchIndex, landmarks: int = LANDMARKS) -> Layout:
    """Lay a collection out by t-SNE of at most `landmarks` shapes; kept beside the features.

    Every other shape stands among the `NEAREST` landmarks that are most similar to it, nearer to the more
    similar ones.
    """
    count = len(index.features.own)
    xy = index.store.once("map", lambda: {"xy": _computed(index.features.own, landmarks)}, rows=count)["xy"]
    if count <= landmarks:
        return Layout(xy, "t-SNE" if count >= 30 else "PCA")
    return Layout(xy, f"t-SNE of {landmarks:,} shapes, each of the others among the {NEAREST} most like it")


def _computed(features: Float32[np.ndarray, "n D"], landmarks: int) -> Float32[np.ndarray, "n 2"]:
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
