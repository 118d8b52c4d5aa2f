"""The base class of pre-training methods, and what one is given besides shapes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from adacross.data.transforms import (
    RawBatch,
    augment_points,
    augment_views,
    draw_points,
    rotate_y,
    scale_and_shift,
    unit_sphere,
)
from adacross.distributed.batch import sample_for_batch
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.methods.image_tower import ImageTowerConfig
from adacross.plugins import find


class Augmentation(ABC):
    """A random change of point clouds, named by the option `augmentation`. Abstract.

    Example:
        >>> class Jitter(Augmentation):
        ...     def __call__(self, points: Tensor, generator: Generator) -> Tensor:
        ...         noise = torch.randn(points.shape, device=points.device, generator=generator)
        ...         return points + 0.01 * noise
        >>> Jitter()(torch.zeros(2, 100, 3), torch.Generator()).shape
        torch.Size([2, 100, 3])
    """

    @abstractmethod
    def __call__(self, points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
        """Draw one augmented view of every cloud `(B, N, 3)`, y up, in the unit sphere.

        The generator, on the same device, is the only source of randomness. Where several processes share a
        batch, `adacross.distributed.batch.sample_for_batch` draws for the whole batch.
        """


def _point_m2ae(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    return scale_and_shift(unit_sphere(points), generator)


def _mild(points: Float[Tensor, "B N 3"], generator: Generator) -> Float[Tensor, "B N 3"]:
    """Turn about +y, scale and shift each axis as Point-M2AE does, add noise of 0.01."""
    options = {"device": points.device, "dtype": points.dtype, "generator": generator}
    angle = 2 * pi * sample_for_batch(torch.rand, (len(points),), **options)
    moved = scale_and_shift(rotate_y(unit_sphere(points), angle), generator)
    return moved + 0.01 * sample_for_batch(torch.randn, points.shape, **options)


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "crosspoint": augment_points,  # CrossNet's and AdaCrossNet's, too
    "point-m2ae": _point_m2ae,
    "mild": _mild,  # ours: shapes stay whole
}


def build_augmentation(name: str) -> Callable[[Tensor, Generator], Tensor]:
    """Return a built-in augmentation, or an instance of the class that `package.module:Name` names."""
    return AUGMENTATIONS[name] if name in AUGMENTATIONS else find("augmentation", name, {}, Augmentation)()


@dataclass(frozen=True)
class Batch:
    """B shapes, augmented.

    Attributes:
        clouds: `(2, B, N, 3)`, two independently augmented views of each shape's points.
        rgb: `(B, 3, S, S)`, one normalized color image of each shape; None for a method without images.
        gray: `(B, 1, S, S)`, the same image in gray.
    """

    clouds: Float[Tensor, "2 B N 3"]
    rgb: Float[Tensor, "B 3 S S"] | None
    gray: Float[Tensor, "B 1 S S"] | None


class Method(nn.Module, ABC):
    """A pre-training objective: named loss terms, unweighted. Abstract.

    A subclass defines `losses`; its constructor takes the encoder, then options with defaults. It is used by
    name, `package.module:Name`, wherever a method is named.

    Args:
        encoder: the point encoder to train, which is what remains after pre-training.

    Attributes:
        weighting: name of the weighting that the method's paper uses.
        default_encoder: name of the encoder that `auto` stands for.
        default_augmentation: name of its augmentation.
        uses_images: whether `batch` needs the shapes' images.
        points: points drawn at random for each augmented cloud; None: all there are.
        image_size: side of the images in pixels.
        augment: the augmentation of point clouds.

    Example:
        >>> from adacross import PointNet, nt_xent
        >>> class Contrast(Method):
        ...     def __init__(self, encoder: Encoder, temperature: float = 0.1) -> None:
        ...         super().__init__(encoder)
        ...         self.temperature = temperature
        ...
        ...     def losses(self, batch: Batch) -> dict[str, Tensor]:
        ...         first, second = self.encoder(batch.clouds.flatten(0, 1)).chunk(2)
        ...         return {"intra": nt_xent(first, second, self.temperature)}
        >>> method = Contrast(PointNet(width=16))
        >>> batch = method.batch(RawBatch(torch.rand(4, 64, 3), None), torch.Generator())
        >>> list(method.losses(batch))
        ['intra']
    """

    encoder: Encoder
    weighting: ClassVar[str] = "fixed"
    default_encoder: ClassVar[str] = "dgcnn"
    default_augmentation: ClassVar[str] = "crosspoint"
    uses_images: ClassVar[bool] = False
    points: int | None = None
    image_size: int = 224

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.augment = AUGMENTATIONS[self.default_augmentation]

    @classmethod
    def build(cls, encoder: Encoder, images: ImageTowerConfig, **options: Any) -> "Method":
        """Build the method around a point encoder, with fresh networks beside it; `options` are its own."""
        return cls(encoder, **options)

    def batch(self, raw: RawBatch, generator: Generator) -> Any:
        """Make the input of `losses` from stored shapes; all randomness of a step is drawn here.

        By default a `Batch`: two augmented clouds and, with `uses_images`, one image of each shape. `raw` and
        the generator are on the method's device.
        """
        clouds = [self.augment(draw_points(raw.points, self.points, generator), generator) for _ in range(2)]
        if not self.uses_images:
            return Batch(torch.stack(clouds), None, None)
        if raw.views is None:
            raise UserError(f"{type(self).__name__} needs an image of every shape; the batch has none.")
        return Batch(torch.stack(clouds), *augment_views(raw.views, self.image_size, generator))

    @abstractmethod
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Compute the named terms of one batch, scalars with gradient, before any weighting.

        Where processes share the batch (`adacross.distributed.batch`): this process's part of each.
        """

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the last parameters that every term depends on, for weightings that compare gradients.

        By default those of the encoder's last layer.
        """
        *_, last = (each for each in self.encoder.modules() if [*each.parameters(recurse=False)])
        return list(last.parameters(recurse=False))

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Return `losses(batch)`: data-parallel wrappers call modules, not their methods."""
        return self.losses(batch)
