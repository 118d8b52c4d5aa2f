"""DGCNN, as CrossPoint and its successors use it: Wang et al. 2019, arXiv 1801.07829."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder, PointsAndCloud
from adacross.errors import UserError
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer, set_fused
from adacross.nn.transform_nets import EdgeTransform
from adacross.ops.neighbors import knn


class _DGCNN(Encoder):
    """Edge convolutions, each with neighbors found in its input, then a point layer and pooling. Abstract."""

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        if k < 1 or width < 1:
            raise UserError(
                f"{type(self).__name__} has k {k} and width {width}; expected at least 1 each "
                "(20 and 1024 in the papers)."
            )
        super().__init__()
        self.k = k
        self.dim = width
        self.edges = nn.ModuleList(self._edges())
        self.last = PointLayer(self.point_dim, width, negative_slope=0.2)
        set_fused(self, fused)

    def _edges(self) -> list[nn.Module]:
        """The edge convolutions, for segmentation."""
        return [EdgePairLayer(3, 64, 64), EdgePairLayer(64, 64, 64), EdgeLayer(64, 64)]

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.both_features(points)[1]

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """Return the edge convolutions' outputs side by side, `(B, N, point_dim)`."""
        points = self.check(points)
        if self.k >= points.shape[1]:
            raise UserError(
                f"clouds have {points.shape[1]} points, this encoder looks at k = {self.k} neighbors; "
                "give more."
            )
        x = self._aligned(points)
        outputs = []
        for layer in self.edges:
            x = layer(x, knn(x, self.k))
            outputs.append(x)
        return torch.cat(outputs, 2)

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        local = self.point_features(points)
        return local, self._pooled(local)

    def _aligned(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        return points

    def _pooled(self, local: Float[Tensor, "B N C"]) -> Float[Tensor, "B D"]:
        return self.last.pooled(local)


class DGCNN(_DGCNN):
    """DGCNN for classification: edges 3-64-64-128-256, a point layer, maximum and mean over points.

    The point layer is given the edge convolutions' outputs side by side (512). 0.62 M parameters at the
    papers' width. `forward` gives `(B, 2 * width)`, `point_features` `(B, N, 512)`.

    Args:
        k: neighbors, the point itself among them, at least 1 (20 in CrossNet and AdaCrossNet, 15 in
            CrossPoint).
        width: of the point layer, at least 1.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.
    """

    kind: ClassVar[str] = "dgcnn"
    point_dim = 512

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width, fused)
        self.dim = 2 * width

    def _edges(self) -> list[nn.Module]:
        return [EdgeLayer(3, 64), EdgeLayer(64, 64), EdgeLayer(64, 128), EdgeLayer(128, 256)]

    def _pooled(self, local: Float[Tensor, "B N C"]) -> Float[Tensor, "B D"]:
        return self.last.max_and_mean(local)


class DGCNNSemSeg(_DGCNN):
    """DGCNN for scenes, coordinates only: edges 3-64-64, 64-64-64 and 64-64, a point layer, the maximum.

    The point layer is given the edge convolutions' outputs side by side (192). 0.22 M parameters at the
    papers' width. `forward` gives `(B, width)`, `point_features` `(B, N, 192)`. Options are as of `DGCNN`.
    """

    kind: ClassVar[str] = "dgcnn-semseg"
    point_dim = 192


class DGCNNPartSeg(_DGCNN):
    """DGCNN for part segmentation: as `DGCNNSemSeg`, after a transform net's 3 x 3 matrix.

    1.03 M parameters at the papers' width. It cannot train on a batch of a single cloud. Options are as of
    `DGCNN`; CrossPoint pre-trains with k 15 and fine-tunes with 40.
    """

    kind: ClassVar[str] = "dgcnn-partseg"
    point_dim = 192

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width, fused)
        self.transform = EdgeTransform()
        set_fused(self.transform, fused)

    def _aligned(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        return points @ self.transform(points, knn(points, self.k))
