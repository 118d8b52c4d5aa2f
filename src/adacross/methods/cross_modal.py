"""What the three contrastive methods share: their batch, and towers from clouds and pictures to one space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from adacross.data.transforms.augment import augment_points, augment_views, draw_points, plain_views
from adacross.data.transforms.batch import RawBatch
from adacross.encoders import Encoder, ResNet
from adacross.errors import UserError
from adacross.methods.base import Method
from adacross.nn.heads import ImageProjection, PointProjection


@dataclass(frozen=True)
class Batch:
    """B shapes, augmented.

    Attributes:
        clouds: `(2, B, N, 3)`, two independently augmented views of each shape's points.
        rgb: `(B, 3, S, S)`, one normalised colour picture of each shape.
        gray: `(B, 1, S, S)`, the same picture in grey.
    """

    clouds: Float[Tensor, "2 B N 3"]
    rgb: Float[Tensor, "B 3 S S"]
    gray: Float[Tensor, "B 1 S S"]


class ImageTower(nn.Module):
    """A ResNet and its projection: pictures `(B, channels, S, S)` to `(B, 256)`, not normalised."""

    def __init__(self, encoder: ResNet) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ImageProjection(encoder.dim)

    def forward(self, images: Float[Tensor, "B C S S"]) -> Float[Tensor, "B E"]:
        """Pictures in the space shared with clouds."""
        return self.head(self.encoder(images))


class CrossModal(Method):
    """A point tower and one or two image towers, each an encoder and a projection to 256 numbers. Abstract.

    Both augmented clouds go through the point tower in one pass of 2B, so that BatchNorm sees them together,
    as in the released programs.

    Args:
        encoder: point encoder, kept after pre-training.
        towers: image encoders by what they look at, "rgb" (3 channels) or "gray" (1); thrown away.
        temperature: of every term.
        points: points drawn at random for each augmented cloud; None: all there are, as released.
        picture_size: side of the pictures, in pixels; 224 in the papers.

    Raises:
        UserError: a temperature that is not positive.
    """

    sees_pictures: ClassVar[bool] = True

    def __init__(
        self,
        encoder: Encoder,
        towers: Mapping[str, ResNet],
        temperature: float,
        points: int | None,
        picture_size: int,
    ) -> None:
        if not temperature > 0:
            raise UserError(
                f"temperature is {temperature}; expected a positive number (0.1 or 0.2 in the papers)."
            )
        super().__init__()
        self.encoder = encoder
        self.point_head = PointProjection(encoder.dim)
        self.towers = nn.ModuleDict({name: ImageTower(tower) for name, tower in towers.items()})
        self.temperature = temperature
        self.points = points
        self.picture_size = picture_size

    def batch(self, raw: RawBatch, generator: Generator) -> Batch:
        """Two augmented clouds, one colour and one grey picture a shape, as published (`data.augment`)."""
        if raw.views is None:
            raise UserError(f"{type(self).__name__} needs a picture of every shape; the batch has none.")
        clouds = [
            augment_points(draw_points(raw.points, self.points, generator), generator) for _ in range(2)
        ]
        rgb, gray = augment_views(raw.views, self.picture_size, generator)
        return Batch(torch.stack(clouds), rgb, gray)

    def embed_clouds(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B E"]:
        """Clouds `(B, N, 3)` to `(B, 256)`, the space shared with pictures, not normalised."""
        return self.point_head(self.encoder(points))

    def embed_pictures(self, views: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B E"]:
        """Stored pictures `(B, H, W, 3)` to `(B, 256)`, by the colour tower where there is one."""
        name = "rgb" if "rgb" in self.towers else "gray"
        return self.towers[name](plain_views(views, self.picture_size, gray=name == "gray"))

    def embed_both_clouds(self, batch: Batch) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B E"]]:
        """The projections of both augmented clouds, from one pass."""
        first, second = self.embed_clouds(batch.clouds.flatten(0, 1)).chunk(2)
        return first, second

    def shared_parameters(self) -> list[nn.Parameter]:
        """The last layer of the clouds' projection."""
        return list(self.point_head[-1].parameters())
