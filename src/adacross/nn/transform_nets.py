"""Small networks that look at a cloud and give the matrix its points (or features) are multiplied by.

Qi et al. 2017, arXiv 1612.00593, section 4.2; DGCNN's form is Wang et al. 2019, arXiv 1801.07829, figure 3.
Both start as the identity.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.nn.batch_norm import check_batch
from adacross.nn.layers import EdgePairLayer, PointLayer


class _TransformNet(nn.Module):
    """From a cloud's 1,024 pooled features to a matrix of `dim` rows and columns. Abstract."""

    def __init__(self, dim: int, negative_slope: float, bias: bool) -> None:
        super().__init__()
        self.dim = dim
        self.dense = nn.ModuleList(
            [PointLayer(1024, 512, negative_slope, bias), PointLayer(512, 256, negative_slope, bias)]
        )
        self.matrix = nn.Linear(256, dim * dim)
        nn.init.zeros_(self.matrix.weight)
        nn.init.zeros_(self.matrix.bias)

    def _matrices(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B dim_dim"]:
        """Return the last layers' output, before it becomes matrices."""
        check_batch(self, pooled)
        rows = pooled[:, None]
        for layer in self.dense:
            rows = layer(rows)
        return self.matrix(rows[:, 0])


class EdgeTransform(_TransformNet):
    """DGCNN part segmentation's: edges 6-64-128, maximum, points 128-1024, maximum, 512, 256, 3 x 3."""

    def __init__(self) -> None:
        super().__init__(3, negative_slope=0.2, bias=False)
        self.edges = EdgePairLayer(3, 64, 128)
        self.points = PointLayer(128, 1024, negative_slope=0.2)
        with torch.no_grad():
            self.matrix.bias.copy_(torch.eye(3).flatten())

    def forward(
        self, points: Float[Tensor, "B N 3"], neighbors: Int64[Tensor, "B N k"]
    ) -> Float[Tensor, "B 3 3"]:
        """Matrices `(B, 3, 3)` for `points @ matrix`."""
        return self._matrices(self.points.pooled(self.edges(points, neighbors))).unflatten(1, (3, 3))


class PointTransform(_TransformNet):
    """PointNet's: point layers dim-64-128-1024 with ReLU, maximum, 512, 256, dim x dim plus the identity.

    A point has 3 coordinates, or `dim` features.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, negative_slope=0.0, bias=True)
        self.layers = nn.ModuleList([PointLayer(dim, 64, bias=True), PointLayer(64, 128, bias=True)])
        self.last = PointLayer(128, 1024, bias=True)

    def forward(self, x: Float[Tensor, "B N dim"]) -> Float[Tensor, "B dim dim"]:
        """Matrices `(B, dim, dim)` for `x @ matrix`."""
        y = x
        for layer in self.layers:
            y = layer(y)
        matrix = self._matrices(self.last.pooled(y)).unflatten(1, (self.dim, self.dim))
        return matrix + torch.eye(self.dim, dtype=matrix.dtype, device=matrix.device)
