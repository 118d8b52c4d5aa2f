"""Size of a shape in the unit of its source, and a digest that copies in other formats share."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt64

from adacross.data.formats.base import RawSample
from adacross.data.sampling import face_areas

# Odd numbers of random bits.
_MIXERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
MOST = 2**20  # triangles of a mesh whose edges are compared: more would take memory that reading needs


@dataclass(frozen=True)
class Measures:
    """Size of a shape as its source has it, in the source's unit and frame."""

    lower: tuple[float, ...]  # smallest coordinates
    upper: tuple[float, ...]  # largest coordinates
    area: float | None  # of a mesh
    volume: float | None  # of a watertight mesh
    watertight: bool | None  # whether every edge joins two triangles; None for more than `MOST` triangles
    triangles: int  # 0 for a cloud
    content: str  # digest of the set of corners or points, wherever it lies; "" for one of over 3 * `MOST`


def measure(raw: RawSample) -> Measures:
    """Measure a shape that was read and is finite: its mesh, or all points of its cloud."""
    mesh, points = raw.mesh, _points(raw)
    lower, upper = points.min(0), points.max(0)
    content, closed, volume = "", None if mesh else False, None
    if len(points) <= 3 * MOST:
        keys, ids = np.unique(_keys(points - lower), return_inverse=True)
        content = hashlib.sha256(keys.tobytes()).hexdigest()
        closed = mesh is not None and _is_watertight(ids.reshape(-1, 3))
        volume = _volume(points - lower) if closed else None
    area, triangles = (float(face_areas(mesh).sum()), len(mesh.faces)) if mesh else (None, 0)
    return Measures(tuple(lower.tolist()), tuple(upper.tolist()), area, volume, closed, triangles, content)


def extent_of(raw: RawSample) -> float:
    """Return the length of the longest side of a shape's bounding box; 0 if it is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        extent = float(np.ptp(_points(raw), axis=0).max())
    return extent if np.isfinite(extent) else 0.0


def mixed_units(extents: Float64[np.ndarray, " n"]) -> str:
    """Return a sentence if sizes fall into two groups as by millimeters and inches or meters, else ""."""
    logs = np.sort(np.log(extents[extents > 0]))
    if len(logs) < 4:
        return ""
    cut = int(np.diff(logs).argmax()) + 1
    small, large = logs[:cut], logs[cut:]
    factor = float(np.exp(np.median(large) - np.median(small)))
    if min(len(small), len(large)) < max(2, len(logs) // 10) or logs[cut] - logs[cut - 1] < np.log(4):
        return ""
    units = {"inches": 25.4, "meters": 1000.0}
    unit = next((name for name, times in units.items() if 1 / 1.8 < factor / times < 1.8), None)
    if unit is None:
        return ""
    return (
        f"{len(small)} shapes measure about {np.exp(np.median(small)):.3g}, {len(large)} about "
        f"{np.exp(np.median(large)):.3g} ({factor:.0f} times as much): perhaps some are in {unit}, others in "
        "millimeters. Each shape is scaled on its own; the sizes that the collection keeps are the files'."
    )


def _points(raw: RawSample) -> Float64[np.ndarray, "N 3"]:
    """Return the corners of a mesh's triangles, three at a time, or all points of a cloud."""
    if raw.mesh is not None:
        return raw.mesh.vertices[raw.mesh.faces].reshape(-1, 3)
    cloud = raw.whole or raw.cloud
    return np.zeros((1, 3)) if cloud is None else cloud.points.astype(np.float64)


def _keys(points: Float64[np.ndarray, "N 3"]) -> UInt64[np.ndarray, " N"]:
    """Return a number for each point, equal for equal points in float32."""
    bits = (points.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)  # -0 becomes 0
    mixed = bits * _MIXERS
    mixed ^= mixed >> np.uint64(29)
    keys: UInt64[np.ndarray, " N"] = (mixed * _MIXERS[::-1]).sum(1, dtype=np.uint64)
    return keys ^ (keys >> np.uint64(32))


def _is_watertight(corners: np.ndarray) -> bool:
    """Return whether every edge of triangles `(F, 3)`, but those without an area, is in two of them."""
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)].astype(np.int64)
    edges = np.sort(corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges[:, 0] * (corners.max(initial=0) + 1) + edges[:, 1], return_counts=True)
    return len(counts) > 0 and bool((counts == 2).all())


def _volume(points: Float[np.ndarray, "F3 3"]) -> float:
    """Return the volume that triangles enclose, of whose corners three at a time belong together."""
    a, b, c = np.moveaxis(points.reshape(-1, 3, 3), 1, 0)
    return abs(float(np.einsum("ij,ij->", a, np.cross(b, c)))) / 6
