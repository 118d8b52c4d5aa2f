"""Chamfer distance of two point clouds, as masked point modeling uses it."""

import torch
from jaxtyping import Float
from torch import Tensor

from adacross.errors import UserError
from adacross.ops.neighbors import gather, knn


def chamfer(a: Float[Tensor, "B n 3"], b: Float[Tensor, "B m 3"]) -> Float[Tensor, " B"]:
    """Mean squared distance from each point to the nearest of the other cloud, both ways added.

    For every pair of clouds of the batch,

        chamfer = 1/n sum_i min_j |a_i - b_j|^2 + 1/m sum_j min_i |a_i - b_j|^2.

    That is L_3D of Point-MAE's family ("Chamfer L2") per group of points; that Joint-MAE uses it is recalled,
    not re-checked. Neighbors are searched first, without gradient and in blocks, so nothing of size n * m is
    kept; the distances to them are then made from differences, so that they are exactly 0 for equal points.
    Half precision is computed in float32. The search rounds: of two points whose squared distances differ by
    less than about 1e-7 (float32) of the clouds' squared extent, either may be taken as the nearest.

    The gradient is that of the formula, with the nearest points held: 2/n (a_i - b_j) and so on. No root is
    taken, so it is finite everywhere and 0 between equal points. Of equally near points one receives it.

    Args:
        a: `(B, n, 3)`, for instance B groups of predicted points.
        b: `(B, m, 3)`, in the same unit.

    Returns:
        `(B,)` in that unit squared, in float32 or wider; symmetric in `a` and `b`.

    Raises:
        UserError: unequal numbers of clouds, or clouds without points.
    """
    if len(a) != len(b) or 0 in (a.shape[1], b.shape[1]):
        raise UserError(
            f"the Chamfer distance compares {tuple(a.shape)} with {tuple(b.shape)}; "
            "expected (B, n, 3) and (B, m, 3) with the same B and at least one point in each cloud."
        )
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    a, b = a.to(dtype), b.to(dtype)
    return _to_nearest(a, b) + _to_nearest(b, a)


def _to_nearest(queries: Float[Tensor, "B n 3"], points: Float[Tensor, "B m 3"]) -> Float[Tensor, " B"]:
    """Mean over `queries` of the squared distance to the nearest of `points`."""
    nearest = gather(points, knn(points, 1, queries).squeeze(2))
    return (queries - nearest).square().sum(2).mean(1)
