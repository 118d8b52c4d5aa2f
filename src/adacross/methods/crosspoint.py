"""CrossPoint: Afham et al., CVPR 2022, arXiv 2203.00680."""

from typing import Any, ClassVar

from torch import Tensor

from adacross.encoders import Encoder, ResNet
from adacross.losses.nt_xent import nt_xent
from adacross.methods.base import Images
from adacross.methods.cross_modal import Batch, CrossModal


class CrossPoint(CrossModal):
    """Two augmented clouds agree with each other, and their mean agrees with one picture of the shape.

        intra = NT-Xent(z1, z2)        cross = NT-Xent((z1 + z2) / 2, h)        total = intra + cross

    The mean is taken of the raw projections and normalised afterwards, as in the released program.

    Args:
        encoder: point encoder, kept after pre-training.
        image_encoder: ResNet for RGB, thrown away (ResNet-50 in the paper).
        temperature: 0.1 in the paper.
        points: see `CrossModal`.
        picture_size: see `CrossModal`.

    Raises:
        UserError: a temperature that is not positive.
    """

    weighting: ClassVar[str] = "fixed"

    def __init__(
        self,
        encoder: Encoder,
        image_encoder: ResNet,
        temperature: float = 0.1,
        points: int | None = None,
        picture_size: int = 224,
    ) -> None:
        super().__init__(encoder, {"rgb": image_encoder}, temperature, points, picture_size)

    @classmethod
    def build(cls, encoder: Encoder, images: Images, points: int | None, **options: Any) -> "CrossPoint":
        """With a fresh ResNet; `options` are this class's `temperature`."""
        return cls(
            encoder, ResNet(images.depth, 3, images.width), points=points, picture_size=images.size, **options
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms `intra` and `cross`."""
        cloud_1, cloud_2 = self.embed_both_clouds(batch)
        prototype = (cloud_1 + cloud_2) / 2
        return {
            "intra": nt_xent(cloud_1, cloud_2, self.temperature),
            "cross": nt_xent(prototype, self.towers["rgb"](batch.rgb), self.temperature),
        }
