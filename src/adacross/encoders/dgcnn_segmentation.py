"""DGCNN for segmentation: Wang et al. 2019, arXiv 1801.07829, as CrossPoint and its successors use it."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder
from adacross.encoders.inputs import check_neighbors
from adacross.errors import UserError
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer, set_fused
from adacross.nn.transform_nets import EdgeTransform
from adacross.ops.neighbors import knn


class _DGCNNSegmentation(Encoder):
    """Edge convolutions of two, two and one layers, each with neighbours found in its input. Abstract."""

    def __init__(self, k: int, width: int) -> None:
        if k < 1 or width < 1:
            raise UserError(
                f"{type(self).__name__} has k {k} and width {width}; expected at least 1 each "
                "(20 and 1024 in the papers)."
            )
        super().__init__()
        self.k = k
        self.dim, self.point_dim = width, 192
        self.edges = nn.ModuleList([EdgePairLayer(3, 64, 64), EdgePairLayer(64, 64, 64), EdgeLayer(64, 64)])
        self.last = PointLayer(self.point_dim, width, negative_slope=0.2)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self.last.pooled(self.point_features(points))

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """The three edge convolutions side by side: `(B, N, 64 + 64 + 64 = 192)`."""
        points = self.check(points)
        check_neighbors(points, self.k)
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
        return local, self.last.pooled(local)

    def _aligned(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        """What the edge convolutions see."""
        return points


class DGCNNPartSeg(_DGCNNSegmentation):
    """DGCNN for part segmentation: a transform net, three edge convolutions, a point layer, the maximum.

    A 3 x 3 matrix made from the cloud is applied first; edge convolutions 3-64-64, 64-64-64 and 64-64; their
    outputs side by side (192) to `width`; maximum over points. 1.03 M parameters at the papers' width.
    `forward` gives `(B, width)`. It cannot train on a batch of a single cloud.

    Args:
        k: neighbours, the point itself among them (20 in CrossNet and AdaCrossNet; CrossPoint pre-trains
            with 15 and fine-tunes with 40).
        width: of the last layer, and of the feature.
        fused: compute layers together with the pooling after them, which is faster. False calls each module,
            so that hooks, parametrizations and quantization see it; the numbers are the same to rounding.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn-partseg"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width)
        self.transform = EdgeTransform()
        set_fused(self, fused)

    def _aligned(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        return points @ self.transform(points, knn(points, self.k))


class DGCNNSemSeg(_DGCNNSegmentation):
    """DGCNN for semantic segmentation of scenes, coordinates only: `DGCNNPartSeg` without a transform net.

    Edge convolutions 3-64-64, 64-64-64 and 64-64; their outputs side by side (192) to `width`; maximum over
    points. 0.22 M parameters at the papers' width. `forward` gives `(B, width)`.

    Args:
        k: neighbours, the point itself among them (20 in CrossNet).
        width: of the last layer, and of the feature.
        fused: compute layers together with the pooling after them, which is faster. False calls each module,
            so that hooks, parametrizations and quantization see it; the numbers are the same to rounding.

    Raises:
        UserError: `k` or `width` is below 1.
    """

    kind: ClassVar[str] = "dgcnn-semseg"

    def __init__(self, k: int = 20, width: int = 1024, fused: bool = True) -> None:
        super().__init__(k, width)
        set_fused(self, fused)
