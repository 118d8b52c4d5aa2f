"""PointNet, as CrossNet and AdaCrossNet use it: Qi et al. 2017, arXiv 1612.00593."""

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder, PointsAndCloud
from adacross.errors import UserError
from adacross.nn.layers import PointLayer, set_fused
from adacross.nn.transform_nets import PointTransform


class PointNet(Encoder):
    """Point-wise layers 3-64-64-64-128-width, each with BatchNorm and ReLU, then the maximum over points.

    0.15 M parameters at the papers' width. `forward` gives `(B, width)`.

    Args:
        width: of the last layer, and of the feature, at least 1.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.
    """

    kind: ClassVar[str] = "pointnet"

    def __init__(self, width: int = 1024, fused: bool = True) -> None:
        if width < 1:
            raise UserError(f"PointNet's width is {width}; expected at least 1 (1024 in the papers).")
        super().__init__()
        self.dim, self.point_dim = width, 320
        self.layers = nn.ModuleList(PointLayer(*sides) for sides in pairwise((3, 64, 64, 64, 128)))
        self.last = PointLayer(128, width)
        set_fused(self, fused)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.last.pooled(self._layers(points)[-1])

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """Return the four layers before the last side by side: `(B, N, 64 + 64 + 64 + 128 = 320)`."""
        return torch.cat(self._layers(points), 2)

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        outputs = self._layers(points)
        return torch.cat(outputs, 2), self.last.pooled(outputs[-1])

    def _layers(self, points: Float[Tensor, "B N 3"]) -> list[Tensor]:
        """Outputs of the four layers before the last."""
        return _outputs(self.layers, self.check(points))


class PointNetPartSeg(Encoder):
    """Point-wise layers 3-64-128-128-512-width, with a transform net before the first and the fourth.

    The last layer has BatchNorm and no ReLU; its maximum over points is the feature. 7.0 M parameters at the
    papers' width, most of them in the 128 x 128 transform's last layer. `forward` gives `(B, width)`. It
    cannot train on a batch of a single cloud. Options are as of `PointNet`.
    """

    kind: ClassVar[str] = "pointnet-partseg"

    def __init__(self, width: int = 2048, fused: bool = True) -> None:
        if width < 1:
            raise UserError(f"PointNetPartSeg's width is {width}; expected at least 1 (2048 in the papers).")
        super().__init__()
        self.dim, self.point_dim = width, width + 832
        self.transform = PointTransform(3)
        self.layers = nn.ModuleList(PointLayer(*sides) for sides in pairwise((3, 64, 128, 128, 512)))
        self.feature_transform = PointTransform(128)
        self.last = PointLayer(512, width, negative_slope=1.0)
        set_fused(self, fused)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.last.pooled(self._layers(points)[-1])

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """Return all five layers side by side: `(B, N, 64 + 128 + 128 + 512 + width = 2880)`.

        The third is taken before the feature transform.
        """
        return self.both_features(points)[0]

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        outputs = self._layers(points)
        last = self.last(outputs[-1])
        return torch.cat([*outputs, last], 2), last.amax(1)

    def _layers(self, points: Float[Tensor, "B N 3"]) -> list[Tensor]:
        """Outputs of the four layers before the last."""
        points = self.check(points)
        outputs = _outputs(self.layers[:3], points @ self.transform(points))
        x = outputs[-1]
        return [*outputs, self.layers[3](x @ self.feature_transform(x))]


def _outputs(layers: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of each of several layers, one after the other."""
    outputs = []
    for layer in layers:
        x = layer(x)
        outputs.append(x)
    return outputs
