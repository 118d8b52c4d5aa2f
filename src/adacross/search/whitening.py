"""Features on the principal axes of their own collection, each axis as important as any other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

DIM = 128  # axes that are kept
LEAST = 8 * DIM  # shapes below which the axes are not known well enough
_FLAT = 1e-9  # variance, against the largest, below which an axis is noise of rounding


@dataclass(frozen=True, eq=False)
class Whitening:
    """Subtracts a collection's mean, takes the first `DIM` principal axes, scales each to variance 1.

    Features of one encoder lie in a narrow cone, and a few directions of it (size, slenderness) hide all
    others from the cosine. Jégou and Chum (Negative evidences and co-occurences in image retrieval: the
    benefit of PCA and whitening, ECCV 2012) found the same of pictures.

    Attributes:
        mean: `(D,)`.
        axes: `(D, K)`, K at most `DIM`.
    """

    mean: Float32[np.ndarray, " D"]
    axes: Float32[np.ndarray, "D K"]

    @classmethod
    def of(cls, rows: Float32[np.ndarray, "n D"]) -> "Whitening":
        """That of some features; no class is asked for."""
        mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = rows - mean
        variance, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(rows))
        kept = np.flatnonzero(variance > max(_FLAT * variance[-1], 1e-30))[-DIM:]
        return cls(mean, (axes[:, kept] / np.sqrt(variance[kept])).astype(np.float32))

    def __call__(self, rows: Float[np.ndarray, "k D"]) -> Float32[np.ndarray, "k K"]:
        """The same rows on the axes, `(k, K)`; their length is not yet 1."""
        return ((rows - self.mean) @ self.axes).astype(np.float32)
