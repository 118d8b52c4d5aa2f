"""The nearest point of a mesh's surface, exact for every triangle.

Triangles are put in an order along a space-filling curve and gathered in leaves of `LEAF`, leaves in
branches. A box whose distance exceeds the best found so far is passed over with all that it holds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from adacross.version import kernels_usable

Points = Float64[np.ndarray, "n 3"]
Boxes = Float64[np.ndarray, "_ 6"]

LEAF, BRANCH = 8, 16
_BLOCK = 256  # points that the plain form looks at together


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles in an order in which neighbors lie near each other, with boxes around groups of them."""

    corners: Float64[np.ndarray, "F 3 3"]
    normals: Points  # of unit length
    leaves: Boxes  # lower and upper corner of every `LEAF` triangles
    branches: Boxes  # of every `BRANCH` leaves

    @classmethod
    def of(cls, corners: Float64[np.ndarray, "F 3 3"]) -> "Triangles":
        """Put triangles in order."""
        corners = np.ascontiguousarray(corners[_order(corners.mean(1))])
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
        low, high = corners.min(1), corners.max(1)
        leaves = _boxes(low, high, LEAF)
        branches = _boxes(leaves[:, :3], leaves[:, 3:], BRANCH)
        return cls(corners, normals, leaves, branches)

    def closest(self, points: Points) -> tuple[Points, Float64[np.ndarray, " n"], Points]:
        """Return the nearest points of the surface `(n, 3)`, their distances `(n,)` and normals `(n, 3)`."""
        found, which = np.empty_like(points), np.zeros(len(points), dtype=np.int64)
        if kernels_usable():
            from adacross.duplicates.compiled import closest  # imports Numba

            points = np.ascontiguousarray(points)
            closest.over(len(points), points, self.corners, self.leaves, self.branches, found, which)
        else:
            for start in range(0, len(points), _BLOCK):
                rows = slice(start, start + _BLOCK)
                found[rows], which[rows] = self._plainly(points[rows])
        return found, np.linalg.norm(points - found, axis=1), self.normals[which]

    def _plainly(self, points: Points) -> tuple[Points, Int64[np.ndarray, " n"]]:
        """The plain form: bounds of all leaves, then all triangles of those that may hold the nearest."""
        low = _below(points[:, None], self.leaves)
        first = low.argmin(1)[:, None] * LEAF + np.arange(LEAF)
        near = closest_in_triangles(points[:, None], self.corners[first.clip(max=len(self.corners) - 1)])
        bound = ((near - points[:, None]) ** 2).sum(2).min(1)
        query, leaf = np.nonzero(low <= bound[:, None] * (1 + 1e-12))
        rows = (leaf[:, None] * LEAF + np.arange(LEAF)).clip(max=len(self.corners) - 1)
        found = closest_in_triangles(points[query][:, None], self.corners[rows])
        distance = ((found - points[query][:, None]) ** 2).sum(2)
        each, best = np.arange(len(found)), distance.argmin(1)
        order = np.lexsort((distance[each, best], query))
        first = order[np.searchsorted(query[order], np.arange(len(points)))]
        return found[first, best[first]], rows[first, best[first]]


def closest_in_triangles(
    points: Float64[np.ndarray, "n m 3"], corners: Float64[np.ndarray, "n k 3 3"]
) -> Float64[np.ndarray, "n k 3"]:
    """Return the point of each of k triangles that is nearest to a point (Ericson 2005, section 5.1.5)."""
    a, b, c = np.moveaxis(corners, 2, 0)
    ab, ac = b - a, c - a
    ap, bp, cp = points - a, points - b, points - c
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    d3, d4 = (ab * bp).sum(-1), (ac * bp).sum(-1)
    d5, d6 = (ab * cp).sum(-1), (ac * cp).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = 1 / (va + vb + vc)
        v, w = vb * inside, vc * inside
        edges = (  # each overrules those before it
            ((va <= 0) & (d4 >= d3) & (d5 >= d6), (d5 - d6) / ((d4 - d3) + (d5 - d6)), None),
            ((vb <= 0) & (d2 >= 0) & (d6 <= 0), 0.0, d2 / (d2 - d6)),
            ((vc <= 0) & (d1 >= 0) & (d3 <= 0), d1 / (d1 - d3), 0.0),
            ((d6 >= 0) & (d5 <= d6), 0.0, 1.0),
            ((d3 >= 0) & (d4 <= d3), 1.0, 0.0),
            ((d1 <= 0) & (d2 <= 0), 0.0, 0.0),
        )
        for where, along, across in edges:
            v = np.where(where, along, v)
            w = np.where(where, 1 - along if across is None else across, w)
    return np.asarray(a + v[..., None] * ab + w[..., None] * ac)


def _order(centers: Points) -> Int64[np.ndarray, " n"]:
    """Return the order of points along Morton's curve."""
    low, high = centers.min(0), centers.max(0)
    cells = ((centers - low) / np.maximum(high - low, 1e-300) * 1023).astype(np.int64)
    codes = np.zeros(len(centers), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            codes |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return codes.argsort(kind="stable")


def _boxes(low: Points, high: Points, size: int) -> Boxes:
    """Return the boxes around every `size` of some boxes."""
    starts = np.arange(0, len(low), size)
    return np.concatenate([np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)], axis=1)


def _below(points: Float64[np.ndarray, "n 1 3"], boxes: Boxes) -> Float64[np.ndarray, "n m"]:
    """Return the squared distances from points to boxes."""
    outside = np.maximum(np.maximum(boxes[:, :3] - points, points - boxes[:, 3:]), 0)
    return np.asarray((outside**2).sum(2))
