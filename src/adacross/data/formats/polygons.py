"""Polygons of any size as triangles, and colors and points as mesh files hold them."""

from typing import NamedTuple

import mapbox_earcut
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from adacross.data.formats.base import finite
from adacross.data.shape import BrokenShapeError, PointCloud

GRAY = (200, 200, 200)  # of what has no color, beside what has one
MOST_CLIPPED = 5_000  # corners of a polygon; to clip one that crosses itself takes time by their square
_FLAT = 1e-9  # share of a polygon's area that rounding may turn backwards


class Triangles(NamedTuple):
    """Triangles that polygons are cut into, in the polygons' order."""

    places: Int64[np.ndarray, "T 3"]  # positions in the list of corners
    owners: Int64[np.ndarray, " T"]  # polygon that each comes from
    fans: int  # concave polygons that were not clipped but cut as fans

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence if some polygons may be cut wrongly."""
        reason = f"they cross themselves or have more than {MOST_CLIPPED:,} corners"
        return (f"{self.fans:,} concave polygons are cut as if they were convex: {reason}",) * (self.fans > 0)


def triangulate(
    vertices: Float64[np.ndarray, "V 3"], corners: Int64[np.ndarray, " C"], sizes: Int64[np.ndarray, " P"]
) -> Triangles:
    """Cut polygons into triangles: convex ones as fans, concave ones by ear clipping in their own plane.

    `corners` are the vertices of one polygon after the other, `sizes` how many each has; of fewer than three
    there is no triangle. Raises BrokenShapeError if a corner points to a vertex that is not there.
    """
    check_corners(corners, len(vertices))
    starts = np.cumsum(sizes) - sizes
    places, owners, fans = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], 0
    for size in np.unique(sizes[sizes > 2]).tolist():
        polygons = np.flatnonzero(sizes == size)
        rings = starts[polygons, None] + np.arange(size)
        cut = _fan(rings)
        concave = np.flatnonzero(_folded(vertices[corners[cut]])) if size > 3 else polygons[:0]
        # The fan from the second corner is right for a concave quadrilateral, and for many other polygons.
        cut[concave] = _fan(np.roll(rings[concave], -1, axis=1))
        for polygon in concave[_folded(vertices[corners[cut[concave]]])].tolist():
            clipped = _clip(vertices[corners[rings[polygon]]])
            if clipped is None:
                cut[polygon], fans = _fan(rings[polygon]), fans + 1
            else:  # collinear corners leave fewer triangles; the rest has no corners of its own
                cut[polygon] = rings[polygon, 0]
                cut[polygon, : len(clipped)] = rings[polygon][clipped]
        places.append(cut.reshape(-1, 3))
        owners.append(np.repeat(polygons, size - 2))
    place, owner = np.concatenate(places), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    order = order[place[order, 0] != place[order, 1]]
    return Triangles(place[order], owner[order], fans)


def check_corners(corners: Int64[np.ndarray, "..."], count: int) -> None:
    """Raise BrokenShapeError if a corner points to a vertex that is not among `count`."""
    if corners.size and (int(corners.min()) < 0 or int(corners.max()) >= count):
        wrong = corners.min() if corners.min() < 0 else corners.max()
        raise BrokenShapeError(f"a face points to vertex {wrong}, but there are only {count}")


def _fan(rings: Int64[np.ndarray, "*m n"]) -> Int64[np.ndarray, "*m t 3"]:
    """Return the triangles `(..., n - 2, 3)` of a fan from the first of `(..., n)` corners."""
    first = np.broadcast_to(rings[..., :1], rings[..., 2:].shape)
    return np.stack([first, rings[..., 1:-1], rings[..., 2:]], axis=-1)


def _folded(corners: Float64[np.ndarray, "m t 3 3"]) -> Bool[np.ndarray, " m"]:
    """Return which fans have a triangle that faces backwards: their polygons are concave."""
    with np.errstate(all="ignore"):  # coordinates that are not finite, or too large, are refused later
        cross = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        normal = cross.sum(1, keepdims=True)
        facing = (cross * normal).sum(-1)
        return (facing < -_FLAT * (normal**2).sum(-1)).any(1)


def _clip(corners: Float64[np.ndarray, "n 3"]) -> Int64[np.ndarray, "t 3"] | None:
    """Cut a polygon by ear clipping, seen along its normal; None if that would take long or finds nothing."""
    if len(corners) > MOST_CLIPPED or len(np.unique(corners, axis=0)) < 0.9 * len(corners):
        return None
    rays = corners - corners[0]
    normal = np.cross(rays[1:-1], rays[2:]).sum(0)
    across = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    along = np.cross(normal, across)
    flat = rays @ np.stack([across / np.linalg.norm(across), along / np.linalg.norm(along)], axis=1)
    found = mapbox_earcut.triangulate_float64(flat, np.array([len(flat)], dtype=np.uint32))
    triangles = found.reshape(-1, 3).astype(np.int64)
    a, b, c = np.moveaxis(rays[triangles], 1, 0)
    backwards = np.cross(b - a, c - a) @ normal < 0
    triangles[backwards] = triangles[backwards][:, ::-1]
    return triangles if len(triangles) else None


def spans(starts: Int64[np.ndarray, " n"], sizes: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Return `starts[i], starts[i] + 1, ...`, `sizes[i]` numbers for each i, one after the other."""
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())


def color_bytes(values: Float[np.ndarray, "n 3"], whole: bool) -> UInt8[np.ndarray, "n 3"]:
    """Return colors as 0..255: integers are already, fractions are 0..1; what is NaN becomes gray."""
    scaled = values if whole else values * 255
    return np.where(np.isnan(scaled), GRAY, scaled).clip(0, 255).round().astype(np.uint8)


def mean_colors(
    colors: UInt8[np.ndarray, "V 3"], faces: Int64[np.ndarray, "F 3"]
) -> UInt8[np.ndarray, "F 3"]:
    """Return the mean color of each face's vertices."""
    return colors[faces].mean(1).round().astype(np.uint8)


def cloud_of(points: Float[np.ndarray, "N 3"], colors: UInt8[np.ndarray, "N 3"] | None = None) -> PointCloud:
    """Return the finite points of a file, and a warning about the others; BrokenShapeError for no point."""
    if not len(points):
        raise BrokenShapeError("there is neither a face nor a point in it")
    return finite(PointCloud(points, colors=colors))
