"""A pre-training method: named losses of a batch."""

from torch import Tensor, nn

from adacross import nt_xent
from adacross.methods import Batch, ImageTower, ImageTowerConfig, Method


class Contrast(Method):
    """Two augmented clouds of a shape agree."""

    def __init__(self, encoder: nn.Module, temperature: float = 0.1) -> None:
        super().__init__(encoder)
        self.temperature = temperature

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        first, second = self.encoder(batch.clouds.flatten(0, 1)).chunk(2)
        return {"intra": nt_xent(first, second, self.temperature)}


class WithImages(Method):
    """A shape's clouds agree with its image, seen through the image tower."""

    uses_images = True
    weighting = "uncertainty"

    def __init__(self, encoder: nn.Module, tower: ImageTower) -> None:
        super().__init__(encoder)
        self.tower = tower
        self.head = nn.Linear(encoder.dim, 256)

    @classmethod
    def build(cls, encoder: nn.Module, images: ImageTowerConfig) -> "WithImages":
        return cls(encoder, ImageTower(images.build(3), images.frozen))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        first, second = self.head(self.encoder(batch.clouds.flatten(0, 1))).chunk(2)
        image = self.tower(batch.rgb)
        return {"first": nt_xent(first, image, 0.1), "second": nt_xent(second, image, 0.1)}
