"""DGCNN, as CrossPoint and its successors use it: Wang et al. 2019, arXiv 1801.07829."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder
from adacross.errors import UserError
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer, set_fused
from adacross.nn.transform_nets import EdgeTransform
from adacross.ops.neighbors import knn


class _DGCNN(Encoder):
    """Edge convolutions, each with neighbors found in its input, then a point layer and pooling. Abstract."""

    def __init__(self, k: int, width: int, edges: Iterable[nn.Module], point_dim: int) -> None:
        if k < 1 or width < 1:
            raise UserError(
                f"{type(self).__name__} has k {k} and width {width}; expected at least 1 each "
                "(20 and 1024 in the papers)."
            )
        super().__init__()
        self.k = k
        self.dim, self.point_dim = width, point_dim
        self.edges = nn.ModuleList(edges)
        self.last = PointLayer(point_dim, width, negative_slope=0.2)

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

    def both_features(
        self, points: Float[Tensor, "B N 3"]
    ) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B D"]]:
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
        k: neighbors, the point itself among them (20 in CrossNet and AdaCrossNet, 15 in CrossPoint).
        width: of the point layer.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        edges = [EdgeLayer(3, 64), EdgeLayer(64, 64), EdgeLayer(64, 128), EdgeLayer(128, 256)]
        super().__init__(k, width, edges, 512)
        self.dim = 2 * width
        set_fused(self, fused)

    def _pooled(self, local: Float[Tensor, "B N C"]) -> Float[Tensor, "B D"]:
        return self.last.max_and_mean(local)


class DGCNNSemSeg(_DGCNN):
    """DGCNN for scenes, coordinates only: edges 3-64-64, 64-64-64 and 64-64, a point layer, the maximum.

    The point layer is given the edge convolutions' outputs side by side (192). 0.22 M parameters at the
    papers' width. `forward` gives `(B, width)`, `point_features` `(B, N, 192)`.

    Args:
        k: neighbors, the point itself among them (20 in CrossNet).
        width: of the point layer.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn-semseg"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width, _segmentation_edges(), 192)
        set_fused(self, fused)


class DGCNNPartSeg(_DGCNN):
    """DGCNN for part segmentation: as `DGCNNSemSeg`, after a transform net's 3 x 3 matrix.

    1.03 M parameters at the papers' width. It cannot train on a batch of a single cloud.

    Args:
        k: neighbors, the point itself among them (20 in CrossNet and AdaCrossNet; CrossPoint pre-trains
            with 15 and fine-tunes with 40).
        width: of the point layer.
        fused: compute layers together with their pooling, which is faster; see `set_fused`.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn-partseg"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width, _segmentation_edges(), 192)
        self.transform = EdgeTransform()
        set_fused(self, fused)

    def _aligned(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        return points @ self.transform(points, knn(points, self.k))


def _segmentation_edges() -> list[nn.Module]:
    return [EdgePairLayer(3, 64, 64), EdgePairLayer(64, 64, 64), EdgeLayer(64, 64)]
