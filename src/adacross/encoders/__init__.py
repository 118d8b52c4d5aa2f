"""Networks: point encoders, the image encoders beside them, projection heads, released weights."""

from pathlib import Path

from adacross.encoders.base import Encoder, read_config
from adacross.encoders.dgcnn import DGCNN
from adacross.encoders.dgcnn_segmentation import DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet
from adacross.encoders.pointnet_partseg import PointNetPartSeg
from adacross.encoders.pretrained import CONFIG_FILE, find_pretrained
from adacross.encoders.released.load import load_official, load_official_image, load_official_segmentation
from adacross.errors import UserError, one_of
from adacross.nn.resnet import ResNet
from adacross.nn.segmentation_heads import PartSegHead, PointNetPartSegHead, SemSegHead

ENCODERS: dict[str, type[Encoder]] = {
    "pointnet": PointNet,
    "dgcnn": DGCNN,
    "pointnet-partseg": PointNetPartSeg,
    "dgcnn-partseg": DGCNNPartSeg,
    "dgcnn-semseg": DGCNNSemSeg,
    "point-m2ae": PointM2AE,
}


def load_encoder(folder_or_hub_id: Path | str) -> Encoder:
    """A saved encoder of any kind, in evaluation mode, on the CPU.

    Args:
        folder_or_hub_id: an encoder that the package carries ("builtin-small"), a folder that
            `save_pretrained` wrote, or `hf://owner/name`, a repository of the Hugging Face hub.

    Raises:
        UserError: nothing there, an unknown kind, or files that are incomplete or damaged.
    """
    folder = find_pretrained(folder_or_hub_id)
    kind, _, _ = read_config(folder)
    try:
        one_of("encoder", kind, ENCODERS)
    except UserError as error:
        raise UserError(f"{folder / CONFIG_FILE}: {error}") from None
    return ENCODERS[kind].from_pretrained(folder)


load = load_encoder
"""The same, as one types it: `adacross.load("builtin-small")`."""


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
    "load",
    "load_encoder",
    "load_official",
    "load_official_image",
    "load_official_segmentation",
]
