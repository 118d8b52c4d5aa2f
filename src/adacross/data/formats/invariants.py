"""Numbers of a surface that stay the same when it is moved, rotated, rescaled or remeshed.

Moments are means over the area, `M_ij = <x_i x_j>` and so on, of coordinates about the centroid in units of
the size `sqrt(trace M)`. Contracted, they no longer depend on the orientation. A quadrature of degree 4 with
six points a triangle (Strang and Fix 1973) makes them exact, so two meshes of one surface agree to rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

Points = Float64[np.ndarray, "n 3"]
Weights = Float64[np.ndarray, " n"]

# Strang and Fix 1973: two orbits of three points each, and their weights
_A, _B = 0.445948490915965, 0.091576213509771
_CORNERS = np.array(
    [[1 - 2 * a if i == j else a for j in range(3)] for a in (_A, _B) for i in range(3)]
)  # barycentric coordinates
_WEIGHTS = np.repeat([0.223381589678011, 0.109951743655322], 3)
_PAIRS = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])  # place of x_i x_j among the six products
_BLOCK = 2**15  # triangles whose moments are summed together

AGREE = 1e-4  # largest difference of invariants of one surface; of other parts it is 100 times that
POINTS = 1024  # points that the profile is made of
QUANTILES = 16
PROFILE = 7 * QUANTILES + 3


@dataclass(frozen=True, eq=False)
class Signature:
    """Description of a shape's surface in any orientation.

    The profile says how points of the surface are spread: quantiles of their distances from the centroid and
    of their coordinates along the principal axes (even and odd part), and the axes' standard deviations.
    Nearly equal surfaces have nearly equal ones.
    """

    size: float  # root of the mean squared distance from the centroid, in the unit of the source
    handedness: float  # changes its sign where the shape is mirrored; 0 for a symmetric one
    invariants: Float64[np.ndarray, "9"]  # of moments up to the fourth order; equal for mirrored shapes
    profile: Float64[np.ndarray, " PROFILE"]

    def stored(self) -> list[float]:
        """Return the same as numbers, one after the other."""
        return [self.size, self.handedness, *self.invariants.tolist(), *self.profile.tolist()]

    @classmethod
    def read(cls, stored: list[float] | None) -> "Signature | None":
        """Return the signature that `stored` made; None for another list, as another version may make."""
        numbers = np.array(stored or [], dtype=np.float64)
        if len(numbers) != 11 + PROFILE or not np.isfinite(numbers).all():
            return None
        return cls(float(numbers[0]), float(numbers[1]), numbers[2:11], numbers[11:])


def signature(shape: Mesh | PointCloud) -> Signature:
    """Describe a mesh by its surface, a cloud by its points; BrokenShapeError without area or extent.

    Example:
        >>> from adacross.data.procedural import make_mesh
        >>> from dataclasses import replace
        >>> cup = make_mesh("cup", 0)
        >>> inches = replace(cup, vertices=cup.vertices[:, [1, 2, 0]] / 25.4 + 3)
        >>> one, other = signature(cup), signature(inches)
        >>> bool(np.allclose(one.invariants, other.invariants)), round(one.size / other.size, 3)
        (True, 25.4)
    """
    center, size, second = frame(shape)
    all_third, all_fourth = np.zeros((3, 6)), np.zeros((6, 6))
    total = 0.0
    for corners, weights in _quadrature(shape):
        points = (corners - center) / size
        products = np.concatenate([points**2, points[:, [0, 0, 1]] * points[:, [1, 2, 2]]], axis=1)
        weighted = products * weights[:, None]
        all_third += points.T @ weighted
        all_fourth += products.T @ weighted
        total += float(weights.sum())
    third, fourth = all_third[:, _PAIRS] / total, all_fourth[_PAIRS][..., _PAIRS] / total
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
    variances, axes = np.linalg.eigh(second)
    profile = _profile((_spread(shape) - center) / size @ axes, variances)
    return Signature(size, handedness, np.array(invariants), profile)


def frame(shape: Mesh | PointCloud) -> tuple[Float64[np.ndarray, "3"], float, Float64[np.ndarray, "3 3"]]:
    """Return the centroid, the size, and the second moments in units of the size; errors as `signature`."""
    some = shape.vertices[shape.faces.ravel()[:1]] if isinstance(shape, Mesh) else shape.points[:1]
    origin = some.astype(np.float64).sum(0)  # near enough: no digits are lost far from zero
    first, second, total = np.zeros(3), np.zeros((3, 3)), 0.0
    for corners, weights in _quadrature(shape):
        points = corners - origin
        weighted = points * weights[:, None]
        first, second, total = first + weighted.sum(0), second + weighted.T @ points, total + weights.sum()
    if not (np.isfinite(total) and total > 0):
        raise BrokenShapeError("no face has an area (every triangle is degenerate)")
    center = first / total
    second = second / total - np.outer(center, center)
    size = float(np.sqrt(max(np.trace(second), 0.0)))
    if not (np.isfinite(size) and size > 0):
        raise BrokenShapeError("all points coincide")
    return center + origin, size, second / size**2


def _quadrature(shape: Mesh | PointCloud) -> Iterator[tuple[Points, Weights]]:
    """Yield points and weights whose sums are the integrals of polynomials up to degree 4, in blocks."""
    for start in range(0, len(shape.faces if isinstance(shape, Mesh) else shape.points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        if isinstance(shape, PointCloud):
            points = shape.points[rows].astype(np.float64)
            yield points, np.ones(len(points))
            continue
        corners = shape.vertices[shape.faces[rows]]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        points = np.einsum("qc,fcd->fqd", _CORNERS, corners, optimize=True)
        yield points.reshape(-1, 3), (areas[:, None] * _WEIGHTS).reshape(-1)


def _spread(shape: Mesh | PointCloud) -> Points:
    """Return `POINTS` points, spread evenly over the surface: the same for every run."""
    steps = (np.arange(POINTS) + 0.5) / POINTS
    if isinstance(shape, PointCloud):
        return shape.points[(steps * len(shape.points)).astype(np.int64)].astype(np.float64)
    cumulative = np.cumsum(face_areas(shape))
    chosen = np.searchsorted(cumulative, steps * cumulative[-1]).clip(max=len(cumulative) - 1)
    a, b, c = np.moveaxis(shape.vertices[shape.faces[chosen]], 1, 0)
    # an additive lattice in each triangle: more even than random numbers
    places = (np.arange(POINTS)[:, None] * np.array([0.7548776662466927, 0.5698402909980532]) + 0.5) % 1.0
    places = np.where(places.sum(1, keepdims=True) > 1, 1 - places, places)
    return np.asarray(a + places[:, :1] * (b - a) + places[:, 1:] * (c - a))


def _profile(points: Points, variances: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, " PROFILE"]:
    """Return the profile of points in their principal frame, whose axes may point either way."""
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    along = np.quantile(points, at, axis=0)
    turned = -along[::-1]
    radii = np.quantile(np.linalg.norm(points, axis=1), at)
    deviations = 4 * np.sqrt(np.maximum(variances, 0.0))  # as heavy as a few quantiles
    return np.concatenate(
        [radii, np.abs(along - turned).ravel() / 2, (along + turned).ravel() / 2, deviations]
    )
