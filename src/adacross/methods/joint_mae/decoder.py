"""Joint-MAE's decoder: blocks that both modalities share, then some of each one's own."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from adacross.methods.joint_mae.depth_tokens import PATCH
from adacross.methods.masked_points import CoarseReconstruction, PointReconstruction
from adacross.nn.point_tokens import TokenGroups
from adacross.nn.transformer import PositionEmbedding, TransformerEncoder, learnt_token


class Reconstructed(NamedTuple):
    """Predictions of every group and every patch, masked or not."""

    offsets: Float[Tensor, "B G m 3"]  # points around the centers of the middle or the coarsest level
    patches: Float[Tensor, "B P area"]  # pixels


class JointDecoder(nn.Module):
    """Mask tokens fill both modalities up; shared blocks see all tokens; then each goes its own way.

    Clouds: carried to the middle level and reconstructed there, as by Point-M2AE, or (`coarse`) reconstructed
    where the coarsest tokens are. Depth maps: blocks, a norm and a linear layer to 16 x 16 pixels. Depths are
    ours by fallback: Point-M2AE has 1 + 1, PiMAE 3.
    """

    def __init__(
        self,
        dims: Sequence[int],
        heads: int,
        coarse: bool,
        group_points: int,
        shared_depth: int,
        own_depth: int,
    ) -> None:
        super().__init__()
        _, fine, dim = dims
        self.point_token, self.patch_token, self.modality_token = (learnt_token(dim) for _ in range(3))
        self.point_position = PositionEmbedding(dim)
        self.shared = TransformerEncoder(shared_depth, dim, heads)
        self.points: CoarseReconstruction | PointReconstruction
        if coarse:
            self.points = CoarseReconstruction(dim, group_points, own_depth, heads)
        else:
            self.points = PointReconstruction(dim, fine, group_points, own_depth, heads)
        self.patches = TransformerEncoder(own_depth, dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, PATCH * PATCH)

    def forward(
        self,
        levels: Sequence[TokenGroups],
        skip: Float[Tensor, "B G Cfine"],
        points: Float[Tensor, "B H C"],
        visible_points: Bool[Tensor, "B H"],
        patches: Float[Tensor, "B P C"],
        visible_patches: Bool[Tensor, "B P"],
        grid: Float[Tensor, "P C"],
    ) -> Reconstructed:
        """Complete both modalities from their tokens, of which masked ones do not matter.

        `skip` are the encoder's tokens of the middle level, 0 where masked; `grid` the positions of the
        patches.
        """
        filled = [
            torch.where(visible_points[:, :, None], points, self.point_token),
            torch.where(visible_patches[:, :, None], patches, self.patch_token),
        ]
        on_map = (grid + self.modality_token).expand_as(patches)
        positions = [self.point_position(levels[2].centers), on_map]
        both = self.shared(torch.cat(filled, 1), torch.cat(positions, 1))
        clouds, maps = both.split([points.shape[1], patches.shape[1]], 1)
        if isinstance(self.points, CoarseReconstruction):
            offsets = self.points(clouds, positions[0])
        else:
            offsets = self.points(levels[1], skip, levels[2], clouds)
        return Reconstructed(offsets, self.head(self.norm(self.patches(maps, on_map))))

    def last_shared(self) -> list[nn.Parameter]:
        """Parameters of the last layer of the last shared block, which every reconstruction depends on."""
        last = self.shared.blocks[-1].get_submodule("leave")
        return list(last.parameters())
