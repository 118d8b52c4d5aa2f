"""What every pre-training method offers, and the batch it is given."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders import Encoder


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


class Method(nn.Module):
    """A pre-training objective: named loss terms, unweighted. Abstract.

    Attributes:
        encoder: the point encoder, which is what remains after pre-training.
        weighting: name of the weighting that the method's paper uses.
    """

    encoder: Encoder
    weighting: ClassVar[str]

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The named terms of one batch, scalars with gradient, before any weighting."""

    @abstractmethod
    def embed_clouds(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B E"]:
        """Clouds in the space shared with pictures, not normalised."""

    @abstractmethod
    def embed_pictures(self, rgb: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B E"]:
        """Pictures in the space shared with clouds, not normalised."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`losses(batch)`: data-parallel wrappers call modules, not their methods."""
        return self.losses(batch)
