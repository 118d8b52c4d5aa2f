"""The nearest point of a mesh's surface, compiled: `Triangles.closest` point by point."""

import numpy as np

from adacross.ops.compiler import function, kernel


@function
def _below(x: float, y: float, z: float, boxes: np.ndarray, b: int) -> float:
    """Return the squared distance from a point to box `b`."""
    dx = max(boxes[b, 0] - x, x - boxes[b, 3], 0.0)
    dy = max(boxes[b, 1] - y, y - boxes[b, 4], 0.0)
    dz = max(boxes[b, 2] - z, z - boxes[b, 5], 0.0)
    return dx * dx + dy * dy + dz * dz


@function
def _nearest(x: float, y: float, z: float, corners: np.ndarray, f: int) -> tuple[float, float]:  # noqa: PLR0911  a corner each
    """Return the weights of two corners at triangle `f`'s nearest point (Ericson 2005, section 5.1.5)."""
    abx, aby, abz = (
        corners[f, 1, 0] - corners[f, 0, 0],
        corners[f, 1, 1] - corners[f, 0, 1],
        corners[f, 1, 2] - corners[f, 0, 2],
    )
    acx, acy, acz = (
        corners[f, 2, 0] - corners[f, 0, 0],
        corners[f, 2, 1] - corners[f, 0, 1],
        corners[f, 2, 2] - corners[f, 0, 2],
    )
    px, py, pz = x - corners[f, 0, 0], y - corners[f, 0, 1], z - corners[f, 0, 2]
    d1, d2 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    if d1 <= 0 and d2 <= 0:
        return 0.0, 0.0
    px, py, pz = x - corners[f, 1, 0], y - corners[f, 1, 1], z - corners[f, 1, 2]
    d3, d4 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    if d3 >= 0 and d4 <= d3:
        return 1.0, 0.0
    px, py, pz = x - corners[f, 2, 0], y - corners[f, 2, 1], z - corners[f, 2, 2]
    d5, d6 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    if d6 >= 0 and d5 <= d6:
        return 0.0, 1.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        return d1 / (d1 - d3), 0.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        return 0.0, d2 / (d2 - d6)
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 >= d3 and d5 >= d6:
        along = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 1 - along, along
    inside = 1 / (va + vb + vc)
    return vb * inside, vc * inside


@kernel
def closest(
    first: int,
    last: int,
    points: np.ndarray,
    corners: np.ndarray,
    leaves: np.ndarray,
    branches: np.ndarray,
    found: np.ndarray,
    which: np.ndarray,
) -> None:
    """Fill in `found (n, 3)` and the triangles `which (n,)`.

    The triangles of the leaf that is nearest in the nearest branch come first: the distance to them is short
    enough to pass over nearly all others.
    """
    leaf, branch = 8, 16
    for i in range(first, last):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        nearest, start = np.inf, 0
        for b in range(len(branches)):
            low = _below(x, y, z, branches, b)
            if low < nearest:
                nearest, start = low, b
        nearest, inner = np.inf, start * branch
        for k in range(start * branch, min((start + 1) * branch, len(leaves))):
            low = _below(x, y, z, leaves, k)
            if low < nearest:
                nearest, inner = low, k
        best = np.inf
        for turn in range(len(branches) + 1):
            b = start if turn == 0 else turn - 1
            if turn and _below(x, y, z, branches, b) >= best:
                continue
            begin, end = b * branch, min((b + 1) * branch, len(leaves))
            if turn == 0:
                begin, end = inner, inner + 1
            for k in range(begin, end):
                if turn and _below(x, y, z, leaves, k) >= best:
                    continue
                for f in range(k * leaf, min((k + 1) * leaf, len(corners))):
                    v, w = _nearest(x, y, z, corners, f)
                    u = 1 - v - w
                    qx = u * corners[f, 0, 0] + v * corners[f, 1, 0] + w * corners[f, 2, 0]
                    qy = u * corners[f, 0, 1] + v * corners[f, 1, 1] + w * corners[f, 2, 1]
                    qz = u * corners[f, 0, 2] + v * corners[f, 1, 2] + w * corners[f, 2, 2]
                    d = (qx - x) ** 2 + (qy - y) ** 2 + (qz - z) ** 2
                    if d < best:
                        best = d
                        found[i, 0], found[i, 1], found[i, 2], which[i] = qx, qy, qz, f
