"""Orientations in which a query is tried, where it may lie in any."""

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

_ROTATIONS = Rotation.create_group("O").as_matrix().round()  # of a cube: entries are 0, 1 and -1
_CUBE = np.array(sorted(_ROTATIONS, key=np.trace, reverse=True), dtype=np.float32)  # the identity first


def turned(points: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "48 N 3"]:
    """Return a cloud in 48 orientations, the first its own.

    It is turned by the 24 rotations of a cube, as it is and brought into its principal frame. The first half
    finds a part that was saved with other axes up, the second one that lies askew where the collection's
    parts lie along their axes.
    """
    axes = np.linalg.svd(points - points.mean(0), full_matrices=False)[2]
    axes[2] *= np.sign(np.linalg.det(axes))  # a rotation, no mirror
    frames = np.concatenate([_CUBE, _CUBE @ axes])
    return np.einsum("tij,nj->tni", frames, points).astype(np.float32)
