"""CrossPoint: Afham et al., CVPR 2022, arXiv 2203.00680."""

from typing import ClassVar

from torch import Tensor

from adacross.encoders import Encoder, ResNet
from adacross.losses.nt_xent import nt_xent
from adacross.methods.base import Batch
from adacross.methods.cross_modal import CrossModal


class CrossPoint(CrossModal):
    """Two augmented clouds agree with each other, and their mean agrees with one picture of the shape.

        intra = NT-Xent(z1, z2)        cross = NT-Xent((z1 + z2) / 2, h)        total = intra + cross

    The mean is taken of the raw projections and normalised afterwards, as in the released program.

    Args:
        encoder: point encoder, kept after pre-training.
        image_encoder: ResNet for RGB, thrown away (ResNet-50 in the paper).
        temperature: 0.1 in the paper.
    """

    weighting: ClassVar[str] = "fixed"

    def __init__(self, encoder: Encoder, image_encoder: ResNet, temperature: float = 0.1) -> None:
        super().__init__(encoder, image_encoder)
        self.temperature = temperature

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms `intra` and `cross`."""
        z = self.project(batch)
        prototype = (z.cloud_1 + z.cloud_2) / 2
        return {
            "intra": nt_xent(z.cloud_1, z.cloud_2, self.temperature),
            "cross": nt_xent(prototype, z.rgb, self.temperature),
        }
