"""PointNet: Qi et al. 2017, arXiv 1612.00593, without transform nets, as CrossNet and AdaCrossNet use it."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder
from adacross.errors import UserError
from adacross.nn.layers import PointLayer, set_fused


class PointNet(Encoder):
    """Point-wise layers 3-64-64-64-128-width, each with BatchNorm and ReLU, then the maximum over points.

    0.15 M parameters at the papers' width. `forward` gives `(B, width)`.

    Args:
        width: of the last layer, and of the feature.
        fused: compute layers together with the pooling after them, which is faster. False calls each module,
            so that hooks, parametrizations and quantization see it; the numbers are the same to rounding.

    Raises:
        UserError: `width` is below 1.
    """

    kind: ClassVar[str] = "pointnet"

    def __init__(self, width: int = 1024, fused: bool = True) -> None:
        if width < 1:
            raise UserError(f"PointNet's width is {width}; expected at least 1 (1024 in the papers).")
        super().__init__()
        self.dim, self.point_dim = width, 320
        self.layers = nn.ModuleList(
            [PointLayer(3, 64), PointLayer(64, 64), PointLayer(64, 64), PointLayer(64, 128)]
        )
        self.last = PointLayer(128, width)
        set_fused(self, fused)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.last.pooled(self._layers(points)[-1])

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """The four layers before the last, side by side: `(B, N, 64 + 64 + 64 + 128 = 320)`."""
        return torch.cat(self._layers(points), 2)

    def both_features(
        self, points: Float[Tensor, "B N 3"]
    ) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B D"]]:
        outputs = self._layers(points)
        return torch.cat(outputs, 2), self.last.pooled(outputs[-1])

    def _layers(self, points: Float[Tensor, "B N 3"]) -> list[Tensor]:
        x = self.check(points)
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs
