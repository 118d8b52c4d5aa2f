"""Closed solids: every one is a loft through rings of points.

All solids are wound outward (positive signed volume) and watertight as geometry. Angles are radians, y is up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from adacross.data.procedural.curves import Curve, Number, circle
from adacross.data.shape import Axis

SEGMENTS = 20


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed triangle surface, wound outward: vertices `(V, 3)` and faces `(F, 3)`."""

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]

    def at(self, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> "Solid":
        """Return the solid moved by `(x, y, z)`."""
        return Solid(self.vertices + np.array((x, y, z)), self.faces)

    def turn(self, axis: Axis, angle: Number) -> "Solid":
        """Return the solid turned about a coordinate axis by the right-hand rule."""
        return Solid(self.vertices @ rotation(axis, angle).T, self.faces)

    def scale(self, x: Number = 1.0, y: Number = 1.0, z: Number = 1.0) -> "Solid":
        """Return the solid scaled along the axes; an odd number of mirrors keeps the winding outward."""
        faces = self.faces if x * y * z > 0 else self.faces[:, ::-1].copy()
        return Solid(self.vertices * np.array((x, y, z)), faces)


def rotation(axis: Axis, angle: Number) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix that turns column vectors about `axis` by `angle`."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def join(*solids: Solid) -> Solid:
    """Put several solids into one, without welding or cutting where they overlap."""
    offsets = np.cumsum([0] + [len(solid.vertices) for solid in solids[:-1]])
    faces = [solid.faces + offset for solid, offset in zip(solids, offsets, strict=True)]
    return Solid(np.concatenate([solid.vertices for solid in solids]), np.concatenate(faces))


def both(solid: Solid, x: Number, y: Number = 0.0, z: Number = 0.0) -> list[Solid]:
    """Return a solid on both sides, at `(-x, y, z)` and at `(x, y, z)`."""
    return [solid.at(-x, y, z), solid.at(x, y, z)]


def around(solid: Solid, count: int, axis: Axis = "y") -> list[Solid]:
    """Return `count` copies of a solid, turned about an axis in equal steps."""
    return [solid.turn(axis, k * 2 * np.pi / count) for k in range(count)]


def volume(solid: Solid) -> float:
    """Return the enclosed volume by the divergence theorem, negative where the winding points inward."""
    vertices = solid.vertices - solid.vertices[0]
    a, b, c = vertices[solid.faces].transpose(1, 2, 0)
    triple = a[0] * (b[1] * c[2] - b[2] * c[1])
    triple += a[1] * (b[2] * c[0] - b[0] * c[2])
    triple += a[2] * (b[0] * c[1] - b[1] * c[0])
    return float(triple.sum()) / 6.0


@lru_cache(maxsize=512)
def _loft_faces(rings: int, size: int, wrap: bool) -> Int64[np.ndarray, "F 3"]:
    """Faces between neighboring rings; without `wrap` the two ends are fans about two extra vertices."""
    grid = np.arange(rings * size).reshape(rings, size)
    low, high = (grid, np.roll(grid, -1, 0)) if wrap else (grid[:-1], grid[1:])
    low_next, high_next = np.roll(low, -1, 1), np.roll(high, -1, 1)
    faces = [np.stack((low, low_next, high_next), -1), np.stack((low, high_next, high), -1)]
    if not wrap:
        first, last = np.full(size, rings * size), np.full(size, rings * size + 1)
        faces += [np.stack((first, np.roll(grid[0], -1), grid[0]), -1)]
        faces += [np.stack((last, grid[-1], np.roll(grid[-1], -1)), -1)]
    return np.concatenate([face.reshape(-1, 3) for face in faces])


def loft(
    rings: Float64[np.ndarray, "R S 3"],
    start: Sequence[Number] | Float64[np.ndarray, "3"] | None = None,
    end: Sequence[Number] | Float64[np.ndarray, "3"] | None = None,
    *,
    wrap: bool = False,
) -> Solid:
    """Return the solid whose skin runs through a stack of closed rings `(R, S, 3)`, of either direction.

    `start` and `end` are the tips of the fans that close it, by default the centroids of the first and last
    ring; `wrap` joins the two instead (a torus).
    """
    vertices = rings.reshape(-1, 3)
    if not wrap:
        tip_start = rings[0].mean(0) if start is None else np.asarray(start, dtype=np.float64)
        tip_end = rings[-1].mean(0) if end is None else np.asarray(end, dtype=np.float64)
        vertices = np.concatenate((vertices, tip_start[None], tip_end[None]))
    solid = Solid(vertices, _loft_faces(rings.shape[0], rings.shape[1], wrap))
    return solid if volume(solid) > 0 else Solid(vertices, solid.faces[:, ::-1].copy())


def lathe(profile: Curve, segments: int = SEGMENTS, *, wrap: bool = False) -> Solid:
    """Return the surface of revolution about y of `(radius, y)` pairs, closed at the axis or by `wrap`."""
    curve = np.asarray(profile, dtype=np.float64)
    tips = ((0.0, curve[0, 1], 0.0), (0.0, curve[-1, 1], 0.0))
    if not wrap:
        curve = curve[curve[:, 0] > 0]
    ring = circle(segments)
    rings = np.empty((len(curve), segments, 3))
    rings[..., ::2] = curve[:, None, :1] * ring
    rings[..., 1] = curve[:, 1:]
    return loft(rings, *tips, wrap=wrap)


def frames(path: Curve) -> Float64[np.ndarray, "K 2 3"]:
    """Return two unit vectors across a path at each of its points, without twist where the path is planar."""
    points = np.asarray(path, dtype=np.float64)
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    plane = np.linalg.eigh(tangents.T @ tangents)[1][:, 0]
    across = plane - (tangents @ plane)[:, None] * tangents
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack((across, np.cross(tangents, across)), 1)


def sweep(path: Curve, radius: Number | NDArray[np.float64], sides: int = 10) -> Solid:
    """Return a rod along a path `(K, 3)`, of a section with so many sides.

    The radius is one number, or `(K,)`, or `(K, 2)` for an elliptic section: half size across the plane of
    the path and half size within it.
    """
    points = np.asarray(path, dtype=np.float64)
    sizes = np.asarray(radius, dtype=np.float64)
    sizes = np.broadcast_to(sizes[:, None] if sizes.ndim == 1 else sizes, (len(points), 2))
    return loft(points[:, None] + (circle(sides) * sizes[:, None]) @ frames(points))


def tube(path: Curve, outer: Number, inner: Number, sides: int = SEGMENTS) -> Solid:
    """Return a pipe along a path, open at both ends, with these two radii."""
    points = np.asarray(path, dtype=np.float64)
    rings = circle(sides) @ frames(points)
    skin = points[:, None] + outer * rings
    bore = points[:, None] + inner * rings
    return loft(np.concatenate((skin, bore[::-1])), wrap=True)


def extrude(polygon: Curve, depth: Number) -> Solid:
    """Return a prism, centered in z, over a polygon in the x-y plane that is visible from its mean."""
    corners = np.asarray(polygon, dtype=np.float64)
    rings = np.empty((2, len(corners), 3))
    rings[..., :2] = corners
    rings[0, :, 2], rings[1, :, 2] = -depth / 2, depth / 2
    return loft(rings)


def ribbon(left: Curve, right: Curve, depth: Number | NDArray[np.float64], *, wrap: bool = False) -> Solid:
    """Return a plate, centered in z, between two edges in the x-y plane, paired point by point, or a ring."""
    edges = np.stack((np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)), 1)
    rings = np.empty((len(edges), 4, 3))
    rings[..., :2] = edges[:, [0, 0, 1, 1]]
    rings[..., 2] = np.multiply.outer(np.broadcast_to(depth, len(edges)), (-0.5, 0.5, 0.5, -0.5))
    return loft(rings, wrap=wrap)
