"""Point-M2AE's pre-training: Zhang et al. 2022, arXiv 2205.14401. Joint-MAE's ancestor, without images."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from adacross.data.transforms import RawBatch, draw_points
from adacross.distributed.batch import mean_contribution, sample_for_batch
from adacross.encoders import Encoder
from adacross.encoders.point_m2ae import PointM2AE
from adacross.errors import UserError
from adacross.methods.base import Method
from adacross.nn.layers import PointLayer
from adacross.nn.point_tokens import TokenGroups, visible_levels
from adacross.nn.transformer import PositionEmbedding, TransformerEncoder, learnt_token
from adacross.ops.chamfer import chamfer
from adacross.ops.neighbors import interpolate


def draw_visible(shapes: int, count: int, mask_ratio: float, generator: Generator) -> Bool[Tensor, "B G"]:
    """Draw which of `count` tokens stay visible, for each shape: all but int(mask_ratio * count)."""
    noise = sample_for_batch(torch.rand, (shapes, count), device=generator.device, generator=generator)
    masked = noise.argsort(1)[:, : int(mask_ratio * count)]
    return torch.ones(shapes, count, dtype=torch.bool, device=noise.device).scatter_(1, masked, False)


def check_ratio(name: str, mask_ratio: float, count: int) -> None:
    """Refuse a mask that hides nothing or everything of `count` tokens."""
    hidden = int(mask_ratio * count)
    if not 0 < hidden < count:
        raise UserError(
            f"{name} is {mask_ratio}, which masks {hidden} of {count} tokens; expected at least one masked "
            "and one visible. 0.75 or 0.8 are usual."
        )


def hidden_groups(visible: Bool[Tensor, "B G"]) -> Bool[Tensor, "B G"]:
    """Return the groups to reconstruct; refuse none, where visible coarser tokens are made of every one."""
    hidden = ~visible
    if not hidden.any():
        raise UserError(
            "every group that should be reconstructed is part of a visible one; raise mask_ratio, or give "
            "the encoder more groups or fewer neighbors."
        )
    return hidden


class MaskedPointMethod(Method):
    """A method that masks part of a cloud's coarsest tokens and completes them with a `PointM2AE`. Abstract.

    `name` is the method's, for messages; `points` are drawn at random for each cloud (None: all there are).
    """

    encoder: PointM2AE
    default_encoder: ClassVar[str] = "point-m2ae"
    default_augmentation: ClassVar[str] = "point-m2ae"

    def __init__(self, name: str, encoder: Encoder, mask_ratio: float, points: int | None) -> None:
        super().__init__(encoder)
        if not isinstance(encoder, PointM2AE):
            raise UserError(
                f"{name} needs an encoder with tokens; {encoder.kind!r} has none. Use --encoder point-m2ae."
            )
        check_ratio("mask_ratio", mask_ratio, encoder.groups[2])
        self.mask_ratio = mask_ratio
        self.points = points

    def batch(self, raw: RawBatch, generator: Generator) -> Any:
        """Augmented clouds, masked; see `masked`."""
        points = draw_points(raw.points, self.points, generator)
        return self.masked(self.augment(points, generator), generator)

    @abstractmethod
    def masked(self, points: Float[Tensor, "B N 3"], generator: Generator) -> Any:
        """Clouds as they are, each with a mask of its own."""


class FeaturePropagation(nn.Module):
    """Coarse tokens carried to finer places and joined with what the encoder knew there.

    The three nearest coarse tokens, weighted by inverse squared distance, beside the skip connection; a
    point-wise layer; two more with a shortcut; GELU after each. As in the released program.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.fuse, self.inner, self.outer = (
            PointLayer(inputs, fine, negative_slope=1.0, bias=True) for inputs in (coarse + fine, fine, fine)
        )

    def forward(
        self,
        to: Float[Tensor, "B G 3"],
        skip: Float[Tensor, "B G Cfine"],
        at: Float[Tensor, "B H 3"],
        tokens: Float[Tensor, "B H Ccoarse"],
    ) -> Float[Tensor, "B G Cfine"]:
        """Tokens at `at` `(B, H, 3)` to places `to` `(B, G, 3)` where the encoder left `skip`."""
        gelu = nn.functional.gelu
        x = gelu(self.fuse(torch.cat([skip, interpolate(to, at, tokens)], 2)))
        return gelu(self.outer(gelu(self.inner(x))) + x)


class PointReconstruction(nn.Module):
    """From tokens of the coarsest level to points around every center of the middle one.

    Propagation, transformer blocks, a linear head. The released head predicts as many points as a group of
    the *first* level has (16), for groups of the second level (8); the Chamfer distance does not mind.
    """

    def __init__(self, coarse: int, fine: int, points: int, depth: int = 1, heads: int = 6) -> None:
        super().__init__()
        self.propagate = FeaturePropagation(coarse, fine)
        self.position = PositionEmbedding(fine)
        self.stack = TransformerEncoder(depth, fine, heads)
        self.norm = nn.LayerNorm(fine)
        self.head = nn.Linear(fine, 3 * points)

    def forward(
        self,
        middle: TokenGroups,
        skip: Float[Tensor, "B G Cfine"],
        top: TokenGroups,
        tokens: Float[Tensor, "B H Ccoarse"],
    ) -> Float[Tensor, "B G m 3"]:
        """Predict offsets from each center of the `middle` level, `(B, G, m, 3)`, from tokens of the `top`.

        `skip` is what the encoder left at the middle level, 0 where masked.
        """
        x = self.propagate(middle.centers, skip, top.centers, tokens)
        x = self.stack(x, self.position(middle.centers))
        return self.head(self.norm(x)).unflatten(2, (-1, 3))


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
