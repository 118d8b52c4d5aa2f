"""Encoders by name."""

from collections.abc import Callable
from typing import Any

from adacross.encoders.base import Encoder
from adacross.encoders.dgcnn import DGCNN, DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet, PointNetPartSeg
from adacross.errors import UserError, check_options
from adacross.plugins import find

ENCODERS: dict[str, type[Encoder]] = {
    "pointnet": PointNet,
    "dgcnn": DGCNN,
    "pointnet-partseg": PointNetPartSeg,
    "dgcnn-partseg": DGCNNPartSeg,
    "dgcnn-semseg": DGCNNSemSeg,
    "point-m2ae": PointM2AE,
}


def encoder_class(name: str) -> Callable[..., Encoder]:
    """Return the class of a built-in encoder, or what `package.module:Name` or an installed package names."""
    return find("encoder", name, ENCODERS, Encoder)


def build_encoder(name: str, **options: Any) -> Encoder:
    """Build an encoder with fresh weights, by a built-in name or `package.module:Name`, with its own options.

    Example:
        >>> build_encoder("dgcnn", k=15, width=64).dim
        128
    """
    make = encoder_class(name)
    check_options(f"encoder {name}", make, options)
    encoder = make(**options)
    if not isinstance(getattr(encoder, "dim", None), int):
        raise UserError(f"encoder {name} has no dim; its constructor must set it to the features' width.")
    return encoder
