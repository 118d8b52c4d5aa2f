"""Nearest neighbors of points and the moments of their places, compiled."""

import numpy as np

from adacross.ops.compiler import kernel

_SWEEPS = 6  # of rotations at most; 3 or 4 are enough
_PAIRS = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


@kernel
def measure(  # noqa: PLR0912, PLR0915  a kernel is one piece
    first: int,
    last: int,
    along: np.ndarray,
    points: np.ndarray,
    order: np.ndarray,
    neighbors: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    variances: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Fill in `splats.Frames` from points `(N, 3)` in their order `along (N,)` an axis.

    Points that are far from each other along the axis are far from each other, so the search goes both ways
    from a point and ends where no nearer one can follow. A nearer one replaces the farthest of those found.
    Variances and normals are eigenvalues and an eigenvector, by Jacobi's rotations.
    """
    count, k = neighbors.shape
    distance, found = np.empty(k), np.empty(k, np.int64)
    a, axes = np.empty((3, 3)), np.empty((3, 3))
    for i in range(first, last):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for n in range(k):
            distance[n], found[n] = np.inf, i
        distance[0], farthest, worst = 0.0, k - 1, distance[k - 1]
        for side in (-1, 1):
            j = i + side
            while 0 <= j < count:
                gap = along[i] - along[j]
                if gap * gap >= worst:
                    break
                dx, dy, dz = points[j, 0] - x, points[j, 1] - y, points[j, 2] - z
                d = dx * dx + dy * dy + dz * dz
                if d < worst:
                    distance[farthest], found[farthest] = d, j
                    worst = d
                    for n in range(k):
                        if distance[n] > worst:
                            farthest, worst = n, distance[n]
                j += side
        row = order[i]
        mx = my = mz = 0.0
        for n in range(k):
            j = found[n]
            neighbors[row, n] = order[j]
            mx, my, mz = mx + points[j, 0] / k, my + points[j, 1] / k, mz + points[j, 2] / k
        xx = xy = xz = yy = yz = zz = 0.0
        for n in range(k):
            j = found[n]
            dx, dy, dz = points[j, 0] - mx, points[j, 1] - my, points[j, 2] - mz
            xx, xy, xz = xx + dx * dx, xy + dx * dy, xz + dx * dz
            yy, yz, zz = yy + dy * dy, yz + dy * dz, zz + dz * dz
        means[row, 0], means[row, 1], means[row, 2] = mx, my, mz
        a[0, 0], a[0, 1], a[0, 2] = xx / k, xy / k, xz / k
        a[1, 0], a[1, 1], a[1, 2] = xy / k, yy / k, yz / k
        a[2, 0], a[2, 1], a[2, 2] = xz / k, yz / k, zz / k
        for r in range(3):
            for c in range(3):
                covariances[row, r, c] = a[r, c]
                axes[r, c] = 1.0 if r == c else 0.0
        for _ in range(_SWEEPS):
            for p, q, r in _PAIRS:
                if abs(a[p, q]) <= 1e-13 * (a[p, p] + a[q, q]):
                    continue
                half = (a[q, q] - a[p, p]) / (2 * a[p, q])
                tangent = np.copysign(1.0, half) / (abs(half) + np.sqrt(half * half + 1))
                cosine = 1 / np.sqrt(tangent * tangent + 1)
                sine = tangent * cosine
                a[p, p], a[q, q] = a[p, p] - tangent * a[p, q], a[q, q] + tangent * a[p, q]
                a[p, q] = a[q, p] = 0.0
                rp, rq = a[r, p], a[r, q]
                a[r, p] = a[p, r] = cosine * rp - sine * rq
                a[r, q] = a[q, r] = sine * rp + cosine * rq
                for c in range(3):
                    cp, cq = axes[c, p], axes[c, q]
                    axes[c, p], axes[c, q] = cosine * cp - sine * cq, sine * cp + cosine * cq
        least = 0
        for n in range(1, 3):
            least = n if a[n, n] < a[least, least] else least
        one, other = a[(least + 1) % 3, (least + 1) % 3], a[(least + 2) % 3, (least + 2) % 3]
        variances[row, 0] = max(a[least, least], 0.0)
        variances[row, 1], variances[row, 2] = max(min(one, other), 0.0), max(one, other)
        for c in range(3):
            normals[row, c] = axes[c, least]
