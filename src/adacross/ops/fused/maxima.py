"""The maximum of many rows, where it is, and the rows' sums that BatchNorm needs."""

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from adacross.ops.kernels import use_kernels


def maxima(
    z: Float[Tensor, "G n C"], last: bool = False
) -> tuple[Float[Tensor, "G C"], Int[Tensor, "G C"], Float64[Tensor, "2 C"]]:
    """Find each group's largest values by channel, and sum all rows and their squares. No gradient flows.

    Args:
        z: `(G, n, C)`, n at most 2^24 (a place is exact in float32).
        last: whether the last of several equal maxima is chosen, or the first.

    Returns:
        `(G, C)` maxima, `(G, C)` their places among the n, `(2, C)` the sums.
    """
    if use_kernels(z):
        from adacross.ops.kernels import maxima as kernels

        return kernels.maxima(z, last)
    n = z.shape[1]
    best = z.amax(1)
    labels = torch.arange(n, device=z.device, dtype=z.dtype)
    labels = labels if last else labels.flip(0)
    # Comparing and keeping the largest label is much faster than `max` with indices.
    label = z.eq(best[:, None]).to(z.dtype).mul_(labels[:, None]).amax(1).to(torch.int64)
    # Sums over rows in the tensor's own type, over groups in float64: no digits lost, no second pass.
    sums = torch.stack([z.sum(1).sum(0, dtype=torch.float64), z.square().sum(1).sum(0, dtype=torch.float64)])
    return best, label if last else n - 1 - label, sums
