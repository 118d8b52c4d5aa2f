"""A map of a whole collection: its features in two dimensions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from adacross.features.projection import BLOCK, LANDMARKS, NEAREST, map_of
from adacross.search.index import SearchIndex

ALIKE = 5  # nearest shapes that say how strange one is


@dataclass(frozen=True, eq=False)
class Layout:
    """Coordinates of all shapes."""

    xy: Float32[np.ndarray, "n 2"]  # ; only their neighborhoods carry meaning
    method: str  # how they were computed, as text


def compute_map(index: SearchIndex, landmarks: int = LANDMARKS) -> Layout:
    """Embed a collection as `map_of`, by the similarity of `search`; the result is cached."""
    count = len(index)
    xy = index.cache.load_or_compute("map2", lambda: {"xy": map_of(index.vectors[:], landmarks)}, count)["xy"]
    if count <= landmarks:
        return Layout(xy, "t-SNE" if count >= 30 else "PCA")
    return Layout(xy, f"t-SNE of {landmarks:,} shapes, the others placed among the {NEAREST} most similar")


def strangeness(index: SearchIndex) -> Float32[np.ndarray, " n"]:
    """Return how far each shape is from its `ALIKE` nearest: 1 minus their mean similarity; cached."""
    return index.cache.load_or_compute("strange", lambda: {"far": _far(index.vectors[:])}, len(index))["far"]


def _far(vectors: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, " n"]:
    near = min(ALIKE + 1, len(vectors))  # itself among them
    far = np.zeros(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        similarity = vectors[start : start + BLOCK] @ vectors.T
        nearest = -np.partition(-similarity, near - 1, axis=1)[:, :near]
        far[start : start + BLOCK] = 1 - (nearest.sum(axis=1) - 1) / max(near - 1, 1)
    return far
