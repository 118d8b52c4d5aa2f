"""From a depth map to tokens of its visible patches, through convolutions that never see a masked one."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from adacross.errors import UserError
from adacross.nn.transformer import check_depth
from adacross.ops.kernels import use_kernels
from adacross.ops.projection import patchify

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

    Only the convolution mixes positions. For it the visible ones are laid on a map that is 0 elsewhere, so
    nothing of a masked position gets out; all else is done only at visible positions. The layout is
    ConvMAE's as recalled (Gao et al. 2022, arXiv 2205.03892), not re-checked.
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
        self, x: Float[Tensor, "m C"], places: Int64[Tensor, " m"], shape: tuple[int, int, int]
    ) -> Float[Tensor, "m C"]:
        """Visible positions of all maps together, `(m, C)` to `(m, C)`.

        `places` says where each is among the maps' positions, row by row, one map after the other; `shape`
        is the number of maps, and of their rows and columns.
        """
        x = x + self.leave(self._mixed(self.enter(self.norm1(x)), places, shape))
        return x + self.network(self.norm2(x))

    def _mixed(self, x: Tensor, places: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """The convolution; channels last, which is several times faster on a CPU."""
        if use_kernels(x, self.mix.weight):
            from adacross.ops.kernels.masked_convolution import masked_convolution

            weight, bias = self.mix.parameters()
            return masked_convolution(x, places, shape, weight, bias)
        laid = x.new_zeros(math.prod(shape), x.shape[1]).index_copy(0, places, x).view(*shape, -1)
        mixed = self.mix(laid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return mixed.flatten(0, 2).index_select(0, places)


class MaskedConvStage(nn.ModuleList):
    """`depth` masked blocks one after the other, at the same positions."""

    def __init__(self, depth: int, dim: int) -> None:
        check_depth(depth)
        super().__init__(MaskedConvBlock(dim) for _ in range(depth))

    def forward(
        self, x: Float[Tensor, "n h h C"], visible: Bool[Tensor, "B p p"]
    ) -> Float[Tensor, "n h h C"]:
        """The n visible of p x p patches, with h x h positions each; see `MaskedConvBlock.forward`."""
        (B, side, _), h = visible.shape, x.shape[1]
        rows = torch.arange(B * (side * h) ** 2, device=x.device).view(B, side, h, side, h)
        places = rows.transpose(2, 3)[visible].flatten()
        y = x.flatten(0, 2)
        for block in self:
            y = block(y, places, (B, side * h, side * h))
        return y.view_as(x)


class PatchMerging(nn.Conv2d):
    """A convolution whose windows do not overlap, as the matrix product it is."""

    def forward(self, x: Float[Tensor, "n H H Cin"]) -> Float[Tensor, "n h h C"]:
        """`(n, H, H, Cin)` to `(n, h, h, C)`, h = H / stride."""
        (n, size, _, _), step = x.shape, self.stride[0]
        windows = x.view(n, size // step, step, size // step, step, -1).transpose(2, 3).flatten(3)
        return nn.functional.linear(windows, self.weight.permute(0, 2, 3, 1).flatten(1), self.bias)


class DepthEmbedding(nn.Module):
    """Joint-MAE's hierarchical embedding of a depth map, by fallback: ConvMAE's stages at the points' widths.

    Convolutions 4 x 4 with stride 4, then twice 2 x 2 with stride 2, whose windows do not overlap and so
    never join a masked patch with a visible one; masked blocks after the first two. A map of 224 pixels gives
    56 x 56, 28 x 28 and 14 x 14 positions. Nothing is computed for masked patches. `dims` are channels of the
    three stages, `depths` blocks after the first two.
    """

    def __init__(self, dims: Sequence[int] = (96, 192, 384), depths: Sequence[int] = (2, 2)) -> None:
        super().__init__()
        inputs, sizes = (1, *dims[:-1]), (4, 2, 2)
        self.shrink = nn.ModuleList(
            PatchMerging(before, dim, size, size)
            for before, dim, size in zip(inputs, dims, sizes, strict=True)
        )
        self.blocks = nn.ModuleList(
            MaskedConvStage(depth, dim) for dim, depth in zip(dims, (*depths, 0), strict=True)
        )

    def forward(self, maps: Float[Tensor, "B 1 S S"], visible: Bool[Tensor, "B P"]) -> Float[Tensor, "B P C"]:
        """Maps `(B, 1, S, S)`, S a multiple of 16, to a token for each of their `(S / 16)^2` patches.

        Tokens of `visible` patches depend only on visible patches; the others are 0.
        """
        side = maps.shape[-1] // PATCH
        x = patchify(maps, PATCH)[visible].view(-1, PATCH, PATCH, 1)
        for shrink, blocks in zip(self.shrink, self.blocks, strict=True):
            x = blocks(shrink(x), visible.view(-1, side, side))
        tokens = x.new_zeros(*visible.shape, x.shape[3])
        return tokens.index_put((visible,), x.flatten(1))
