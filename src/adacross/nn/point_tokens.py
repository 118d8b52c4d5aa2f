"""From a cloud to levels of tokens: grouping, masks over levels, the small networks that embed groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from adacross.nn.layers import PointLayer
from adacross.ops.neighbors import farthest_point_sample, gather, knn


@dataclass(frozen=True)
class TokenGroups:
    """Tokens of one level: G centers, and the k nearest of each among the P points of the level below."""

    centers: Float[Tensor, "B G 3"]
    # indices into the level below: the cloud's points, or the finer centers
    neighbors: Int64[Tensor, "B G k"]
    offsets: Float[Tensor, "B G k 3"]  # the neighbors relative to their center


def build_groups(
    points: Float[Tensor, "B N 3"], counts: Sequence[int], neighbors: Sequence[int]
) -> list[TokenGroups]:
    """Levels of groups from fine to coarse: Zhang et al. 2022, arXiv 2205.14401, section 3.1.

    The `counts` centers of a level are chosen by farthest-point sampling, from index 0 on, among those of the
    level below (the points themselves, at first); each takes its `neighbors` nearest there.
    """
    levels = []
    below = points
    for count, k in zip(counts, neighbors, strict=True):
        centers = gather(below, farthest_point_sample(below, count))
        nearest = knn(below, k, queries=centers)
        levels.append(TokenGroups(centers, nearest, gather(below, nearest) - centers[:, :, None]))
        below = centers
    return levels


def visible_levels(levels: Sequence[TokenGroups], top: Bool[Tensor, "B G"]) -> list[Bool[Tensor, "B _"]]:
    """Return the tokens visible at each level, from fine to coarse, if `top` are at the coarsest.

    A finer token is visible if it is among the neighbors of a visible coarser one (arXiv 2205.14401,
    multi-scale masking), so no visible token is made of a masked one.
    """
    visible = [top]
    for coarse, fine in zip(levels[:0:-1], levels[-2::-1], strict=True):
        count = fine.centers.shape[1]
        seen = torch.where(visible[0][:, :, None], coarse.neighbors, count).flatten(1)
        lit = torch.zeros(len(top), count + 1, dtype=torch.bool, device=top.device)
        visible.insert(0, lit.scatter_(1, seen, True)[:, :count])
    return visible


@dataclass(frozen=True)
class TokenPacking:
    """Places of the visible ones of G tokens when only they are kept: rows of V, the most of a shape."""

    visible: Bool[Tensor, "B G"]  # the marks
    indices: Int64[Tensor, "B V"]  # which token each place holds, in order
    valid: Bool[Tensor, "B V"]  # False for places that a shape with fewer visible tokens leaves empty

    @classmethod
    def of(cls, visible: Bool[Tensor, "B G"]) -> "TokenPacking":
        """The packing of the tokens marked in `visible`."""
        most = int(visible.sum(1).max())
        indices = (~visible).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
        return cls(visible, indices, visible.gather(1, indices))

    def pack(self, tokens: Float[Tensor, "B G C"]) -> Float[Tensor, "B V C"]:
        """Keep the visible tokens; empty places hold masked ones, which `valid` tells apart."""
        return gather(tokens, self.indices)

    def place(self, visible_tokens: Float[Tensor, "n C"]) -> Float[Tensor, "B V C"]:
        """Lay out tokens that were made only for the n visible places, in order; empty places are 0."""
        packed = visible_tokens.new_zeros(*self.valid.shape, visible_tokens.shape[1])
        return packed.index_put((self.valid,), visible_tokens)

    def unpack(self, packed: Float[Tensor, "B V C"], count: int) -> Float[Tensor, "B G C"]:
        """Put packed tokens back among `count`; masked ones are 0."""
        tokens = packed.new_zeros(len(packed), count, packed.shape[2])
        kept = torch.where(self.valid[:, :, None], packed, 0)
        return tokens.scatter(1, self.indices[:, :, None].expand_as(kept), kept)


class GroupEmbedding(nn.Module):
    """A small PointNet from `inputs` channels of a group's members to one token of `dim` channels.

    Each member goes through Linear, BatchNorm, ReLU, Linear; beside each goes the maximum over its group;
    then the same again and the maximum over the group. The `widths` of the three layers between are those of
    Point-M2AE's released program.
    """

    def __init__(self, inputs: int, dim: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, local, second = widths
        self.first = PointLayer(inputs, first, bias=True)
        self.local = nn.Linear(first, local)
        self.second = PointLayer(2 * local, second, bias=True)
        self.last = nn.Linear(second, dim)

    def forward(self, members: Float[Tensor, "n k Cin"]) -> Float[Tensor, "n C"]:
        """`(n, k, Cin)` groups to `(n, C)` tokens."""
        return self.second.pooled_groups(self.first(members), self.local, self.last)
