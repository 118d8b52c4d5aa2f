"""Local-aligned attention: which tokens of a cloud and which patches of its depth map see each other.

Joint-MAE (Guo et al. 2023, arXiv 2302.14007) names it; the rule is our substitute.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.nn.point_tokens import TokenGroups
from adacross.ops.projection import Projection

Alignment = Literal["exact", "radius", "none"]


def joint_attention(
    aligned: Bool[Tensor, "B G P"], tokens: Int64[Tensor, "B V"], patches: Int64[Tensor, "B W"]
) -> Bool[Tensor, "B L L"]:
    """Return the attention mask over V visible tokens, then W visible patches (L = V + W).

    Each sees all of its own modality, so no row is empty; of the other, what is `aligned` with it. `tokens`
    and `patches` are the indices of the visible ones.
    """
    across = aligned.gather(1, tokens[:, :, None].expand(-1, -1, aligned.shape[2]))
    across = across.gather(2, patches[:, None].expand(-1, tokens.shape[1], -1))
    of_cloud, of_map = (across.new_ones(len(across), n, n) for n in across.shape[1:])
    return torch.cat([torch.cat([of_cloud, across], 2), torch.cat([across.mT, of_map], 2)], 1)


def aligned_patches(
    alignment: Alignment,
    levels: Sequence[TokenGroups],
    points: Float[Tensor, "B N 3"],
    projection: Projection,
) -> Bool[Tensor, "B G P"]:
    """Return which patches belong to each coarsest token.

    `alignment` is "exact", the patches that a point of the token falls on; "radius", the patch of its center
    and those around it; or "none", all.
    """
    side = projection.size // PATCH
    if alignment == "exact":
        return covered_patches(levels, projection.patches(points, PATCH), side * side)
    middle = projection.patches(levels[-1].centers, PATCH)[:, :, None]
    every = torch.arange(side * side, device=middle.device)
    reach = 1 if alignment == "radius" else side
    rows, columns = middle // side - every // side, middle % side - every % side
    return (rows.abs() <= reach) & (columns.abs() <= reach)


def covered_patches(
    levels: Sequence[TokenGroups], patches: Int64[Tensor, "B N"], count: int
) -> Bool[Tensor, "B G P"]:
    """Return which of `count` patches hold a point that each coarsest token is made of.

    A token is made of the tokens below it that it groups, and in the end of points; the stored neighbors tell
    which. Each point lies in one patch, `patches` `(B, N)`.
    """
    landed = patches[:, :, None]  # of each token below, the patches of all its points
    for level in levels:
        B, G, _ = level.neighbors.shape
        members = level.neighbors.flatten(1)[:, :, None].expand(-1, -1, landed.shape[2])
        landed = landed.gather(1, members).view(B, G, -1)
    covered = torch.zeros(B, G, count, dtype=torch.bool, device=patches.device)
    return covered.scatter_(2, landed, True)
