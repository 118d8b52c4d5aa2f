"""Networks: point encoders, the image encoders beside them, projection heads, released weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from adacross.encoders.base import CONFIG_FILE, Encoder, find_pretrained, read_config, restored
from adacross.encoders.dgcnn import DGCNN, DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet, PointNetPartSeg
from adacross.encoders.released.load import load_official, load_official_image, load_official_segmentation
from adacross.errors import UserError, check_options
from adacross.nn.heads import PartSegHead, PointNetPartSegHead, SemSegHead
from adacross.nn.resnet import ResNet
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


def load(folder_or_hub_id: Path | str) -> Encoder:
    """Load a saved encoder of any kind, in evaluation mode, on the CPU.

    Args:
        folder_or_hub_id: an encoder that the package carries ("builtin-small" or "builtin-base"), a run, a
            folder that `save_pretrained` wrote, or `hf://owner/name`, a repository of the Hugging Face hub.

    Raises:
        UserError: nothing there, an unknown kind, or files that are incomplete or damaged.

    Example:
        >>> load("builtin-small").kind
        'pointnet'
    """
    folder = find_pretrained(folder_or_hub_id)
    kind, _, _ = read_config(folder)
    try:
        make = encoder_class(kind)
    except UserError as error:
        raise UserError(f"{folder / CONFIG_FILE}: {error}") from None
    return restored(make, folder)


__all__ = [
    "DGCNN",
    "ENCODERS",
    "DGCNNPartSeg",
    "DGCNNSemSeg",
    "Encoder",
    "PartSegHead",
    "PointM2AE",
    "PointNet",
    "PointNetPartSeg",
    "PointNetPartSegHead",
    "ResNet",
    "SemSegHead",
    "build_encoder",
    "encoder_class",
    "load",
    "load_official",
    "load_official_image",
    "load_official_segmentation",
]
