"""The nearest point of a mesh's surface, compiled: `Triangles.closest` point by point."""

import numpy as np

from adacross.ops.compiler import function, kernel


@function
def _below(x: float, y: float, z: float, box: np.ndarray) -> float:
    """Return the squared distance from a point to a box."""
    dx = max(box[0] - x, x - box[3], 0.0)
    dy = max(box[1] - y, y - box[4], 0.0)
    dz = max(box[2] - z, z - box[5], 0.0)
    return dx * dx + dy * dy + dz * dz


@function
def _nearest(x: float, y: float, z: float, t: np.ndarray) -> tuple[float, float]:  # noqa: PLR0911  a corner each
    """Return the weights of two corners at a triangle's nearest point (Ericson 2005, section 5.1.5)."""
    abx, aby, abz = t[1, 0] - t[0, 0], t[1, 1] - t[0, 1], t[1, 2] - t[0, 2]
    acx, acy, acz = t[2, 0] - t[0, 0], t[2, 1] - t[0, 1], t[2, 2] - t[0, 2]
    px, py, pz = x - t[0, 0], y - t[0, 1], z - t[0, 2]
    d1, d2 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    if d1 <= 0 and d2 <= 0:
        return 0.0, 0.0
    px, py, pz = x - t[1, 0], y - t[1, 1], z - t[1, 2]
    d3, d4 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    if d3 >= 0 and d4 <= d3:
        return 1.0, 0.0
    px, py, pz = x - t[2, 0], y - t[2, 1], z - t[2, 2]
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
) -> None:
    """Fill in `found (n, 3)`; a first round looks into the branch whose box is nearest."""
    leaf, branch = 8, 16
    for i in range(first, last):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        best, start = np.inf, 0
        for b in range(len(branches)):
            low = _below(x, y, z, branches[b])
            if low < best:
                best, start = low, b
        best = np.inf
        for turn in range(len(branches) + 1):
            b = start if turn == 0 else turn - 1
            if (turn and b == start) or _below(x, y, z, branches[b]) >= best:
                continue
            for k in range(b * branch, min((b + 1) * branch, len(leaves))):
                if _below(x, y, z, leaves[k]) >= best:
                    continue
                for f in range(k * leaf, min((k + 1) * leaf, len(corners))):
                    t = corners[f]
                    v, w = _nearest(x, y, z, t)
                    u = 1 - v - w
                    qx = u * t[0, 0] + v * t[1, 0] + w * t[2, 0]
                    qy = u * t[0, 1] + v * t[1, 1] + w * t[2, 1]
                    qz = u * t[0, 2] + v * t[1, 2] + w * t[2, 2]
                    d = (qx - x) ** 2 + (qy - y) ** 2 + (qz - z) ** 2
                    if d < best:
                        best = d
                        found[i, 0], found[i, 1], found[i, 2] = qx, qy, qz
