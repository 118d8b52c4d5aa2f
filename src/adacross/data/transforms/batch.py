"""What leaves the disk for one training step."""

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class RawBatch:
    """B shapes as stored; a method makes its own batch of them, on its device.

    Attributes:
        points: `(B, N, 3)` float32, y up, in the unit sphere.
        views: `(B, H, W, 3)` uint8, one picture of each shape, drawn at random; None for a method that
            looks at none.
    """

    points: Float[Tensor, "B N 3"]
    views: UInt8[Tensor, "B H W 3"] | None
