"""DGCNN for classification: Wang et al. 2019, arXiv 1801.07829, as CrossPoint and its successors use it."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder
from adacross.encoders.inputs import check_neighbors
from adacross.errors import UserError
from adacross.nn.layers import EdgeLayer, PointLayer, set_fused
from adacross.ops.neighbors import knn


class DGCNN(Encoder):
    """Four edge convolutions, each with neighbours found in its input's features; a point layer; pooling.

    Edge convolutions 3-64-64-128-256; their outputs side by side (512) to `width`; maximum and mean over
    points. 0.62 M parameters at the papers' width. `forward` gives `(B, 2 * width)`.

    Args:
        k: neighbours, the point itself among them (20 in CrossNet and AdaCrossNet, 15 in CrossPoint).
        width: of the last layer.
        fused: compute layers together with the pooling after them, which is faster. False calls each module,
            so that hooks, parametrizations and quantization see it; the numbers are the same to rounding.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        if k < 1 or width < 1:
            raise UserError(
                f"DGCNN has k {k} and width {width}; expected at least 1 each (20 and 1024 in the papers)."
            )
        super().__init__()
        self.k = k
        self.dim, self.point_dim = 2 * width, 512
        self.edges = nn.ModuleList(
            [EdgeLayer(3, 64), EdgeLayer(64, 64), EdgeLayer(64, 128), EdgeLayer(128, 256)]
        )
        self.last = PointLayer(self.point_dim, width, negative_slope=0.2)
        set_fused(self, fused)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.both_features(points)[1]

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """The four edge convolutions side by side: `(B, N, 64 + 64 + 128 + 256 = 512)`."""
        x = self.check(points)
        check_neighbors(x, self.k)
        outputs = []
        for layer in self.edges:
            x = layer(x, knn(x, self.k))
            outputs.append(x)
        return torch.cat(outputs, 2)

    def both_features(
        self, points: Float[Tensor, "B N 3"]
    ) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B D"]]:
        local = self.point_features(points)
        return local, self.last.max_and_mean(local)
