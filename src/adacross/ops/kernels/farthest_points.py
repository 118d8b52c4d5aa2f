"""Farthest-point sampling."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.ops.compiler import kernel


def farthest_points(points: Float[Tensor, "B N 3"], count: int) -> Int64[Tensor, "B count"]:
    """Choose `count` points of every cloud as `ops.neighbors.farthest_point_sample` does."""
    chosen = torch.zeros(len(points), count, dtype=torch.int64)
    planes = points.detach().mT.contiguous()
    _choose.over(len(points), planes.numpy(), chosen.numpy())
    return chosen


@kernel
def _choose(first: int, last: int, planes: np.ndarray, chosen: np.ndarray) -> None:
    """Fill in `chosen (B, count)` from coordinates `(B, 3, N)`."""
    size = planes.shape[2]
    distance = np.empty(size, np.float32)
    for b in range(first, last):
        x, y, z = planes[b, 0], planes[b, 1], planes[b, 2]
        distance[:] = np.inf
        farthest = 0
        for i in range(1, chosen.shape[1]):
            px, py, pz = x[farthest], y[farthest], z[farthest]
            best = np.float32(-1.0)
            for j in range(size):
                dx, dy, dz = x[j] - px, y[j] - py, z[j] - pz
                d = min(distance[j], dx * dx + dy * dy + dz * dz)
                distance[j] = d
                best = max(best, d)
            for j in range(size):
                if distance[j] == best:
                    farthest = j
                    break
            chosen[b, i] = farthest
