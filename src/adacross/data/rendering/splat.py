"""Shaded pictures of point clouds that have no mesh.

Each point becomes a small ellipsoid shaped like its neighborhood: a disc on a surface, a needle on a chair
leg. Ellipsoids are projected to ellipses, depth-tested, and those near the front blend, which hides the noise
of single normals. Our choice throughout; the projection is the one of EWA splatting (Zwicker et al., 2001).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64, UInt8

from adacross.data.rendering.camera import Camera
from adacross.data.rendering.shading import BACKGROUND, mean_of, shade, to_bytes
from adacross.data.shape import PointCloud
from adacross.errors import UserError

Points = Float64[np.ndarray, "N 3"]
Matrices = Float64[np.ndarray, "N 3 3"]
Depth = Float32[np.ndarray, "size size"]
NORMAL_NEIGHBORS, SHAPE_NEIGHBORS = 16, 10
REACH = 1.9  # an ellipsoid's radius in standard deviations of its neighborhood: closes most gaps
SPREAD = 1.7  # lone points grow at most to this times the median variance
SLIGHTEST = 1e-4  # variance no ellipsoid needs to be cut below: a hundredth of the unit sphere, squared
BLUR = 0.3  # variance in pixels added to every ellipse, so that none falls between pixel centers
FALLOFF = 4.0  # blending weight exp(-FALLOFF q), q = 1 at the ellipse's rim
FOG = (1.12, 0.84)  # brightness of the nearest and the farthest point
CREVICE = 0.75  # darkening behind nearer neighbor pixels
CREVICE_DEPTH = 0.12  # where it stops growing
GAP = 0.08  # what lies this far behind its surroundings may be a gap between splats
CLOSING = ((45, 7), (80, 6), (160, 5))  # passes: look size / 45 pixels around, 7 of 8 places must be in front
NEAREST = 0.05  # points closer to the camera's plane are left out
FINE = 128  # pictures up to this size are drawn at twice the size and averaged


class _Splats(NamedTuple):
    centers: Points
    covariances: Matrices
    normals: Points | None  # None: balls, which face every camera and leave gaps open
    colors: UInt8[np.ndarray, "N 3"] | None


class _Coverage(NamedTuple):
    """(splat, pixel) pairs."""

    splat: Int[np.ndarray, " m"]
    pixel: Int[np.ndarray, " m"]
    q: Float[np.ndarray, " m"]  # squared distance from the center, 1 at the rim
    depth: Float[np.ndarray, " m"]  # farther towards the rim, so that the nearest center wins
    reach: Float[np.ndarray, " m"]  # the splat's radius: how far behind the front it still blends


def render_cloud(
    cloud: PointCloud, cameras: Sequence[Camera], size: int, ball: float | None = None
) -> UInt8[np.ndarray, "V size size 3"]:
    """Draw a cloud from each camera: shaded by normal and depth, white background.

    Uses the cloud's normals and colors where it has them; otherwise normals are estimated and the color is
    light gray. The sign of a normal does not matter.

    Args:
        cloud: inside the unit sphere, as `orbit`'s cameras expect it. 1,024 points fill most surfaces.
        cameras: the viewpoints; each image depends on its own camera only.
        size: pixels along each side.
        ball: draw points as balls of this radius, evenly lit, nothing between them; None: as a surface.
    """
    if size < 1:
        raise UserError(f"the picture size is {size} pixels; it must be at least 1.")
    if ball is not None and ball <= 0:
        raise UserError(f"points are to be balls of radius {ball}; it must be above 0.")
    pictures = np.full((len(cameras), size, size, 3), BACKGROUND, dtype=np.uint8)
    if len(cloud.points) == 0:
        return pictures
    if ball is None:
        splats = _splats(cloud)
    else:
        covariances = np.broadcast_to(ball**2 * np.eye(3), (len(cloud.points), 3, 3))
        splats = _Splats(cloud.points.astype(np.float64), covariances, None, cloud.colors)
    factor = 2 if size <= FINE else 1
    for picture, camera in zip(pictures, cameras, strict=True):
        drawn = _draw(splats, camera, size * factor)
        samples = [drawn[i::factor, j::factor] for i in range(factor) for j in range(factor)]
        picture[:] = to_bytes(mean_of(samples))
    return pictures


def local_frames(
    points: Float[np.ndarray, "N 3"], k: int
) -> tuple[Points, Matrices, Int64[np.ndarray, "N k2"]]:
    """Return variances `(N, 3)`, axes `(N, 3, 3)` and indices of each point's `k` nearest, with itself."""
    from scipy.spatial import cKDTree

    points = points.astype(np.float64)
    _, neighbors = cKDTree(points).query(points, k=np.arange(1, min(k, len(points)) + 1))
    near = points[neighbors]
    near = near - near.mean(1, keepdims=True)
    variances, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near) / near.shape[1])
    return variances.clip(0), axes, neighbors


def _splats(cloud: PointCloud) -> _Splats:
    """Turn points into ellipsoids with the neighborhood's covariance, half way to its center.

    At a border neighbors lie on one side only, so the ellipsoid ends about where the surface ends instead of
    hanging over; going the whole way would widen the gaps between samples.
    """
    variances, axes, neighbors = local_frames(cloud.points, NORMAL_NEIGHBORS)
    near = cloud.points.astype(np.float64)[neighbors[:, :SHAPE_NEIGHBORS]]
    middle = near.mean(1)
    near -= middle[:, None]
    covariances = near.transpose(0, 2, 1) @ near / near.shape[1]
    across = variances[:, 1]
    limit = max(SPREAD * float(np.median(across)), SLIGHTEST)
    covariances *= (REACH**2 * np.minimum(1, limit / np.maximum(across, SLIGHTEST)))[:, None, None]
    # average normals with their neighbors', whatever the signs: the main axis of summed outer products
    flatness = (variances[:, 1] - variances[:, 0]) / np.maximum(variances[:, 1], 1e-12)
    outer = (flatness + 1e-6)[:, None, None] * axes[:, :, :1] * axes[:, None, :, 0]
    normals = np.linalg.eigh(outer[neighbors].sum(1))[1][:, :, 2]
    if cloud.normals is not None:
        given = np.linalg.norm(cloud.normals, axis=1, keepdims=True)
        normals = np.where(given > 1e-6, cloud.normals / np.maximum(given, 1e-6), normals)
    return _Splats((middle + cloud.points) / 2, covariances, normals, cloud.colors)


def _draw(splats: _Splats, camera: Camera, size: int) -> Float[np.ndarray, "size size 3"]:
    """Return one picture, 0..255."""
    depth = -camera.view(splats.centers)[:, 2]
    picture = np.full((size * size, 3), float(BACKGROUND))
    pairs = _cover(splats, np.flatnonzero(depth > NEAREST), camera, size)
    front = np.full(size * size, np.inf, dtype=np.float32)
    np.minimum.at(front, pairs.pixel, pairs.depth)
    shown = np.flatnonzero(pairs.depth <= front.take(pairs.pixel) + pairs.reach)
    pixel, splat = pairs.pixel[shown], pairs.splat[shown]
    weight = np.exp(-FALLOFF * pairs.q[shown])
    total = np.bincount(pixel, weight, size * size)
    hit = total > 0
    if not hit.any():
        return picture.reshape(size, size, 3)
    normals = splats.normals
    if normals is None:
        normals = np.broadcast_to(camera.rotation[2], splats.centers.shape)
    lit = shade(splats.colors, normals, splats.centers, camera)
    channels = range(1 if splats.colors is None else 3)  # grey clouds need one
    blended = np.zeros((size * size, len(channels)))
    for c in channels:
        blended[hit, c] = np.bincount(pixel, weight * lit[:, c][splat], size * size)[hit] / total[hit]
    for divisor, needed in CLOSING if splats.normals is not None else ():
        _close(blended, front.reshape(size, size), max(1, round(size / divisor)), needed)
    hit = np.isfinite(front)
    near, far = float(depth.min()), float(depth.max())
    fog = np.interp(front[hit], (near, max(far, near + 1e-6)), FOG)
    dim = fog * np.exp(-_crevices(front.reshape(size, size)).ravel()[hit])
    picture[hit] = (blended[hit] * dim[:, None]).clip(0, 255)
    return picture.reshape(size, size, 3)


def _cover(splats: _Splats, chosen: Int[np.ndarray, " n"], camera: Camera, size: int) -> _Coverage:
    """List the pixels whose centers lie inside each chosen splat's ellipse, with their depth there."""
    x, y, depth = camera.homogeneous(splats.centers[chosen], size).T
    x, y = x / depth, y / depth
    screen = _screen_covariances(splats.centers[chosen], splats.covariances[chosen], camera, size)
    xx, yy, xy = screen[:, 0, 0] + BLUR, screen[:, 1, 1] + BLUR, screen[:, 0, 1]
    determinant = xx * yy - xy**2
    a, b, c = yy / determinant, -xy / determinant, xx / determinant  # q = a dx^2 + 2 b dx dy + c dy^2
    # the ellipsoid's regression plane over the screen: its depth, seen from any side
    slope_x, slope_y = a * screen[:, 2, 0] + b * screen[:, 2, 1], b * screen[:, 2, 0] + c * screen[:, 2, 1]
    radius = np.sqrt(np.trace(splats.covariances[chosen], axis1=1, axis2=2) / 2)

    top, rows = _inside(y, np.sqrt(yy), size)
    owner, step = _expand(rows)
    a, b, c = a[owner], b[owner], c[owner]
    dy = top[owner] + step - y[owner]
    left, columns = _inside(x[owner] - b / a * dy, np.sqrt(((b**2 - a * c) * dy**2 + a).clip(0)) / a, size)
    dx = left - x[owner]
    # along a row q is quadratic and the depth linear in the step from its left end: four coefficients a row
    terms = np.stack([a, 2 * (a * dx + b * dy), a * dx**2 + 2 * b * dx * dy + c * dy**2, slope_x[owner],
                      depth[owner] + slope_x[owner] * dx + slope_y[owner] * dy, radius[owner]])  # fmt: skip
    places = np.stack([chosen[owner], (top[owner] + step) * size + left])
    square, linear, constant, slope, start, reach = np.repeat(terms.astype(np.float32), columns, axis=1)
    splat, pixel = np.repeat(places, columns, axis=1)
    step = _expand(columns)[1]
    along = step.astype(np.float32)
    q = (square * along + linear) * along + constant
    return _Coverage(splat, pixel + step, q, start + slope * along + reach * q, reach)


def _inside(
    middle: Float64[np.ndarray, " n"], half: Float64[np.ndarray, " n"], size: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """First integer in `middle` +- `half` and 0..size - 1, and how many there are."""
    first = np.ceil(middle - half).clip(0, size).astype(np.int64)
    last = np.floor(middle + half).clip(-1, size - 1).astype(np.int64)
    return first, (last - first + 1).clip(0)


def _screen_covariances(centers: Points, covariances: Matrices, camera: Camera, size: int) -> Matrices:
    """Covariances in (column, row, depth): J S J^T with the projection's derivative J at each center."""
    seen = camera.view(centers)
    right, up, backward = camera.rotation
    depth = -seen[:, 2:]
    pixels = size / 2 / camera.slope / depth
    jacobian = np.empty_like(covariances)
    jacobian[:, 0] = pixels * (right + seen[:, :1] / depth * backward)
    jacobian[:, 1] = -pixels * (up + seen[:, 1:2] / depth * backward)
    jacobian[:, 2] = -backward
    return jacobian @ covariances @ jacobian.transpose(0, 2, 1)


def _close(colors: Float64[np.ndarray, "P C"], depth: Depth, step: int, needed: int) -> None:
    """Fill gaps between splats, in place: pixels behind `needed` of the 8 places `step` pixels around."""
    size = len(depth)
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    behind = depth - GAP
    count = np.zeros((size, size), dtype=np.int8)
    bordered = np.pad(depth, step, constant_values=np.inf)
    for dy, dx in offsets:
        count += bordered[step * (1 + dy) :, step * (1 + dx) :][:size, :size] < behind
    # the surroundings of pixels at the border leave the picture
    count[:step] = count[-step:] = count[:, :step] = count[:, -step:] = 0
    holes = np.flatnonzero(count >= needed)
    around = holes[:, None] + np.array([step * (dy * size + dx) for dy, dx in offsets])
    nearer = depth.take(around) < behind.take(holes)[:, None]
    colors[holes] = (colors[around] * nearer[:, :, None]).sum(1) / count.take(holes)[:, None]
    depth.ravel()[holes] = np.where(nearer, depth.take(around), 0).sum(1) / count.take(holes)


def _crevices(depth: Depth) -> Depth:
    """Return how far each pixel lies behind its neighbors, to draw the outline of what stands in front."""
    size = len(depth)
    step = max(1, round(size / 100))
    bordered = np.pad(depth, step, constant_values=np.inf)
    own = np.where(np.isinf(depth), 0, depth)
    behind = np.zeros_like(own)
    for dy in (0, step, 2 * step):
        for dx in (0, step, 2 * step):
            behind += (own - bordered[dy : dy + size, dx : dx + size] - 0.02).clip(0, CREVICE_DEPTH)
    return behind * CREVICE


def _expand(counts: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Owner and position of every item, owner i having `counts[i]`: [2, 0, 1] -> [0, 0, 2], [0, 1, 0]."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
