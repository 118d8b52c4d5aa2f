"""Point-M2AE's pre-training: Zhang et al. 2022, arXiv 2205.14401. Joint-MAE's ancestor, without images."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from adacross.distributed.batch import mean_contribution
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.methods.masked_points import (
    MaskedPointMethod,
    PointReconstruction,
    draw_visible,
    hidden_groups,
)
from adacross.nn.point_tokens import TokenGroups, visible_levels
from adacross.nn.transformer import PositionEmbedding, TransformerEncoder, learnt_token
from adacross.ops.chamfer import chamfer


@dataclass(frozen=True)
class MaskedClouds:
    """B augmented clouds and what is visible of them."""

    points: Float[Tensor, "B N 3"]
    visible: Bool[Tensor, "B G"]  # tokens of the coarsest level that are not masked


class CompletedClouds(NamedTuple):
    """A batch encoded and decoded."""

    levels: list[TokenGroups]  # of the clouds
    visible: list[Bool[Tensor, "B _"]]  # tokens of every level that are visible
    offsets: Float[Tensor, "B G m 3"]  # points around the centers of the middle level, masked or not


class PointM2AEMethod(MaskedPointMethod):
    """Masked clouds are completed: hidden groups of the middle level, from the visible tokens.

    Masks are drawn at the coarsest level and carried down (`visible_levels`). The decoder's first stage sees
    visible and mask tokens of the coarsest level, its second carries them to the middle level.

    Args:
        encoder: a `PointM2AE`.
        mask_ratio: of the coarsest tokens; 0.8 in the paper.
        decoder_depth: transformer blocks of each of the two decoder stages; 1 in the paper.
        group_points: points predicted for a group; as many as the first level's groups have (16) in the
            released program, whose targets have as many as the second level's (8).
        embed_masked: embed masked groups, too, as the released program does. Their tokens are left out
            afterwards, but have entered BatchNorm's statistics. False costs less and leaks nothing.
        points: points drawn at random for each cloud; None: all there are.
    """

    def __init__(
        self,
        encoder: Encoder,
        mask_ratio: float = 0.8,
        decoder_depth: int = 1,
        group_points: int = 16,
        embed_masked: bool = False,
        points: int | None = None,
    ) -> None:
        super().__init__("point-m2ae", encoder, mask_ratio, points)
        if group_points < 1:
            raise UserError(f"group_points is {group_points}; expected at least 1 (16 in the paper).")
        _, fine, coarse = self.encoder.dims
        self.embed_masked = embed_masked
        self.mask_token = learnt_token(coarse)
        self.position = PositionEmbedding(coarse)
        self.stack = TransformerEncoder(decoder_depth, coarse, self.encoder.heads)
        self.reconstruct = PointReconstruction(coarse, fine, group_points, decoder_depth, self.encoder.heads)

    def masked(self, points: Float[Tensor, "B N 3"], generator: Generator) -> MaskedClouds:
        """Clouds as they are, each with a mask of its own."""
        visible = draw_visible(len(points), self.encoder.groups[2], self.mask_ratio, generator)
        return MaskedClouds(points, visible)

    def losses(self, batch: MaskedClouds) -> dict[str, Tensor]:
        """The term `points`: Chamfer distance of hidden groups, a mean over them."""
        levels, visible, offsets = self.complete(batch)
        hidden = hidden_groups(visible[1])
        return {"points": mean_contribution(chamfer(offsets[hidden], levels[1].offsets[hidden]))}

    def complete(self, batch: MaskedClouds) -> CompletedClouds:
        """Encode what is visible and decode everything."""
        levels = self.encoder.group(batch.points)
        visible = visible_levels(levels, batch.visible)
        _, skip, top = self.encoder.features(levels, visible, self.embed_masked)
        tokens = torch.where(batch.visible[:, :, None], top, self.mask_token)
        decoded = self.stack(tokens, self.position(levels[2].centers))
        return CompletedClouds(levels, visible, self.reconstruct(levels[1], skip, levels[2], decoded))

    def shared_parameters(self) -> list[nn.Parameter]:
        """The head's last layer: there is one term."""
        return list(self.reconstruct.head.parameters())
