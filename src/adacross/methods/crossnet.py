"""CrossNet: Wu et al., IEEE Transactions on Multimedia 26, 2024, doi 10.1109/TMM.2023.3284591."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from adacross.encoders import Encoder, ResNet
from adacross.encoders.heads import ImageProjection
from adacross.losses.nt_xent import nt_xent
from adacross.methods.base import Batch
from adacross.methods.cross_modal import CrossModal


def crossnet_terms(
    cloud_1: Float[Tensor, "B E"],
    cloud_2: Float[Tensor, "B E"],
    rgb: Float[Tensor, "B E"],
    gray: Float[Tensor, "B E"],
    temperature: float,
    mask_same_object: bool = False,
) -> dict[str, Tensor]:
    """CrossNet's two terms ("con", its main variant), from projections.

        intra = NT-Xent(x1, x2)        cross = NT-Xent([x1; x2], [rgb; gray])

    In the cross term cloud 1 is paired with the colour picture and cloud 2 with the grey one. As released,
    the other cloud and the other picture of the same object count among the negatives; with
    `mask_same_object` they are left out of the denominator (our correction).
    """
    objects = torch.arange(len(cloud_1), device=cloud_1.device).repeat(2) if mask_same_object else None
    clouds, pictures = torch.cat([cloud_1, cloud_2]), torch.cat([rgb, gray])
    return {
        "intra": nt_xent(cloud_1, cloud_2, temperature),
        "cross": nt_xent(clouds, pictures, temperature, objects=objects),
    }


class CrossNet(CrossModal):
    """Clouds agree with each other, cloud 1 with the colour picture, cloud 2 with the grey one.

    Args:
        encoder: point encoder, kept after pre-training.
        image_encoder: ResNet for RGB, thrown away (ResNet-50 in the paper).
        gray_encoder: ResNet for one channel, thrown away.
        temperature: 0.2 in the released program.
        mask_same_object: leave the cross term's false negatives out; see `crossnet_terms`.
    """

    weighting: ClassVar[str] = "fixed"

    def __init__(
        self,
        encoder: Encoder,
        image_encoder: ResNet,
        gray_encoder: ResNet,
        temperature: float = 0.2,
        mask_same_object: bool = False,
    ) -> None:
        super().__init__(encoder, image_encoder)
        self.gray_encoder = gray_encoder
        self.gray_head = ImageProjection(gray_encoder.dim)
        self.temperature = temperature
        self.mask_same_object = mask_same_object

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms `intra` and `cross`."""
        z = self.project(batch)
        gray = self.gray_head(self.gray_encoder(batch.gray))
        return crossnet_terms(z.cloud_1, z.cloud_2, z.rgb, gray, self.temperature, self.mask_same_object)
