"""Masks of point tokens: drawn, checked and carried to groups."""

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from adacross.distributed.batch import sample_for_batch
from adacross.encoders import Encoder
from adacross.encoders.point_m2ae import PointM2AE
from adacross.errors import UserError


def draw_visible(shapes: int, count: int, mask_ratio: float, generator: Generator) -> Bool[Tensor, "B G"]:
    """Which of `count` tokens stay visible, for each shape by itself: all but int(mask_ratio * count)."""
    noise = sample_for_batch(torch.rand, (shapes, count), device=generator.device, generator=generator)
    masked = noise.argsort(1)[:, : int(mask_ratio * count)]
    return torch.ones(shapes, count, dtype=torch.bool, device=noise.device).scatter_(1, masked, False)


def check_ratio(name: str, mask_ratio: float, count: int) -> None:
    """Refuse a mask that hides nothing or everything.

    Raises:
        UserError: says how many of `count` tokens would be left.
    """
    hidden = int(mask_ratio * count)
    if not 0 < hidden < count:
        raise UserError(
            f"{name} is {mask_ratio}, which masks {hidden} of {count} tokens; expected at least one masked "
            "and one visible. 0.75 or 0.8 are usual."
        )


def hidden_groups(visible: Bool[Tensor, "B G"]) -> Bool[Tensor, "B G"]:
    """The groups to reconstruct.

    Raises:
        UserError: there is none: visible coarser tokens are made of every one.
    """
    hidden = ~visible
    if not hidden.any():
        raise UserError(
            "every group that should be reconstructed is part of a visible one; raise mask_ratio, or give "
            "the encoder more groups or fewer neighbors."
        )
    return hidden


def need_point_m2ae(method: str, encoder: Encoder) -> PointM2AE:
    """The encoder, if it is one that can leave tokens out.

    Raises:
        UserError: another kind of encoder.
    """
    if not isinstance(encoder, PointM2AE):
        raise UserError(
            f"{method} needs an encoder with tokens; {encoder.kind!r} has none. Use --encoder point-m2ae."
        )
    return encoder
