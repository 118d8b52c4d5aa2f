"""Point-M2AE's hierarchical encoder: Zhang et al. 2022, arXiv 2205.14401."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder, PointsAndCloud
from adacross.errors import UserError
from adacross.nn.layers import set_fused
from adacross.nn.point_tokens import GroupEmbedding, TokenGroups, TokenPacking, build_groups
from adacross.nn.transformer import MOST_BLOCKS, PositionEmbedding, TransformerEncoder
from adacross.ops.neighbors import gather, interpolate

LEVELS = 3


@dataclass(frozen=True)
class Tokens:
    """The visible tokens of one level, ready for attention."""

    x: Float[Tensor, "B V C"]
    position: Float[Tensor, "B V C"]  # their centers embedded
    sees: Bool[Tensor, "B #V V"] | None  # which tokens each may look at; None: all
    packing: TokenPacking | None  # where they belong among the level's tokens; None: all are there, in order
    masked: Float[Tensor, "B G C"] | None  # what stands at masked places afterwards; None: 0


class PointM2AE(Encoder):
    """Three levels of tokens, each embedded from the level below and passed through transformer blocks.

    `forward` gives mean + maximum over the coarsest tokens, `(B, dims[-1])`: the feature of Point-M2AE's
    linear SVM. 12.9 M parameters at the papers' size.

    Args:
        groups: tokens of each level, from fine to coarse.
        neighbors: members of each token: points, then tokens of the level below.
        dims: channels of each level.
        width: of the first layer that looks at points; twice and four times as many channels follow (128 in
            the papers; fewer for small machines).
        depths: transformer blocks of each level. Joint-MAE's recipe puts all of them on top.
        heads: of every attention.
        drop_path: of the last block; it rises linearly from 0.
        radii: attention of each level reaches only tokens within this distance (0.32, 0.64, 1.28 in
            Point-M2AE's fine-tuning; in its pre-training it has no effect). None: everywhere.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.
    """

    kind: ClassVar[str] = "point-m2ae"

    def __init__(
        self,
        groups: Sequence[int] = (512, 256, 64),
        neighbors: Sequence[int] = (16, 8, 8),
        dims: Sequence[int] = (96, 192, 384),
        width: int = 128,
        depths: Sequence[int] = (5, 5, 5),
        heads: int = 6,
        drop_path: float = 0.1,
        radii: Sequence[float] | None = None,
        fused: bool = True,
    ) -> None:
        options = {"groups": groups, "neighbors": neighbors, "dims": dims, "depths": depths, "radii": radii}
        for name, values in options.items():
            if values is not None and len(values) != LEVELS:
                raise UserError(f"Point-M2AE has {name} {list(values)}; expected one for each of 3 levels.")
        if not groups[0] >= groups[1] >= groups[2] >= 1 or min(*neighbors, width) < 1 or min(depths) < 0:
            raise UserError(
                f"Point-M2AE has groups {list(groups)}, neighbors {list(neighbors)}, depths {list(depths)}; "
                "expected fewer groups from level to level, and nothing negative."
            )
        if max(depths) > MOST_BLOCKS:
            raise UserError(f"Point-M2AE has depths {list(depths)}; expected at most {MOST_BLOCKS} a level.")
        if neighbors[1] > groups[0] or neighbors[2] > groups[1]:
            raise UserError(
                f"Point-M2AE has neighbors {list(neighbors)} among groups {list(groups)}; "
                "a level cannot have more neighbors than the level below has tokens."
            )
        if not 0 <= drop_path < 1:
            raise UserError(f"Point-M2AE's drop_path is {drop_path}; expected 0 or more, below 1.")
        super().__init__()
        self.groups, self.neighbors = list(groups), list(neighbors)
        self.dims, self.heads = list(dims), heads
        self.dim, self.point_dim = dims[-1], sum(dims)
        self.radii = radii
        widths = [(width, 2 * width, 4 * width), *((below, below, dim) for below, dim in pairwise(dims))]
        self.embeddings = nn.ModuleList(
            GroupEmbedding(inputs, dim, width)
            for inputs, dim, width in zip((3, *dims[:-1]), dims, widths, strict=True)
        )
        self.positions = nn.ModuleList(PositionEmbedding(dim) for dim in dims)
        rates = torch.linspace(0, drop_path, max(1, sum(depths)), device="cpu").tolist()
        firsts = [sum(depths[:level]) for level in range(LEVELS)]
        self.stacks = nn.ModuleList(
            TransformerEncoder(depth, dim, heads, rates[first : first + depth])
            for depth, dim, first in zip(depths, dims, firsts, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in dims)
        set_fused(self, fused)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return _pooled(self.features(self.group(points)))

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """The three levels side by side, each carried to the points from their three nearest tokens.

        `(B, N, sum of dims)`: 96 + 192 + 384 = 672 at the papers' size.
        """
        return self.both_features(points)[0]

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        levels = self.group(points)
        tokens = self.features(levels)
        carried = [interpolate(points, level.centers, x) for level, x in zip(levels, tokens, strict=True)]
        return torch.cat(carried, 2), _pooled(tokens)

    def group(self, points: Float[Tensor, "B N 3"]) -> list[TokenGroups]:
        """Return the levels of a cloud, from fine to coarse; errors are as of `forward`."""
        count = self.check(points).shape[1]
        needed = max(self.groups[0], self.neighbors[0])
        if count < needed:
            raise UserError(
                f"clouds have {count} points, this Point-M2AE makes {self.groups[0]} groups of "
                f"{self.neighbors[0]} of them; give at least {needed}, or an encoder with fewer groups."
            )
        return build_groups(points, self.groups, self.neighbors)

    def features(
        self,
        levels: Sequence[TokenGroups],
        visible: Sequence[Bool[Tensor, "B _"]] | None = None,
        embed_masked: bool = False,
    ) -> list[Float[Tensor, "B _ _"]]:
        """Return the normalized tokens of every level, fine to coarse; masked ones are 0. See `embed`."""
        below: list[Tensor] = []
        for level in range(LEVELS):
            below.append(self.run(level, self.embed(level, levels, below, visible, embed_masked)))
        return [self.normalized(level, x, visible) for level, x in enumerate(below)]

    def embed(
        self,
        level: int,
        levels: Sequence[TokenGroups],
        below: Sequence[Float[Tensor, "B _ _"]],
        visible: Sequence[Bool[Tensor, "B _"]] | None = None,
        embed_masked: bool = False,
    ) -> Tokens:
        """Return the tokens of one level (0 to 2) before its blocks, from the outputs of `run` `below`.

        `visible` says which tokens of each level are there (`visible_levels`); None: all. With `embed_masked`
        the others are embedded, too, as in Point-M2AE's released program, and enter BatchNorm's statistics.
        """
        groups = levels[level]
        members = gather(below[-1], groups.neighbors) if below else groups.offsets
        position = self.positions[level](groups.centers)
        if visible is None or embed_masked:
            x = self.embeddings[level](members.flatten(0, 1)).unflatten(0, members.shape[:2])
        if visible is None:
            return Tokens(x, position, self._near(level, groups.centers), None, None)
        packing = TokenPacking.of(visible[level])
        if embed_masked:
            packed, masked = packing.pack(x), x
        else:
            packed, masked = packing.place(self.embeddings[level](members[visible[level]])), None
        return Tokens(packed, packing.pack(position), packing.valid[:, None], packing, masked)

    def run(self, level: int, tokens: Tokens) -> Float[Tensor, "B G C"]:
        """Pass a level's tokens through its blocks and put them back in their places."""
        return self.unpacked(level, tokens, self.stacks[level](tokens.x, tokens.position, tokens.sees))

    def unpacked(self, level: int, tokens: Tokens, x: Float[Tensor, "B V C"]) -> Float[Tensor, "B G C"]:
        """Tokens that were `tokens.x`, now `x`, in their places; masked ones are `tokens.masked`, or 0."""
        if tokens.packing is None:
            return x
        placed = tokens.packing.unpack(x, self.groups[level])
        if tokens.masked is None:
            return placed
        return torch.where(tokens.packing.visible[:, :, None], placed, tokens.masked)

    def normalized(
        self, level: int, x: Float[Tensor, "B G C"], visible: Sequence[Bool[Tensor, "B _"]] | None
    ) -> Float[Tensor, "B G C"]:
        """The level's last norm; masked tokens are 0 after it."""
        x = self.norms[level](x)
        return x if visible is None else torch.where(visible[level][:, :, None], x, 0)

    def _near(self, level: int, centers: Tensor) -> Tensor | None:
        """Return which centers are within the level's radius of each other."""
        if self.radii is None:
            return None
        if torch.compiler.is_compiling():  # ONNX has no cdist
            return (centers[:, :, None] - centers[:, None]).norm(dim=3) < self.radii[level]
        return torch.cdist(centers, centers) < self.radii[level]


def _pooled(tokens: Sequence[Float[Tensor, "B _ _"]]) -> Float[Tensor, "B D"]:
    """Mean + maximum over the coarsest tokens."""
    return tokens[-1].mean(1) + tokens[-1].amax(1)
