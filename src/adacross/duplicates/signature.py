"""Numbers of a surface that stay the same when it is moved, turned, rescaled or meshed anew.

Moments are means over the area, `M_ij = <x_i x_j>` and so on, of coordinates about the centroid in units of
the size `sqrt(trace M)`. Contracted, they no longer depend on the orientation. A quadrature of degree 4 with
six points a triangle (Strang and Fix 1973) makes them exact, so two meshes of one surface agree to rounding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

Points = Float64[np.ndarray, "n 3"]

# Strang and Fix 1973: two orbits of three points each, and their weights
_A, _B = 0.445948490915965, 0.091576213509771
_CORNERS = np.array(
    [[1 - 2 * a if i == j else a for j in range(3)] for a in (_A, _B) for i in range(3)]
)  # barycentric coordinates
_WEIGHTS = np.repeat([0.223381589678011, 0.109951743655322], 3)

PAIRS = 16384  # pairs of points whose distances the histogram counts
BINS = 64
REACH = 4.0  # the largest distance, in units of the size


@dataclass(frozen=True, eq=False)
class Signature:
    """Description of a shape's surface in any orientation.

    Attributes:
        size: root of the mean squared distance from the centroid, in the unit of the source.
        invariants: nine contractions of the moments up to the fourth order; equal for mirrored shapes.
        handedness: a number that changes its sign where the shape is mirrored; 0 for a symmetric one.
        distances: `(BINS,)` cumulative histogram of distances between points of the surface.
    """

    size: float
    invariants: Float64[np.ndarray, "9"]
    handedness: float
    distances: Float64[np.ndarray, " BINS"]

    def stored(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "size": self.size,
            "invariants": self.invariants.tolist(),
            "handedness": self.handedness,
            "distances": self.distances.tolist(),
        }

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Signature":
        """Return what `stored` gave."""
        arrays = (np.asarray(stored[name], dtype=np.float64) for name in ("invariants", "distances"))
        invariants, distances = arrays
        return cls(stored["size"], invariants, stored["handedness"], distances)


def signature(shape: Mesh | PointCloud) -> Signature:
    """Describe a mesh by its surface, a cloud by its points.

    Raises:
        BrokenShapeError: no triangle has an area, or all points coincide.

    Example:
        >>> from adacross.data.procedural import make_mesh
        >>> from dataclasses import replace
        >>> cup = make_mesh("cup", 0)
        >>> inches = replace(cup, vertices=cup.vertices[:, [1, 2, 0]] / 25.4 + 3)
        >>> one, other = signature(cup), signature(inches)
        >>> bool(np.allclose(one.invariants, other.invariants)), round(one.size / other.size, 3)
        (True, 25.4)
    """
    _, size, second, points, weights = moments(shape)
    products = points[:, :, None] * points[:, None, :]
    weighted = products * weights[:, None, None]
    third = np.einsum("nij,nk->ijk", weighted, points, optimize=True)
    fourth = np.einsum("nij,nkl->ijkl", weighted, products, optimize=True)
    vector, inner = np.einsum("ijj->i", third), np.einsum("ijkk->ij", fourth)
    along = second @ vector
    invariants = [
        np.sum(second * second),
        np.trace(second @ second @ second),
        np.sum(third * third),
        vector @ vector,
        vector @ along,
        np.trace(inner),
        np.sum(inner * inner),
        np.sum(inner * second),
        np.sum(fourth * fourth),
    ]
    # three vectors made of odd moments: their determinant turns with a mirror, and with nothing else
    other = np.einsum("ijk,jk->i", third, second)
    handedness = float(np.linalg.det(np.stack([vector, other, along])))
    return Signature(size, np.array(invariants), handedness, _histogram(points, weights))


def moments(
    shape: Mesh | PointCloud,
) -> tuple[Float64[np.ndarray, "3"], float, Float64[np.ndarray, "3 3"], Points, Float64[np.ndarray, " n"]]:
    """Return the centroid, the size, the second moments, and points and weights that all moments follow from.

    The last three are about the centroid, in units of the size; the weights sum to 1.

    Raises:
        BrokenShapeError: no triangle has an area, or all points coincide.
    """
    points, weights = _quadrature(shape)
    weights = weights / weights.sum()
    center = weights @ points
    points = points - center
    second = (points * weights[:, None]).T @ points
    size = float(np.sqrt(np.trace(second)))
    if not (np.isfinite(size) and size > 0):
        raise BrokenShapeError("all points coincide")
    return center, size, second / size**2, points / size, weights


def _quadrature(shape: Mesh | PointCloud) -> tuple[Points, Float64[np.ndarray, " n"]]:
    """Return points and weights whose sums are the integrals of polynomials up to degree 4."""
    if isinstance(shape, PointCloud):
        return shape.points.astype(np.float64), np.ones(len(shape.points))
    areas = face_areas(shape)
    if not (np.isfinite(areas).all() and areas.sum() > 0):
        raise BrokenShapeError("no face has an area (every triangle is degenerate)")
    corners = shape.vertices[shape.faces]
    points = np.einsum("qc,fcd->fqd", _CORNERS, corners, optimize=True)
    return points.reshape(-1, 3), (areas[:, None] * _WEIGHTS).reshape(-1)


def _histogram(points: Points, weights: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " BINS"]:
    """Return the cumulative shares of distances between two points that are drawn by weight."""
    cumulative = np.cumsum(weights)
    # evenly spread draws (an additive lattice): less noise than random ones, and the same for every mesh
    steps = np.arange(PAIRS)[:, None] * np.array([0.7548776662466927, 0.5698402909980532]) + 0.5
    rows = np.searchsorted(cumulative, (steps % 1.0) * cumulative[-1]).clip(max=len(points) - 1)
    distance = np.linalg.norm(points[rows[:, 0]] - points[rows[:, 1]], axis=1)
    counts, _ = np.histogram(distance.clip(max=REACH), BINS, (0.0, REACH))
    return np.cumsum(counts) / PAIRS
