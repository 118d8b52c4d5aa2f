"""From a depth map to tokens of its visible patches, through convolutions that never see a masked one."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from adacross.errors import UserError

PATCH = 16  # pixels along a patch: strides 4, 2 and 2


def sine_positions(side: int, dim: int) -> Float[Tensor, "P C"]:
    """Fixed sine-cosine positions of a square grid, row by row: `(side^2, dim)`, `dim` a multiple of 4.

    A quarter of the channels each for sine and cosine of the row and of the column, at frequencies from 1 to
    1 / 10,000 (Vaswani et al. 2017, arXiv 1706.03762, in two dimensions, as MAE has it).
    """
    if dim % 4:
        raise UserError(f"positions on a map need channels in fours; {dim} were asked for.")
    frequencies = torch.exp(torch.arange(dim // 4) * (-math.log(10000) / (dim // 4)))
    angles = torch.arange(side)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


class MaskedConvBlock(nn.Module):
    """A depth-wise 5 x 5 convolution between point-wise ones, then a two-layer network, each by a shortcut.

    Masked positions are set to 0 just before the convolution that mixes positions, so nothing of them gets
    out; all else works position by position. The layout is ConvMAE's as recalled (Gao et al. 2022,
    arXiv 2205.03892), not re-checked.

    Args:
        dim: channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.enter = nn.Linear(dim, dim)
        self.mix = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.leave = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.network = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(
        self, x: Float[Tensor, "B H W C"], visible: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H W C"]:
        """`(B, H, W, C)` and which positions are visible to `(B, H, W, C)`."""
        entered = (self.enter(self.norm1(x)) * visible[..., None]).permute(0, 3, 1, 2)
        x = x + self.leave(self.mix(entered).permute(0, 2, 3, 1))
        return x + self.network(self.norm2(x))


class MaskedConvStage(nn.ModuleList):
    """`depth` masked blocks one after the other, with the same mask."""

    def __init__(self, depth: int, dim: int) -> None:
        super().__init__(MaskedConvBlock(dim) for _ in range(depth))

    def forward(
        self, x: Float[Tensor, "B H W C"], visible: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H W C"]:
        """See `MaskedConvBlock.forward`."""
        for block in self:
            x = block(x, visible)
        return x


class DepthEmbedding(nn.Module):
    """Joint-MAE's hierarchical embedding of a depth map, by fallback: ConvMAE's stages at the points' widths.

    Convolutions 4 x 4 with stride 4, then twice 2 x 2 with stride 2, whose windows do not overlap and so
    never join a masked patch with a visible one; masked blocks after the first two. A map of 224 pixels gives
    56 x 56, 28 x 28 and 14 x 14 positions.

    Args:
        dims: channels of the three stages (96, 192, 384: the widths of Point-M2AE's levels).
        depths: blocks after the first and after the second stage.
    """

    def __init__(self, dims: Sequence[int] = (96, 192, 384), depths: Sequence[int] = (2, 2)) -> None:
        super().__init__()
        inputs, sizes = (1, *dims[:-1]), (4, 2, 2)
        self.shrink = nn.ModuleList(
            nn.Conv2d(before, dim, size, size) for before, dim, size in zip(inputs, dims, sizes, strict=True)
        )
        self.blocks = nn.ModuleList(
            MaskedConvStage(depth, dim) for dim, depth in zip(dims, (*depths, 0), strict=True)
        )

    def forward(self, maps: Float[Tensor, "B 1 S S"], visible: Bool[Tensor, "B P"]) -> Float[Tensor, "B P C"]:
        """Maps `(B, 1, S, S)` to a token for each of their `(S / 16)^2` patches, row by row.

        Tokens of visible patches depend on visible patches alone; the others mean nothing.

        Args:
            maps: S a multiple of 16.
            visible: `(B, P)` which patches are.
        """
        side = maps.shape[-1] // PATCH
        grid = visible.view(-1, side, side)
        x = maps
        for shrink, blocks in zip(self.shrink, self.blocks, strict=True):
            x = shrink(x).permute(0, 2, 3, 1)
            times = x.shape[1] // side
            fine = grid.repeat_interleave(times, 1).repeat_interleave(times, 2)
            x = blocks(x, fine).permute(0, 3, 1, 2)
        return x.flatten(2).transpose(1, 2)
