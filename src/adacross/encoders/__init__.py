"""Networks: point encoders, the image encoders beside them, projection heads, released weights."""

from pathlib import Path

from adacross.encoders.base import Encoder, find_pretrained, read_config
from adacross.encoders.dgcnn import DGCNN
from adacross.encoders.official import load_official
from adacross.encoders.pointnet import PointNet
from adacross.encoders.resnet import ResNet
from adacross.errors import one_of

ENCODERS: dict[str, type[PointNet] | type[DGCNN]] = {"pointnet": PointNet, "dgcnn": DGCNN}


def load_encoder(folder_or_hub_id: Path | str) -> Encoder:
    """A saved encoder of any kind, in evaluation mode, on the CPU.

    Args:
        folder_or_hub_id: a folder that `save_pretrained` wrote, or `owner/name` on the Hugging Face hub.

    Raises:
        UserError: nothing there, an unknown kind, or files that are incomplete or damaged.
    """
    kind, _ = read_config(find_pretrained(folder_or_hub_id))
    return ENCODERS[one_of("encoder", kind, ENCODERS)].from_pretrained(folder_or_hub_id)


__all__ = ["DGCNN", "ENCODERS", "Encoder", "PointNet", "ResNet", "load_encoder", "load_official"]
