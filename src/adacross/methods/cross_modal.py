"""The towers of the three contrastive methods, from clouds and images to one space."""

from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from adacross.data.transforms import plain_views
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.methods.base import Method
from adacross.methods.image_tower import ImageTower
from adacross.nn.heads import PointProjection


class CrossModal(Method):
    """A point tower and one or two image towers, each an encoder and a projection to 256 numbers. Abstract.

    Both augmented clouds go through the point tower in one pass of 2B, so that BatchNorm sees them together,
    as in the released programs.

    Args:
        encoder: point encoder, kept after pre-training.
        towers: image encoders by what they look at, "rgb" (3 channels) or "gray" (1); thrown away.
        temperature: of every term.
        points: points drawn at random for each augmented cloud; None: all there are, as released.
        image_size: side of the images, in pixels; 224 in the papers.
        frozen: whether the image encoders stay as they are.
    """

    uses_images: ClassVar[bool] = True

    def __init__(
        self,
        encoder: Encoder,
        towers: Mapping[str, nn.Module],
        temperature: float,
        points: int | None,
        image_size: int,
        frozen: bool = False,
    ) -> None:
        if not temperature > 0:
            raise UserError(
                f"temperature is {temperature}; expected a positive number (0.1 or 0.2 in the papers)."
            )
        super().__init__(encoder)
        self.point_head = PointProjection(encoder.dim)
        self.towers = nn.ModuleDict({name: ImageTower(tower, frozen) for name, tower in towers.items()})
        self.temperature = temperature
        self.points = points
        self.image_size = image_size

    def embed_clouds(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B E"]:
        """Clouds `(B, N, 3)` to `(B, 256)`, the space shared with images, not normalized."""
        return self.point_head(self.encoder(points))

    def embed_pictures(self, views: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B E"]:
        """Stored images `(B, H, W, 3)` to `(B, 256)`, by the color tower where there is one."""
        name = "rgb" if "rgb" in self.towers else "gray"
        return self.towers[name](plain_views(views, self.image_size, gray=name == "gray"))

    def shared_parameters(self) -> list[nn.Parameter]:
        """The last layer of the clouds' projection."""
        return list(self.point_head[-1].parameters())
