"""Carrying features from few points to many: PointNet++, Qi et al. 2017, arXiv 1706.02413, eq. 2."""

import torch
from jaxtyping import Float
from torch import Tensor

from adacross.ops.neighbors import gather, knn


def interpolate(
    targets: Float[Tensor, "B M 3"], sources: Float[Tensor, "B N 3"], features: Float[Tensor, "B N C"]
) -> Float[Tensor, "B M C"]:
    """Features at `targets`: the mean of the three nearest sources', weighted by 1 / squared distance.

    A target on a source takes that source's features. With fewer than three sources all are used.

    Args:
        targets: `(B, M, 3)`.
        sources: `(B, N, 3)`.
        features: `(B, N, C)` of the sources; gradient flows to them alone.

    Returns:
        `(B, M, C)`.
    """
    k = min(3, sources.shape[1])
    nearest = knn(sources, k, queries=targets)
    with torch.no_grad():
        dtype = torch.promote_types(sources.dtype, torch.float32)  # 1e-8 is 0 in float16
        distance = (gather(sources, nearest).to(dtype) - targets[:, :, None].to(dtype)).square().sum(3)
        weights = 1 / (distance + 1e-8)
        weights = (weights / weights.sum(2, keepdim=True)).to(features.dtype)
    return (weights[..., None] * gather(features, nearest)).sum(2)
