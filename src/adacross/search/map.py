"""A map of a whole collection: its features in two dimensions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from adacross.features.projection import LANDMARKS, NEAREST, map_of
from adacross.search.index import SearchIndex


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
