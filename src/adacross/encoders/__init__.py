"""Networks: point encoders, the image encoders beside them, projection heads, released weights."""

from pathlib import Path

from adacross.encoders.base import CONFIG_FILE, Encoder, find_pretrained, read_config, restored
from adacross.encoders.dgcnn import DGCNN, DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.frame_averaged import FrameAveraged
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet, PointNetPartSeg
from adacross.encoders.registry import ENCODERS, build_encoder, encoder_class
from adacross.encoders.released.load import load_official, load_official_image, load_official_segmentation
from adacross.errors import UserError
from adacross.nn.heads import PartSegHead, PointNetPartSegHead, SemSegHead
from adacross.nn.resnet import ResNet


def load(folder_or_hub_id: Path | str) -> Encoder:
    """Load a saved encoder of any kind, in evaluation mode, on the CPU.

    Args:
        folder_or_hub_id: an encoder that the package carries ("builtin-small", "builtin-base" or
            "builtin-any"), a run, a folder that `save_pretrained` wrote, or `hf://owner/name`, a repository
            of the Hugging Face hub.

    Raises:
        UserError: nothing there, an unknown kind, or files that are incomplete or damaged.

    Example:
        >>> load("builtin-small").kind
        'pointnet'
    """
    folder = find_pretrained(folder_or_hub_id)
    kind, _, _ = read_config(folder)
    try:
        make = FrameAveraged if kind == FrameAveraged.kind else encoder_class(kind)
    except UserError as error:
        raise UserError(f"{folder / CONFIG_FILE}: {error}") from None
    return restored(make, folder)


__all__ = [
    "DGCNN",
    "ENCODERS",
    "DGCNNPartSeg",
    "DGCNNSemSeg",
    "Encoder",
    "FrameAveraged",
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
