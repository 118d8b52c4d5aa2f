"""Shape histograms: a description of a cloud without parameters, beside which every encoder must stand."""

import numpy as np
from jaxtyping import Float32, Int64

POINTS = 256  # of a cloud, for distances of pairs
BINS = 64, 32, 32


def shape_histogram(clouds: Float32[np.ndarray, "n N 3"]) -> Float32[np.ndarray, "n 128"]:
    """Describe clouds by three distributions: pair distances, distances to the center, and heights.

    The first two are D2 and D1 of Osada et al., Shape Distributions (ACM TOG 2002); 64, 32 and 32 bins.
    Square roots of the shares are returned, so that a dot product compares distributions (Hellinger). Clouds
    are y up and in the unit sphere.

    Example:
        >>> cloud = np.zeros((1, 8, 3), np.float32)
        >>> histogram = shape_histogram(cloud)  # all pairs are equal
        >>> histogram.shape, float((histogram[0, :64] ** 2).sum())
        ((1, 128), 1.0)
    """
    first, second = np.triu_indices(min(POINTS, clouds.shape[1]), 1)
    rows = []
    for cloud in clouds:
        pairs = np.linalg.norm(cloud[first] - cloud[second], axis=1)
        radii = np.linalg.norm(cloud, axis=1)
        parts = ((pairs / 2, BINS[0]), (radii, BINS[1]), ((cloud[:, 1] + 1) / 2, BINS[2]))
        rows.append(np.concatenate([_shares(values, bins) for values, bins in parts]))
    return np.sqrt(np.array(rows, dtype=np.float32).reshape(len(clouds), sum(BINS)))


def _shares(values: Float32[np.ndarray, " k"], bins: int) -> Float32[np.ndarray, " bins"]:
    """Return the share of values in each of `bins` equal bins of [0, 1]; others count at the ends."""
    places: Int64[np.ndarray, " k"] = np.clip((values * bins).astype(np.int64), 0, bins - 1)
    return (np.bincount(places, minlength=bins) / max(1, len(values))).astype(np.float32)
