"""The published formulation of a pre-training step of Point-M2AE and of Joint-MAE, with the weights of ours.

Joint-MAE released no program; what its paper shares with Point-M2AE is done as there. Which tokens and
patches belong together, and the map of reconstructed points, are made by our own functions in both.
"""

import copy

import torch
from published_tokens import (
    PlainConvBlock,
    PlainEncoder,
    PlainReconstruction,
    PlainStack,
    plain_chamfer,
    plain_groups,
)
from torch import Tensor, nn

from adacross.methods import JointMAE, PointM2AEMethod
from adacross.methods.joint_mae.depth_tokens import DepthEmbedding
from adacross.methods.joint_mae.model import MaskedPairs, aligned_patches, joint_attention
from adacross.methods.point_m2ae import MaskedClouds
from adacross.nn.point_tokens import TokenPacking, visible_levels
from adacross.ops.projection import patchify


class PlainPointM2AE(nn.Module):
    """Point-M2AE's step."""

    def __init__(self, ours: PointM2AEMethod) -> None:
        super().__init__()
        self.encoder = PlainEncoder(ours.encoder)
        self.mask_token = copy.deepcopy(ours.mask_token)
        self.position, self.stack = copy.deepcopy(ours.position), PlainStack(ours.stack)
        self.reconstruct = PlainReconstruction(ours.reconstruct)

    def losses(self, batch: MaskedClouds) -> dict[str, Tensor]:
        """The Chamfer distance of hidden groups of the middle level."""
        encoder = self.encoder
        levels = plain_groups(batch.points, encoder.counts, encoder.neighbors)
        visible = visible_levels(levels, batch.visible)
        _, middle, top = encoder(levels, visible)
        skip = encoder.finished(1, middle, visible[1])
        tokens = self.mask_token.expand(*top.shape[:2], -1).clone()
        tokens[batch.visible] = encoder.norms[2](top[batch.visible])
        tokens = self.stack(tokens, self.position(levels[2].centers))
        offsets = self.reconstruct.middle(levels, skip, tokens)
        return {"points": plain_chamfer(offsets[~visible[1]], levels[1].offsets[~visible[1]])}


class PlainDepthEmbedding(nn.Module):
    """ConvMAE's stages over whole maps."""

    def __init__(self, ours: DepthEmbedding) -> None:
        super().__init__()
        self.shrink = nn.ModuleList(self._convolution(shrink) for shrink in ours.shrink)
        self.blocks = nn.ModuleList(
            nn.ModuleList(PlainConvBlock(block) for block in stage) for stage in ours.blocks
        )

    @staticmethod
    def _convolution(ours: nn.Conv2d) -> nn.Conv2d:
        conv = nn.Conv2d(ours.in_channels, ours.out_channels, ours.kernel_size, ours.stride)
        conv.load_state_dict(ours.state_dict())
        return conv

    def forward(self, maps: Tensor, visible: Tensor) -> Tensor:
        """Maps and which patches are visible, `(B, P)`, to all patches' tokens."""
        side, x = maps.shape[-1] // 16, maps
        grid = visible.view(-1, 1, side, side).to(maps.dtype)
        for shrink, blocks in zip(self.shrink, self.blocks, strict=True):
            x = shrink(x)
            seen = nn.functional.interpolate(grid, size=x.shape[2:])
            for block in blocks:
                x = block(x, seen)
        return x.flatten(2).transpose(1, 2)


class PlainJointMAE(nn.Module):
    """Joint-MAE's step, by the fallbacks of docs/joint_mae.md."""

    def __init__(self, ours: JointMAE) -> None:
        super().__init__()
        self.ours = [ours]  # in a list: its parameters are not this module's
        self.encoder = PlainEncoder(ours.encoder)
        self.embed_depth = PlainDepthEmbedding(ours.embed_depth)
        self.modality_token, self.patch_norm = (
            copy.deepcopy(m) for m in (ours.modality_token, ours.patch_norm)
        )
        self.decoder = copy.deepcopy(ours.decoder)
        self.decoder.shared, self.decoder.patches = (
            PlainStack(ours.decoder.shared),
            PlainStack(ours.decoder.patches),
        )
        self.decoder.points = PlainReconstruction(ours.decoder.points)

    def losses(self, batch: MaskedPairs) -> dict[str, Tensor]:
        """The terms `points`, `depth` and `cross`."""
        method, encoder = self.ours[0], self.encoder
        levels = plain_groups(batch.points, encoder.counts, encoder.neighbors)
        visible = visible_levels(levels, batch.visible_points)
        below = encoder(levels, visible, last=2)
        points, patches = self.encode(batch, levels, visible, below[1])
        skip = encoder.finished(1, below[1], visible[1])
        offsets, pixels = self.decode(batch, levels, skip, points, patches)
        hidden, hidden_patches = ~visible[method.level], ~batch.visible_patches
        truth = patchify(batch.depth)[hidden_patches]
        drawn = patchify(method.redraw(batch, levels, visible, offsets))[hidden_patches]
        return {
            "points": plain_chamfer(offsets[hidden], method.true_offsets(batch, levels)[hidden]),
            "depth": nn.functional.mse_loss(pixels[hidden_patches], truth),
            "cross": nn.functional.mse_loss(drawn, truth),
        }

    def encode(
        self, batch: MaskedPairs, levels: list, visible: list[Tensor], below: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Visible tokens of the cloud `(B, V, C)` and of its map `(B, W, C)` after the joint stage."""
        method, encoder = self.ours[0], self.encoder
        tokens = encoder.embed(2, levels[2], below)
        x, position, _ = encoder.pack(2, tokens, levels[2], visible[2])
        B, V, C = x.shape
        maps = self.embed_depth(batch.depth, batch.visible_patches)[batch.visible_patches].view(B, -1, C)
        grid = (method.grid + self.modality_token).expand(B, -1, -1)
        on_map = grid[batch.visible_patches].view(B, -1, C)
        aligned = aligned_patches(method.alignment, levels, batch.points, batch.projection)
        indices = [TokenPacking.of(seen).indices for seen in (visible[2], batch.visible_patches)]
        mask = (~joint_attention(aligned, *indices)).to(x.dtype)
        both = encoder.stacks[2](torch.cat([x, maps], 1), torch.cat([position, on_map], 1), mask)
        return encoder.norms[2](both[:, :V]), self.patch_norm(both[:, V:])

    def decode(
        self, batch: MaskedPairs, levels: list, skip: Tensor, points: Tensor, patches: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Points around every center and pixels of every patch."""
        method, decoder = self.ours[0], self.decoder
        B, C = len(points), points.shape[2]
        clouds = decoder.point_token.expand(B, levels[2].centers.shape[1], C).clone()
        clouds[batch.visible_points] = points.flatten(0, 1)
        maps = decoder.patch_token.expand(B, len(method.grid), C).clone()
        maps[batch.visible_patches] = patches.flatten(0, 1)
        position = decoder.point_position(levels[2].centers)
        on_map = (method.grid + decoder.modality_token).expand(B, -1, -1)
        both = decoder.shared(torch.cat([clouds, maps], 1), torch.cat([position, on_map], 1))
        clouds, maps = both.split([clouds.shape[1], maps.shape[1]], 1)
        if method.level == 2:
            offsets = decoder.points.coarse(clouds, position)
        else:
            offsets = decoder.points.middle(levels, skip, clouds)
        return offsets, decoder.head(decoder.norm(decoder.patches(maps, on_map)))
