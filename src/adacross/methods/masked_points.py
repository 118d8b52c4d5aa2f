"""Masks of point tokens, and the decoder of Point-M2AE: Zhang et al. 2022, arXiv 2205.14401, section 3.3."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from adacross.data.transforms import RawBatch, draw_points
from adacross.distributed.batch import sample_for_batch
from adacross.encoders import Encoder
from adacross.encoders.point_m2ae import PointM2AE
from adacross.errors import UserError
from adacross.methods.base import Method
from adacross.nn.layers import PointLayer
from adacross.nn.point_tokens import TokenGroups
from adacross.nn.transformer import PositionEmbedding, TransformerEncoder
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


class CoarseReconstruction(nn.Module):
    """From tokens of the coarsest level to points around their own centers: blocks, norm, a linear head.

    Point-MAE's decoder (Pang et al. 2022, arXiv 2203.06604) at this hierarchy's top, without propagation.
    """

    def __init__(self, dim: int, points: int, depth: int = 1, heads: int = 6) -> None:
        super().__init__()
        self.stack = TransformerEncoder(depth, dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 3 * points)

    def forward(
        self, tokens: Float[Tensor, "B H C"], position: Float[Tensor, "B H C"]
    ) -> Float[Tensor, "B H m 3"]:
        """Predict offsets from each center, `(B, H, m, 3)`, from tokens and their positions."""
        return self.head(self.norm(self.stack(tokens, position))).unflatten(2, (-1, 3))


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
