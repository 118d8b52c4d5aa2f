"""Splats: a small ellipsoid for each point of a cloud, shaped like the point's neighborhood.

A disc on a surface, a needle on a chair leg. Ellipsoids are projected to ellipses, depth-tested, and those
near the front blend, which hides the noise of single normals. Our choice throughout; the projection is the
one of EWA splatting (Zwicker et al., 2001).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from adacross.data.shape import PointCloud

NEIGHBORS = 16
REACH = 1.55  # an ellipsoid's radius in standard deviations of its neighborhood: closes most gaps
SPREAD = 1.7  # lone points grow at most to this times the median variance
SLIGHTEST = 1e-4  # variance no ellipsoid needs to be cut below: a hundredth of the unit sphere, squared
BLUR = 0.3  # variance in samples added to every ellipse, so that none falls between samples
RIM = 1.001  # blending weight (RIM - q)^3, q = 1 at the ellipse's rim
FOG = (1.12, 0.84)  # brightness of the nearest and the farthest point
CREVICE = 0.75  # darkening behind nearer neighbor pixels,
CREVICE_STEP = 100  # which are size / 100 pixels away
CREVICE_SLOPE, CREVICE_DEPTH = 1.2, 0.12  # and lie farther than a slope explains; more counts no more
GAP = 0.08  # what lies this far behind its surroundings may be a gap between splats
CLOSING = ((45, 7), (80, 6), (160, 5))  # passes: look size / 45 pixels around, 7 of 8 places must be in front
NEAREST = 0.05  # points closer to the camera's plane are left out

Points = Float64[np.ndarray, "N 3"]
Matrices = Float64[np.ndarray, "N 3 3"]
# Of a plane across which points are ordered: no face of a box is parallel to it.
_OBLIQUE = np.array([0.36, 0.48, 0.8])


class Splats(NamedTuple):
    """Ellipsoids: where they are, how far they reach (covariances), and the normals they are lit by."""

    centers: Points
    covariances: Matrices
    normals: Points


class Frames(NamedTuple):
    """Neighborhoods: the nearest points and the point itself, in no order, and moments of their places."""

    neighbors: Int64[np.ndarray, "N k"]
    means: Points
    covariances: Matrices
    variances: Points  # along the main axes, ascending
    normals: Points  # the axis of least variance


def surface_splats(cloud: PointCloud, compiled: bool) -> Splats:
    """Turn points into ellipsoids with the neighborhood's covariance, half way to its center.

    At a border neighbors lie on one side only, so the ellipsoid ends about where the surface ends instead of
    hanging over; going the whole way would widen the gaps between samples.
    """
    frames = local_frames(cloud.points, compiled)
    across = frames.variances[:, 1]
    limit = max(SPREAD * float(np.median(across)), SLIGHTEST)
    scale = REACH**2 * np.minimum(1, limit / np.maximum(across, SLIGHTEST))
    # average normals with their neighbors', each turned to the point's own side
    flatness = (across - frames.variances[:, 0]) / np.maximum(across, 1e-12) + 1e-6
    near = (flatness[:, None] * frames.normals)[frames.neighbors]
    sides = np.copysign(1.0, np.einsum("nkd,nd->nk", near, frames.normals))
    normals = unit(np.einsum("nk,nkd->nd", sides, near))
    if cloud.normals is not None:
        given = np.linalg.norm(cloud.normals, axis=1, keepdims=True) > 1e-6
        normals = np.where(given, unit(cloud.normals.astype(np.float64)), normals)
    return Splats((frames.means + cloud.points) / 2, frames.covariances * scale[:, None, None], normals)


def ball_splats(cloud: PointCloud, radius: float) -> Splats:
    """Turn points into balls; without a normal (0), which is lit as if it faced the camera."""
    points = cloud.points.astype(np.float64)
    covariances = np.tile(radius**2 * np.eye(3), (len(points), 1, 1))
    return Splats(points, covariances, np.zeros_like(points))


def unit(vectors: Points) -> Points:
    """Return vectors at length 1; shorter than a millionth, as they are but longer."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def local_frames(points: Float[np.ndarray, "N 3"], compiled: bool) -> Frames:
    """Return the neighborhood of each point, by a kernel or by SciPy and NumPy."""
    points = points.astype(np.float64)
    if not compiled:
        return _plain_frames(points)
    from adacross.data.rendering.neighborhoods import measure

    along = points @ _OBLIQUE
    order = np.argsort(along, kind="stable")
    count = len(points)
    found = np.empty((count, min(NEIGHBORS, count)), np.int64)
    frames = Frames(found, *(np.empty((count, *shape)) for shape in ((3,), (3, 3), (3,), (3,))))
    measure.over(count, along[order], points[order], order, *frames)
    return frames


def _plain_frames(points: Points) -> Frames:
    from scipy.spatial import cKDTree

    _, neighbors = cKDTree(points).query(points, k=np.arange(1, min(NEIGHBORS, len(points)) + 1))
    near = points[neighbors]
    means = near.mean(1)
    near -= means[:, None]
    covariances = near.transpose(0, 2, 1) @ near / near.shape[1]
    variances, axes = np.linalg.eigh(covariances)
    return Frames(neighbors, means, covariances, variances.clip(0), axes[:, :, 0])
