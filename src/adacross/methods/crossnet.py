"""CrossNet: Wu et al., IEEE Transactions on Multimedia 26, 2024, doi 10.1109/TMM.2023.3284591."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders import Encoder
from adacross.errors import UserError, one_of
from adacross.losses.nt_xent import nt_xent
from adacross.methods.base import Batch
from adacross.methods.cross_modal import CrossModal
from adacross.methods.image_tower import ImageTowerConfig

Negatives = Literal["others", "released"]
Variant = Literal["con", "joint", "color", "gray"]


VARIANTS: dict[str, tuple[tuple[str, ...], float]] = {  # images and temperature of each released script
    "con": (("rgb", "gray"), 0.2),
    "joint": (("rgb", "gray"), 0.1),
    "color": (("rgb",), 0.1),
    "gray": (("gray",), 0.1),
}


def stacked_terms(
    cloud_1: Float[Tensor, "B E"],
    cloud_2: Float[Tensor, "B E"],
    rgb: Float[Tensor, "B E"],
    gray: Float[Tensor, "B E"],
    temperature: float,
    negatives: Negatives = "others",
) -> dict[str, Tensor]:
    """CrossNet's two terms ("con", its main variant), from projections.

        intra = NT-Xent(x1, x2)        cross = NT-Xent([x1; x2], [rgb; gray])

    In the cross term cloud 1 is paired with the color image and cloud 2 with the gray one. With negatives
    "released", the other cloud and the other image of the same object count among the negatives, which
    pushes apart what the intra term pulls together; with "others" (our correction) only other objects do.
    """
    one_of("negatives", negatives, ("others", "released"))
    objects = torch.arange(len(cloud_1), device=cloud_1.device).repeat(2) if negatives == "others" else None
    clouds, pictures = torch.cat([cloud_1, cloud_2]), torch.cat([rgb, gray])
    return {
        "intra": nt_xent(cloud_1, cloud_2, temperature),
        "cross": nt_xent(clouds, pictures, temperature, objects=objects),
    }


def averaged_terms(
    cloud_1: Float[Tensor, "B E"],
    cloud_2: Float[Tensor, "B E"],
    pictures: dict[str, Float[Tensor, "B E"]],
    temperature: float,
) -> dict[str, Tensor]:
    """The terms of the variants "joint", "color" and "gray", from projections.

        intra = NT-Xent(x1, x2)        cross_p = NT-Xent((x1 + x2) / 2, p)   for each kind of image p

    The mean is taken of the raw projections. The released program multiplies the sum of the cross terms by
    one factor, 1 by default: that is the weighting "fixed" here.
    """
    mean = (cloud_1 + cloud_2) / 2
    cross = {f"cross_{name}": nt_xent(mean, rows, temperature) for name, rows in pictures.items()}
    return {"intra": nt_xent(cloud_1, cloud_2, temperature), **cross}


class CrossNet(CrossModal):
    """Clouds agree with each other, and with images of the shape in color and in gray.

    Args:
        encoder: point encoder, kept after pre-training.
        image_encoder: of RGB, thrown away (ResNet-50 in the paper); None for the variant "gray".
        gray_encoder: of one channel, thrown away; None for the variant "color".
        variant: con (cloud 1 with the color image, cloud 2 with the gray one: the paper's main method), or
            the mean of the clouds with both images (joint), the color one (color) or the gray one (gray).
        temperature: above 0; 0.2 for con and 0.1 for the others, as in the released scripts, if not given.
        negatives: of con's cross term; see `stacked_terms`.
        points, image_size, frozen: see `CrossModal`.
    """

    def __init__(
        self,
        encoder: Encoder,
        image_encoder: nn.Module | None,
        gray_encoder: nn.Module | None,
        variant: Variant = "con",
        temperature: float | None = None,
        negatives: Negatives = "others",
        points: int | None = None,
        image_size: int = 224,
        frozen: bool = False,
    ) -> None:
        needed, usual = VARIANTS[one_of("variant", variant, VARIANTS)]
        one_of("negatives", negatives, ("others", "released"))
        if variant != "con" and negatives != "others":
            raise UserError(
                f"negatives is {negatives!r}, but variant {variant!r} has one row a shape in each term, "
                "so there is nothing to choose. Leave negatives out, or choose variant 'con'."
            )
        given = {"rgb": image_encoder, "gray": gray_encoder}
        towers = {name: tower for name in needed if (tower := given[name]) is not None}
        if missing := " and ".join(name for name in needed if name not in towers):
            raise UserError(
                f"CrossNet's variant {variant!r} looks at {missing} pictures; give an image encoder for them."
            )
        temperature = usual if temperature is None else temperature
        super().__init__(encoder, towers, temperature, points, image_size, frozen)
        self.variant = variant
        self.negatives: Negatives = negatives

    @classmethod
    def build(cls, encoder: Encoder, images: ImageTowerConfig, **options: Any) -> "CrossNet":
        """Build with the fresh image towers that the variant needs; `options` are this class's."""
        needed, _ = VARIANTS[one_of("variant", options.get("variant", "con"), VARIANTS)]
        rgb, gray = (images.build(n) if name in needed else None for name, n in (("rgb", 3), ("gray", 1)))
        return cls(encoder, rgb, gray, image_size=images.size, frozen=images.frozen, **options)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`intra`, and `cross` (con) or one of `cross_rgb` and `cross_gray` for each kind of image."""
        cloud_1, cloud_2 = self.embed_clouds(batch.clouds.flatten(0, 1)).chunk(2)
        seen = {"rgb": batch.rgb, "gray": batch.gray}
        pictures = {name: tower(seen[name]) for name, tower in self.towers.items()}
        if self.variant == "con":
            rgb, gray = pictures["rgb"], pictures["gray"]
            return stacked_terms(cloud_1, cloud_2, rgb, gray, self.temperature, self.negatives)
        return averaged_terms(cloud_1, cloud_2, pictures, self.temperature)
