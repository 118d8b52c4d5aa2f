"""The image encoder beside a point encoder: by name, fresh or pre-trained, trained or frozen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.errors import UserError, check_options
from adacross.nn.heads import ImageProjection
from adacross.nn.resnet import resnet18, resnet50
from adacross.options import check_values
from adacross.plugins import find

IMAGE_ENCODERS: dict[str, Callable[..., nn.Module]] = {"resnet18": resnet18, "resnet50": resnet50}


@dataclass(frozen=True)
class ImageTowerConfig:
    """Options of the image tower.

    Attributes:
        encoder: resnet18, resnet50 (the papers'), or `package.module:Name`: a module with `dim`, or a
            function annotated to return one, from normalized images `(B, 3, S, S)` to `(B, dim)`, with fresh
            weights or its own.
        options: the encoder's own, such as `{"width": 16}` (channels of a ResNet's first stage).
        frozen: keep its weights as they are; its projection is trained all the same.
        size: side of an image, or of a depth map, in pixels (224 in the papers).
    """

    encoder: str = "resnet50"
    options: dict[str, Any] = field(default_factory=dict)
    frozen: bool = False
    size: int = 224

    def check(self) -> Callable[..., nn.Module]:
        """Return the encoder's class; refuse an unknown name and options that it does not have."""
        make = find("image encoder", self.encoder, IMAGE_ENCODERS, nn.Module)
        owner = f"image encoder {self.encoder}"
        check_options(owner, make, self.options, hidden=("channels",))
        check_values(owner, make, self.options)
        return make

    def build(self, channels: int) -> nn.Module:
        """Build the encoder for images of 1 or 3 channels.

        An encoder without the parameter `channels` is given a gray image three times.
        """
        make = self.check()
        if "channels" in signature(make).parameters:
            return make(**self.options, channels=channels)
        encoder = make(**self.options)
        return encoder if channels == 3 else GrayAsRGB(encoder)


class GrayAsRGB(nn.Module):
    """An encoder of RGB images that is given gray ones: images `(B, 1, S, S)` to `(B, dim)`."""

    channels = 1

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim = width_of(encoder)

    def forward(self, images: Float[Tensor, "B 1 S S"]) -> Float[Tensor, "B D"]:
        """Features of the image in all three channels."""
        return self.encoder(images.expand(-1, 3, -1, -1))


class ImageTower(nn.Module):
    """An image encoder and its projection: images `(B, channels, S, S)` to `(B, 256)`, not normalized.

    A `frozen` encoder stays in evaluation mode, without gradients.
    """

    def __init__(self, encoder: nn.Module, frozen: bool = False) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(not frozen).train(not frozen)
        self.frozen = frozen
        self.head = ImageProjection(width_of(encoder))

    def train(self, mode: bool = True) -> "ImageTower":
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, images: Float[Tensor, "B C S S"]) -> Float[Tensor, "B E"]:
        """Images in the space shared with clouds."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.encoder(images)
        return self.head(features)


def width_of(encoder: nn.Module) -> int:
    """Return the width of an image encoder's features, its `dim`; refuse a module without."""
    dim = getattr(encoder, "dim", None)
    if not isinstance(dim, int):
        raise UserError(f"{type(encoder).__name__} has no dim; set it to the width of its features.")
    return dim
