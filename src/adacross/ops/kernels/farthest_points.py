"""Farthest-point sampling.

Each choice is two passes of vector instructions over the cloud, which stays in the first-level cache: one
that updates the distances and finds the greatest, one that finds its place. Distances are kept as the
integers of their bits, which have the same order: a maximum of integers vectorizes, and NaN is a number like
any other.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.ops.compiler import kernel

_INFINITY = np.float32(np.inf).view(np.int32)


def farthest_points(points: Float[Tensor, "B N 3"], count: int) -> Int64[Tensor, "B count"]:
    """Choose `count` points of every cloud as `ops.neighbors.farthest_point_sample` does."""
    chosen = torch.zeros(len(points), count, dtype=torch.int64)
    planes = points.detach().mT.contiguous()
    _choose.over(len(points), planes.numpy(), chosen.numpy())
    return chosen


@kernel
def _choose(first: int, last: int, planes: np.ndarray, chosen: np.ndarray) -> None:
    """Fill in `chosen (B, count)` from coordinates `(B, 3, N)`."""
    size = np.int32(planes.shape[2])
    distance = np.empty(size, np.int32)
    for b in range(first, last):
        x, y, z = planes[b, 0], planes[b, 1], planes[b, 2]
        for j in range(size):
            distance[j] = _INFINITY
        farthest = np.int32(0)
        for i in range(1, chosen.shape[1]):
            px, py, pz = x[farthest], y[farthest], z[farthest]
            most = np.int32(-(2**31))
            for j in range(size):
                dx, dy, dz = x[j] - px, y[j] - py, z[j] - pz
                d = min(distance[j], np.float32(dx * dx + dy * dy + dz * dz).view(np.int32))
                distance[j] = d
                most = max(most, d)
            place = size
            for j in range(size):
                place = min(place, np.int32(j) if distance[j] == most else size)
            farthest = place
            chosen[b, i] = farthest
