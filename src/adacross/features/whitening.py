"""Features as shapes are compared by them: of length 1, whitened where there are enough of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from adacross.errors import UserError
from adacross.features import metrics

DIM = 128  # axes of a whitening
FEWEST = 8 * DIM  # shapes below which the axes are not known well enough
_FLAT = 1e-9  # variance, relative to the largest, below which an axis is rounding noise


@dataclass(frozen=True, eq=False)
class Whitening:
    """PCA whitening: subtracts the mean, projects on principal axes, scales each to variance 1.

    Features of one encoder lie in a narrow cone, and a few of its directions (size, slenderness) dominate the
    cosine. Jégou and Chum (Negative evidences and co-occurences in image retrieval: the benefit of PCA and
    whitening, ECCV 2012) found the same for images.
    """

    mean: Float32[np.ndarray, " D"]
    axes: Float32[np.ndarray, "D K"]  # K at most `DIM`

    @classmethod
    def fit(cls, features: Float32[np.ndarray, "n D"]) -> "Whitening":
        """Fit the axes to features; labels are not used."""
        from sklearn.decomposition import PCA

        mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        pca = PCA(min(DIM, *features.shape), svd_solver="covariance_eigh").fit(features - mean)
        variance = pca.explained_variance_
        kept = variance > max(_FLAT * variance[0], 1e-30)
        return cls(mean, (pca.components_[kept].T / np.sqrt(variance[kept])).astype(np.float32))

    def __call__(self, features: Float[np.ndarray, "k D"]) -> Float32[np.ndarray, "k K"]:
        """Transform features to `(k, K)`."""
        return ((features - self.mean) @ self.axes).astype(np.float32)


def unit_rows(rows: Float[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Scale rows to length 1, so that the product of two is their cosine; refuse NaN and infinite numbers."""
    if not np.isfinite(rows).all():
        raise UserError("the encoder gives NaN or infinite features; its weights are damaged.")
    return metrics.unit_rows(rows.astype(np.float64)).astype(np.float32)


def comparable(features: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n K"]:
    """Return rows of length 1 whose products are the similarities of a search in these shapes."""
    rows = unit_rows(features)
    return rows if len(rows) < FEWEST else unit_rows(Whitening.fit(rows)(rows))
