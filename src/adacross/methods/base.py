"""What every pre-training method offers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Generator, Tensor, nn

from adacross.data.transforms.batch import RawBatch
from adacross.encoders import Encoder


@dataclass(frozen=True)
class Images:
    """How pictures are looked at.

    Attributes:
        depth: of the ResNets of a method that has some, 18 or 50 (50 in the papers).
        width: channels of their first stage (64 in the papers).
        size: side of a picture, or of a depth map, in pixels (224 in the papers).
    """

    depth: Literal[18, 50] = 50
    width: int = 64
    size: int = 224


class Method(nn.Module, ABC):
    """A pre-training objective: named loss terms, unweighted. Abstract.

    Attributes:
        encoder: the point encoder, which is what remains after pre-training.
        weighting: name of the weighting that the method's paper uses.
        usual_encoder: name of the encoder that `auto` stands for.
        sees_pictures: whether `batch` needs the shapes' pictures.
    """

    encoder: Encoder
    weighting: ClassVar[str]
    usual_encoder: ClassVar[str] = "dgcnn"
    sees_pictures: ClassVar[bool]

    @classmethod
    @abstractmethod
    def build(cls, encoder: Encoder, images: Images, points: int | None, **options: Any) -> "Method":
        """The method around a point encoder, with fresh networks beside it.

        Args:
            encoder: the point encoder to train.
            images: how pictures are looked at.
            points: points drawn at random for each cloud; None: all there are.
            options: the method's own.
        """

    @abstractmethod
    def batch(self, raw: RawBatch, generator: Generator) -> Any:
        """What `losses` is given, made from stored shapes; all randomness of a step is drawn here.

        Args:
            raw: on the method's device.
            generator: on the same device; the only source of randomness.
        """

    @abstractmethod
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """The named terms of one batch, scalars with gradient, before any weighting.

        Where processes share the batch (`adacross.distributed.batch`): this process's part of each.
        """

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The last parameters that every term depends on, for weightings that compare gradients."""

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """`losses(batch)`: data-parallel wrappers call modules, not their methods."""
        return self.losses(batch)
