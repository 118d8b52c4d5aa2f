"""The published formulation of the masked encoder and decoder, written plainly, with the weights of ours.

Point-M2AE's released program (Zhang et al. 2022, arXiv 2205.14401), as described: every group is embedded,
masked or not, by convolutions of size 1 on `(B * G, C, k)`; a loop over the clouds of the batch packs the
visible tokens and makes a dense mask `(B, V, V)`; attention makes all its scores. For depth maps ConvMAE's
stages (Gao et al. 2022, arXiv 2205.03892), which work on every position and multiply masked ones by 0.
Branches are never dropped.
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from published import plain_farthest_point_sample
from torch import Tensor, nn

from adacross.encoders.point_m2ae import PointM2AE
from adacross.methods.joint_mae.depth_tokens import MaskedConvBlock
from adacross.methods.joint_mae.model import CoarseReconstruction
from adacross.methods.point_m2ae import PointReconstruction
from adacross.nn.layers import PointLayer
from adacross.nn.point_tokens import GroupEmbedding, TokenGroups
from adacross.nn.transformer import Block, TransformerEncoder
from adacross.ops.neighbors import farthest_point_sample

NEVER = -1e5  # added to the scores of what must not be seen


def rows_of(features: Tensor, indices: Tensor) -> Tensor:
    """Rows of `(B, N, C)` by `(B, ...)` indices, through one index that runs over the batch."""
    first = torch.arange(len(features), device=features.device) * features.shape[1]
    flat = indices + first.view(-1, *[1] * (indices.dim() - 1))
    return features.reshape(-1, features.shape[2])[flat.reshape(-1)].view(*indices.shape, -1)


def plain_groups(points: Tensor, counts: Sequence[int], neighbors: Sequence[int]) -> list[TokenGroups]:
    """Farthest points by the plain loop, all distances, topk. On a GPU, where there is a kernel, by ours."""
    levels, below = [], points
    sample = plain_farthest_point_sample if points.device.type == "cpu" else farthest_point_sample
    for count, k in zip(counts, neighbors, strict=True):
        centers = rows_of(below, sample(below.float(), count))
        nearest = torch.cdist(centers, below).topk(k, largest=False).indices
        levels.append(TokenGroups(centers, nearest, rows_of(below, nearest) - centers[:, :, None]))
        below = centers
    return levels


def convolution(linear: nn.Linear) -> nn.Conv1d:
    """A linear layer as a convolution of size 1."""
    conv = nn.Conv1d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data.copy_(linear.weight.data[:, :, None])
    if linear.bias is not None:
        conv.bias.data.copy_(linear.bias.data)
    return conv


def normalized(layer: PointLayer) -> nn.Sequential:
    """Convolution and BatchNorm, named as in ours."""
    norm = nn.BatchNorm1d(layer.norm.num_features)
    norm.load_state_dict(layer.norm.state_dict())
    return nn.Sequential(OrderedDict(linear=convolution(layer.linear), norm=norm))


class PlainEmbedding(nn.Module):
    """Groups `(B, G, k, C)` to tokens: the group's maximum is repeated beside each member."""

    def __init__(self, ours: GroupEmbedding) -> None:
        super().__init__()
        self.first, self.local = normalized(ours.first), convolution(ours.local)
        self.second, self.last = normalized(ours.second), convolution(ours.last)

    def forward(self, groups: Tensor) -> Tensor:
        B, G, k, C = groups.shape
        x = self.local(nn.functional.relu(self.first(groups.reshape(B * G, k, C).transpose(2, 1))))
        whole = x.max(2, keepdim=True).values
        x = self.last(nn.functional.relu(self.second(torch.cat([whole.expand(-1, -1, k), x], 1))))
        return x.max(2).values.view(B, G, -1)


class PlainBlock(nn.Module):
    """A transformer block whose scores `(B, heads, V, V)` are made, masked by addition and normalized."""

    def __init__(self, ours: Block) -> None:
        super().__init__()
        self.heads = ours.heads
        for name in ("norm1", "qkv", "project", "norm2", "enter", "leave"):
            setattr(self, name, copy.deepcopy(getattr(ours, name)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        B, V, C = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(B, V, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = (q @ k.transpose(-2, -1)) * (C // self.heads) ** -0.5
        if mask is not None:
            scores = scores + NEVER * mask[:, None]
        x = x + self.project((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, V, C))
        return x + self.leave(nn.functional.gelu(self.enter(self.norm2(x))))


class PlainStack(nn.Module):
    """Blocks; each adds the positions again."""

    def __init__(self, ours: TransformerEncoder) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PlainBlock(block) for block in ours.blocks)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x + position, mask)
        return x


class PlainEncoder(nn.Module):
    """Point-M2AE's three levels; the batch is looped over to pack what is visible."""

    def __init__(self, ours: PointM2AE) -> None:
        super().__init__()
        self.counts, self.neighbors = ours.groups, ours.neighbors
        self.embeddings = nn.ModuleList(PlainEmbedding(embedding) for embedding in ours.embeddings)
        self.positions, self.norms = copy.deepcopy(ours.positions), copy.deepcopy(ours.norms)
        self.stacks = nn.ModuleList(PlainStack(stack) for stack in ours.stacks)

    def embed(self, level: int, groups: TokenGroups, below: Tensor | None) -> Tensor:
        """Tokens of all groups of one level."""
        return self.embeddings[level](groups.offsets if below is None else rows_of(below, groups.neighbors))

    def pack(self, level: int, tokens: Tensor, groups: TokenGroups, visible: Tensor) -> tuple[Tensor, ...]:
        """Visible tokens, their positions and the mask of a level, cloud by cloud."""
        lengths = visible.sum(1)
        B, V = len(tokens), int(lengths.max())
        x = tokens.new_zeros(B, V, tokens.shape[2])
        centers, mask = tokens.new_zeros(B, V, 3), tokens.new_ones(B, V, V)
        for b in range(B):
            n = int(lengths[b])
            x[b, :n] = tokens[b][visible[b]]
            centers[b, :n] = groups.centers[b][visible[b]]
            mask[b, :n, :n] = 0
        return x, self.positions[level](centers), mask

    def forward(
        self, levels: Sequence[TokenGroups], visible: Sequence[Tensor], last: int = 3
    ) -> list[Tensor]:
        """Tokens of the first `last` levels, all of them: encoded ones where visible, embedded elsewhere."""
        found: list[Tensor] = []
        for level in range(last):
            tokens = self.embed(level, levels[level], found[-1] if found else None)
            x, position, mask = self.pack(level, tokens, levels[level], visible[level])
            x = self.stacks[level](x, position, mask)
            full = tokens.clone()
            full[visible[level]] = x[~mask[:, :, 0].bool()]
            found.append(full)
        return found

    def finished(self, level: int, tokens: Tensor, visible: Tensor) -> Tensor:
        """The level's last norm; masked tokens are 0."""
        full = torch.zeros_like(tokens)
        full[visible] = self.norms[level](tokens[visible])
        return full


class PlainReconstruction(nn.Module):
    """Coarse tokens carried to the middle level, blocks, a head (or the head on the coarse ones)."""

    def __init__(self, ours: PointReconstruction | CoarseReconstruction) -> None:
        super().__init__()
        self.stack, self.norm = PlainStack(ours.stack), copy.deepcopy(ours.norm)
        self.head = convolution(ours.head)
        if isinstance(ours, PointReconstruction):
            layers = ours.propagate.named_children()
            self.propagate = nn.ModuleDict({name: normalized(layer) for name, layer in layers})
            self.position = copy.deepcopy(ours.position)

    def carried(self, levels: Sequence[TokenGroups], skip: Tensor, tokens: Tensor) -> Tensor:
        """The mean of the three nearest tokens, from all distances sorted, and the skip connection."""
        distance = (levels[1].centers[:, :, None] - levels[2].centers[:, None]).square().sum(3)
        nearest = distance.sort(dim=2)
        weights = 1 / (nearest.values[:, :, :3] + 1e-8)
        weights = weights / weights.sum(2, keepdim=True)
        x = (rows_of(tokens, nearest.indices[:, :, :3]) * weights[..., None]).sum(2)
        gelu, layers = nn.functional.gelu, self.propagate
        x = gelu(layers["fuse"](torch.cat([skip, x], 2).transpose(1, 2)))
        return gelu(layers["outer"](gelu(layers["inner"](x))) + x).transpose(1, 2)

    def middle(self, levels: Sequence[TokenGroups], skip: Tensor, tokens: Tensor) -> Tensor:
        """Points around every middle center."""
        return self.coarse(self.carried(levels, skip, tokens), self.position(levels[1].centers))

    def coarse(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Points around every token's center."""
        x = self.norm(self.stack(tokens, position))
        return self.head(x.transpose(1, 2)).transpose(1, 2).unflatten(2, (-1, 3))


class PlainConvBlock(nn.Module):
    """ConvMAE's block on `(B, C, H, W)`: every position is worked on, masked ones are multiplied by 0."""

    def __init__(self, ours: MaskedConvBlock) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mix = (copy.deepcopy(m) for m in (ours.norm1, ours.norm2, ours.mix))
        self.enter, self.leave = self._convolution(ours.enter), self._convolution(ours.leave)
        wide, narrow = self._convolution(ours.network[0]), self._convolution(ours.network[2])
        self.network = nn.Sequential(wide, nn.GELU(), narrow)

    @staticmethod
    def _convolution(linear: nn.Linear) -> nn.Conv2d:
        conv = nn.Conv2d(linear.in_features, linear.out_features, 1)
        conv.weight.data.copy_(linear.weight.data[:, :, None, None])
        conv.bias.data.copy_(linear.bias.data)
        return conv

    @staticmethod
    def _normal(norm: nn.LayerNorm, x: Tensor) -> Tensor:
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.leave(self.mix(seen * self.enter(self._normal(self.norm1, x))))
        return x + self.network(self._normal(self.norm2, x))


def plain_chamfer(a: Tensor, b: Tensor) -> Tensor:
    """From all squared distances between `(n, k, 3)` and `(n, m, 3)`."""
    distance = (a[:, :, None] - b[:, None]).square().sum(3)
    return (distance.amin(2).mean(1) + distance.amin(1).mean(1)).mean()
