"""CrossPoint: Afham et al., CVPR 2022, arXiv 2203.00680."""

from typing import Any

from torch import Tensor, nn

from adacross.encoders import Encoder
from adacross.losses.nt_xent import nt_xent
from adacross.methods.base import Batch
from adacross.methods.cross_modal import CrossModal
from adacross.methods.image_tower import ImageTowerConfig


class CrossPoint(CrossModal):
    """Two augmented clouds agree with each other, and their mean agrees with one image of the shape.

        intra = NT-Xent(z1, z2)        cross = NT-Xent((z1 + z2) / 2, h)        total = intra + cross

    The mean is taken of the raw projections and normalized afterwards, as in the released program.

    Args:
        encoder: point encoder, kept after pre-training.
        image_encoder: of RGB, thrown away (ResNet-50 in the paper).
        temperature: above 0; 0.1 in the paper.
        points, image_size, frozen: see `CrossModal`.
    """

    def __init__(
        self,
        encoder: Encoder,
        image_encoder: nn.Module,
        temperature: float = 0.1,
        points: int | None = None,
        image_size: int = 224,
        frozen: bool = False,
    ) -> None:
        super().__init__(encoder, {"rgb": image_encoder}, temperature, points, image_size, frozen)

    @classmethod
    def build(cls, encoder: Encoder, images: ImageTowerConfig, **options: Any) -> "CrossPoint":
        """Build with a fresh image tower; `options` are this class's `temperature`."""
        return cls(encoder, images.build(3), image_size=images.size, frozen=images.frozen, **options)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms `intra` and `cross`."""
        cloud_1, cloud_2 = self.embed_clouds(batch.clouds.flatten(0, 1)).chunk(2)
        prototype = (cloud_1 + cloud_2) / 2
        return {
            "intra": nt_xent(cloud_1, cloud_2, self.temperature),
            "cross": nt_xent(prototype, self.towers["rgb"](batch.rgb), self.temperature),
        }
