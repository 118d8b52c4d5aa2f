"""Pre-training methods, one file each."""

from typing import Literal

from adacross.encoders import Encoder, ResNet
from adacross.errors import one_of
from adacross.methods.adacrossnet import AdaCrossNet
from adacross.methods.base import Batch, Method
from adacross.methods.crossnet import CrossNet
from adacross.methods.crosspoint import CrossPoint

METHODS: dict[str, type[CrossPoint] | type[CrossNet]] = {
    "adacrossnet": AdaCrossNet,
    "crossnet": CrossNet,
    "crosspoint": CrossPoint,
}


def build_method(
    name: str,
    encoder: Encoder,
    image_depth: Literal[18, 50],
    image_width: int = 64,
    temperature: float | None = None,
    mask_same_object: bool = False,
) -> Method:
    """The method called `name` around a point encoder, with fresh image towers.

    Args:
        name: one of `METHODS`.
        encoder: the point encoder to train.
        image_depth: 18 or 50, the ResNets' depth.
        image_width: channels of their first stage.
        temperature: None for the method's own (0.1 CrossPoint, 0.2 CrossNet and AdaCrossNet).
        mask_same_object: see `CrossNet`; CrossPoint has no such negatives.

    Raises:
        UserError: for an unknown name.
    """
    method = METHODS[one_of("method", name, METHODS)]
    options = {} if temperature is None else {"temperature": temperature}
    rgb = ResNet(image_depth, channels=3, width=image_width)
    if issubclass(method, CrossNet):
        gray = ResNet(image_depth, channels=1, width=image_width)
        return method(encoder, rgb, gray, mask_same_object=mask_same_object, **options)
    return method(encoder, rgb, **options)


__all__ = ["METHODS", "AdaCrossNet", "Batch", "CrossNet", "CrossPoint", "Method", "build_method"]
