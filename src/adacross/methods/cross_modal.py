"""The towers that the three contrastive methods share: clouds and pictures into one space."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from adacross.encoders import Encoder, ResNet
from adacross.encoders.heads import ImageProjection, PointProjection
from adacross.methods.base import Batch, Method


@dataclass(frozen=True)
class Projections:
    """One batch in the shared space, not normalised.

    Attributes:
        cloud_1: `(B, E)`, first augmented cloud.
        cloud_2: `(B, E)`, second augmented cloud.
        rgb: `(B, E)`, colour picture.
    """

    cloud_1: Float[Tensor, "B E"]
    cloud_2: Float[Tensor, "B E"]
    rgb: Float[Tensor, "B E"]


class CrossModal(Method):
    """A point tower and an RGB tower, each an encoder and a projection to 256 numbers. Abstract.

    Both augmented clouds go through the point tower in one pass of 2B, so that BatchNorm sees them together,
    as in the released programs.
    """

    def __init__(self, encoder: Encoder, image_encoder: ResNet) -> None:
        super().__init__()
        self.encoder = encoder
        self.point_head = PointProjection(encoder.dim)
        self.rgb_encoder = image_encoder
        self.rgb_head = ImageProjection(image_encoder.dim)

    def embed_clouds(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B E"]:
        """Clouds `(B, N, 3)` to `(B, 256)`."""
        return self.point_head(self.encoder(points))

    def embed_pictures(self, rgb: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B E"]:
        """Colour pictures `(B, 3, S, S)` to `(B, 256)`."""
        return self.rgb_head(self.rgb_encoder(rgb))

    def project(self, batch: Batch) -> Projections:
        """All views of a batch but the grey one, in the shared space."""
        cloud_1, cloud_2 = self.embed_clouds(batch.clouds.flatten(0, 1)).chunk(2)
        return Projections(cloud_1, cloud_2, self.embed_pictures(batch.rgb))
